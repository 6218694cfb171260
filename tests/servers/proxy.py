"""A reverse proxy between a store and its server: it writes down what is asked for, and makes faults."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Self
from urllib.parse import urlsplit

from tests.servers.exchange import Exchange, reset_at_close
from tests.servers.faults import Blackhole, Fault, Refuse, Seen, What
from tests.servers.messages import Head, LostError, Sized, Stream, framing_of_request
from tests.servers.operations import operation
from tests.servers.ports import LOCALHOST, free_ports
from tests.servers.ways import Ended, Torn

_PATIENCE: Final = 120.0


class Proxy:
    """Between clients and the server at `upstream`. Heads pass untouched, so that signatures stay valid
    (but for `Misheard`).

    `seen` has every request whose head came, in order. `faults` are tried in order; one that was used as
    often as it says is taken out. With `checking`, a body that is not what its head says is refused here.
    `connections` says how many were made to it.
    """

    def __init__(
        self,
        upstream: str,
        *,
        tls: ssl.SSLContext | None = None,
        upstream_tls: ssl.SSLContext | None = None,
        checking: bool = False,
    ) -> None:
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.connections = 0
        self.checking = checking
        self._upstream = urlsplit(upstream)
        self._tls = tls
        self._upstream_tls = upstream_tls
        (self.port,) = free_ports(1)
        self.url = f"{'https' if tls else 'http'}://{LOCALHOST}:{self.port}{self._upstream.path}"
        self._closing = threading.Event()
        self._turn = threading.Lock()
        self._blackholes: list[Blackhole] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def operations(self) -> list[str]:
        """The names of what was asked for, in order."""
        return [seen.operation for seen in list(self.seen)]

    # --- its life ---

    def __enter__(self) -> Self:
        self._listener = self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._go_down()
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "a connection of the proxy does not end"

    @contextmanager
    def down(self) -> Iterator[None]:
        """Meanwhile nobody listens at the port. Connections that were open are cut."""
        self._go_down()
        yield
        self._listener = self._listen()

    def _go_down(self) -> None:
        _wake(self._listener)
        for blackhole in self._blackholes:
            blackhole.released.set()
        for connected in list(self._open):
            _wake(connected)

    def _listen(self) -> socket.socket:
        listener = socket.create_server((LOCALHOST, self.port), backlog=128)
        self._start(partial(self._accept, listener))
        return listener

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    # --- connections ---

    def _accept(self, listener: socket.socket) -> None:
        with listener, suppress(OSError):  # which says that it was woken to end
            while True:
                client, _ = listener.accept()
                self.connections += 1
                self._start(partial(self._connected, client))

    def _connected(self, client: socket.socket) -> None:
        with self._client(client):
            if self._take(None) is not None:
                raise Torn
            if self._tls is None:
                self._serve(client)
                return
            secured = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            with self._client(secured):
                secured.do_handshake()
                self._serve(secured)

    @contextmanager
    def _client(self, client: socket.socket) -> Iterator[None]:
        """A client's connection, which ends with the block as the block says."""
        with self._kept(client):
            try:
                yield
            except Ended:
                pass
            except (Torn, LostError, OSError):
                with suppress(OSError):  # it is lost already
                    reset_at_close(client)

    def _serve(self, client: socket.socket) -> None:
        stream = Stream(client)
        while (head := stream.head()) is not None:
            seen = _seen(head)
            with self._turn:
                self.seen.append(seen)
            exchange = Exchange(head, seen, stream, self._connect, self._closing, self.checking)
            if not exchange.run(self._take(seen)):
                return

    @contextmanager
    def _connect(self) -> Iterator[Stream]:
        host, port = self._upstream.hostname, self._upstream.port
        server = socket.create_connection((host or "", port or 0), _PATIENCE)
        if self._upstream_tls is not None:
            server = self._upstream_tls.wrap_socket(server, server_hostname=host)
        reset_at_close(server)  # a request that is cut short has to look so; and no port stays in TIME_WAIT
        with self._kept(server):
            yield Stream(server)

    @contextmanager
    def _kept(self, connected: socket.socket) -> Iterator[None]:
        self._open.add(connected)
        if self._closing.is_set():  # it came too late to be woken with the others
            _wake(connected)
        try:
            yield
        finally:
            self._open.discard(connected)
            connected.close()

    # --- faults ---

    def _take(self, seen: Seen | None) -> What | None:
        """The fault that comes next for this request; without one, for a new connection."""
        with self._turn:
            for fault in self.faults:
                if _meets(fault, seen):
                    self._use(fault)
                    return fault.what
        return None

    def _use(self, fault: Fault) -> None:
        fault.times -= 1
        if fault.times <= 0:
            self.faults.remove(fault)
        if isinstance(fault.what, Blackhole):
            self._blackholes.append(fault.what)


def _meets(fault: Fault, seen: Seen | None) -> bool:
    if seen is None or isinstance(fault.what, Refuse):
        return seen is None and isinstance(fault.what, Refuse)
    return fault.when(seen)


def _seen(head: Head) -> Seen:
    method, target, _ = head.first_line
    framing = framing_of_request(head)
    return Seen(
        method=method,
        target=target,
        headers=head.headers,
        body_length=framing.length if isinstance(framing, Sized) else None,
        operation=operation(method, target, head.headers),
    )


def _wake(connected: socket.socket) -> None:
    """End it for the thread that waits on it; that thread closes it."""
    with suppress(OSError):
        socket.socket.shutdown(
            connected, socket.SHUT_RDWR
        )  # not SSLSocket's own, which is not safe with threads
