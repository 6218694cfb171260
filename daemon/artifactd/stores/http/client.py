"""Kept connections to one server: the lean way of a put's bytes, beside the SDK that does everything else.

An SDK spends more than a millisecond of the interpreter's lock on a small request; this costs a few percent
of that. Connections are kept and used again, bytes of plain HTTP go from file to socket in the kernel, and
nothing follows a redirect.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from artifactd.clock import SYSTEM
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.bodies import size_of
from artifactd.stores.http.connect import Server, authorization
from artifactd.stores.http.connection import Connection
from artifactd.stores.http.deadline import Deadline
from artifactd.stores.http.messages import Answer, Body, Unanswered


class Client:
    """Connections to one server, kept for the next request. Threads may send at the same time.

    `monotonic` tells seconds from anywhere, never set back.
    """

    def __init__(
        self,
        server: Server,
        throttle: Throttle | None = None,
        monotonic: Callable[[], float] = SYSTEM.monotonic,
    ) -> None:
        self.server = server
        self._throttle = throttle
        self._monotonic = monotonic
        self._idle: deque[Connection] = deque()

    def send(self, method: str, target: str, headers: Mapping[str, str], body: Body = b"") -> Answer:
        """Send one request and wait for its answer. `target` is the path and query, quoted.

        A connection that the server closed while it was idle is replaced without a word, so a request that
        is not safe to repeat needs a condition of its own.

        All of it, the connection included, takes no longer than `Server.seconds` of the body's bytes, and for
        each byte of the answer what `least_rate` allows. What the throttle makes it wait is not counted.

        Raises:
            Unavailable: the server cannot be reached. Nothing was sent.
            Denied: its certificate, or the proxy, does not let us in. Nothing was sent.
            Unanswered: it may have been acted on.
            OSError: the body's file cannot be read to its end. The request was not completed.
        """
        head = self._head(method, target, headers, body)
        deadline = Deadline(self.server.seconds(size_of(body)), self._monotonic)
        if (kept := self._kept()) is not None:
            try:
                return self._exchange(kept, head, body, deadline)
            except Unanswered as lost:
                if kept.heard or isinstance(lost.__cause__, TimeoutError):
                    raise
        return self._exchange(Connection(self.server, deadline), head, body, deadline)

    def close(self) -> None:
        """Close what is idle."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _kept(self) -> Connection | None:
        """An idle connection that still stands, the one used last before others."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.stands():
                    return connection
                connection.close()
        return None

    def _head(self, method: str, target: str, headers: Mapping[str, str], body: Body) -> bytes:
        through = self.server.proxy is not None and self.server.tls is None
        start = f"http://{self.server.address}{target}" if through else target
        lines = [
            f"{method} {start} HTTP/1.1",
            f"Host: {self.server.address}",
            f"Content-Length: {size_of(body)}",
        ]
        if through and self.server.proxy is not None:
            lines += authorization(self.server.proxy)
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _exchange(self, connection: Connection, head: bytes, body: Body, deadline: Deadline) -> Answer:
        keep = False
        try:
            answer = connection.exchange(head, body, self._throttle, deadline)
            keep = connection.reusable
            return answer
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()
