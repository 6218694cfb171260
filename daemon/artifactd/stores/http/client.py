"""Kept connections to one server: the lean way of a put's bytes, beside the SDK that does everything else.

An SDK spends more than a millisecond of the interpreter's lock on a small request; this costs a few percent
of that. All connections share one event loop. They are kept and used again, bytes of plain HTTP go from file
to socket in the kernel, and nothing follows a redirect.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from artifactd.clock import SYSTEM
from artifactd.stores.http.bandwidth import Throttle
from artifactd.stores.http.bodies import size_of
from artifactd.stores.http.connect import Server, authorization, connected
from artifactd.stores.http.connection import Connection
from artifactd.stores.http.deadline import Deadline
from artifactd.stores.http.loop import Loop
from artifactd.stores.http.messages import Answer, Body, Unanswered

_CONNECTING: Final = 16
"""Connections that are made at a time: names, proxies and TLS are blocking calls, each in a thread."""


class Client:
    """Connections to one server, kept for the next request, all in one loop: `loop`, or one of its own.

    `monotonic` tells seconds from anywhere, never set back.
    """

    def __init__(
        self,
        server: Server,
        throttle: Throttle | None = None,
        monotonic: Callable[[], float] = SYSTEM.monotonic,
        loop: Loop | None = None,
    ) -> None:
        self.server = server
        self._throttle = throttle
        self._monotonic = monotonic
        self._idle = list[Connection]()
        self._connecting = ThreadPoolExecutor(_CONNECTING, f"connect-{server.host}")
        self._loop = loop or Loop(f"send-{server.host}")
        self._loop.at_its_end(self._end)
        through = server.proxy is not None and server.tls is None
        self._root = f"http://{server.address}" if through else ""
        shown = authorization(server.proxy) if through and server.proxy is not None else []
        self._always = "\r\n".join((" HTTP/1.1", f"Host: {server.address}", *shown, "Content-Length: "))

    def send(self, method: str, target: str, headers: Mapping[str, str], body: Body = b"") -> Answer:
        """As `request`, for a thread, which waits. Unavailable, too, once the client is closed."""
        return self._loop.run(self.request(method, target, headers, body))

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: Body = b"") -> Answer:
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
                return await self._exchange(kept, head, body, deadline)
            except Unanswered as lost:
                if kept.heard or isinstance(lost.__cause__, TimeoutError):
                    raise
        return await self._exchange(await self._connected(deadline), head, body, deadline)

    def close(self) -> None:
        """Close the loop, and with it what is idle. What is under way goes on to its end."""
        self._loop.close()

    def _end(self) -> None:
        self._connecting.shutdown(wait=False, cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    async def _connected(self, deadline: Deadline) -> Connection:
        opening = partial(connected, self.server, deadline)
        loop = asyncio.get_running_loop()
        return Connection(self.server, await loop.run_in_executor(self._connecting, opening))

    def _kept(self) -> Connection | None:
        """An idle connection that still stands, the one used last before others."""
        while self._idle:
            connection = self._idle.pop()
            if connection.stands():
                return connection
            connection.close()
        return None

    def _head(self, method: str, target: str, headers: Mapping[str, str], body: Body) -> bytes:
        start = f"{method} {self._root}{target}{self._always}{size_of(body)}"
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join((start, *lines, "", "")).encode("latin-1")

    async def _exchange(self, connection: Connection, head: bytes, body: Body, deadline: Deadline) -> Answer:
        keep = False
        try:
            answer = await connection.exchange(head, body, self._throttle, deadline)
            keep = connection.reusable
            return answer
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()
