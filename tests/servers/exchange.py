"""One request through the proxy and its answer back, with the fault that it meets."""

import select
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Final, assert_never

from tests.servers.faults import (
    Answer,
    Blackhole,
    Delay,
    Flip,
    FlipAnswer,
    Hide,
    LoseAnswer,
    Misheard,
    Refuse,
    Reset,
    Seen,
    Slow,
    Truncate,
    What,
)
from tests.servers.integrity import verdict
from tests.servers.messages import (
    PIECE,
    Head,
    LostError,
    Stream,
    UntilClose,
    framing_of_request,
    framing_of_response,
)
from tests.servers.ways import Pieces, Torn, Way, unchanged, ways

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_SERVER_DECIDES: Final = 1.0  # seconds until the body is asked for in its place, as clients do
_IN_MEMORY: Final = 1024 * 1024

Bring = Callable[[Stream, Head], bool]
"""What happens to an answer; whether the client's connection goes on."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request whose head was read."""

    head: Head
    seen: Seen
    client: Stream
    connect: Callable[[], AbstractContextManager[Stream]]
    """a new connection to the server"""
    closing: threading.Event
    checking: bool

    def run(self, what: What | None) -> bool:
        """Do it; whether the client's connection goes on.

        Raises:
            Torn, Ended: the fault wants it so.
            LostError, OSError: one of the two connections was lost.
        """
        match what:
            case Answer():
                return self._say(what)
            case Blackhole(released):
                return self._swallow(released)
            case LoseAnswer():
                return self._pass_on(unchanged, self._lose)
            case Hide():
                return self._pass_on(unchanged, self._hide)
            case Misheard(head):
                return replace(self, head=Head(head(self.head.raw))).run(None)
            case None | Delay() | Reset() | Truncate() | Flip() | FlipAnswer() | Slow():
                if isinstance(what, Delay):
                    self.closing.wait(what.seconds)
                    what = None
                sent, received = ways(what, self.closing)
                return self._pass_on(sent, partial(self._bring, way=received))
            case Refuse():
                raise AssertionError("it is for connections")
            case _:
                assert_never(what)

    # --- to the server ---

    def _pass_on(self, way: Way, bring: Bring) -> bool:
        body = way(self.client.pieces(framing_of_request(self.head)))
        if not self.checking:
            return self._relay(body, bring)
        self._permit()
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:  # nothing may reach the server unchecked
            for piece in body:  # writelines() would keep all of it in memory first
                spool.write(piece)
            spool.seek(0)
            refusal = verdict(self.seen, iter(partial(spool.read, PIECE), b""))
            if refusal is not None:
                return self._tell(refusal)
            spool.seek(0)
            return self._relay(iter(partial(spool.read, PIECE), b""), bring)

    def _relay(self, body: Pieces, bring: Bring) -> bool:
        with self.connect() as server:
            server.socket.sendall(self.head.raw)
            if self._expects and not self.checking:
                decided = self._decision(server)
                if decided is not None:
                    bring(server, decided)
                    return False  # nobody knows whether the body comes now
            try:
                server.send(framing_of_request(self.head), body)
            except OSError:  # the server wants no more, and has perhaps said why
                for _ in body:
                    pass
            return bring(server, _final(server))

    def _decision(self, server: Stream) -> Head | None:
        """The answer, where there is one before the body; else the client was told to send it."""
        if select.select([server.socket], [], [], _SERVER_DECIDES)[0]:
            head = _next(server)
            if head.status != HTTPStatus.CONTINUE:
                return head
        self._permit()
        return None

    @property
    def _expects(self) -> bool:
        return self.seen.headers.get("expect", "").lower() == "100-continue"

    def _permit(self) -> None:
        if self._expects:
            self.client.socket.sendall(_CONTINUE)

    # --- to the client ---

    def _bring(self, server: Stream, answer: Head, way: Way) -> bool:
        framing = framing_of_response(answer, self.seen.method)
        self.client.socket.sendall(answer.raw)
        self.client.send(framing, way(server.pieces(framing)))
        return not answer.closes and framing != UntilClose()

    def _lose(self, server: Stream, answer: Head) -> bool:
        self._discard(server, answer)
        raise Torn

    def _hide(self, server: Stream, answer: Head) -> bool:
        if answer.status != HTTPStatus.NOT_FOUND:
            return self._bring(server, answer, unchanged)
        self._discard(server, answer)
        return self._tell(Answer.s3(HTTPStatus.FORBIDDEN, "AccessDenied"))

    def _discard(self, server: Stream, answer: Head) -> None:
        for _ in server.pieces(framing_of_response(answer, self.seen.method)):
            pass

    def _say(self, answer: Answer) -> bool:
        self._read()
        return self._tell(answer)

    def _tell(self, answer: Answer) -> bool:
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        lines = [
            f"HTTP/1.1 {answer.status} Injected",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        body = b"" if self.seen.method == "HEAD" else answer.body
        self.client.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return True

    def _read(self) -> None:
        self._permit()
        for _ in self.client.pieces(framing_of_request(self.head)):
            pass

    def _swallow(self, released: threading.Event) -> bool:
        self._read()
        released.wait()
        raise Torn


def _final(server: Stream) -> Head:
    """The answer's head; what comes before it, as 100 Continue, is passed over."""
    while (head := _next(server)).status < HTTPStatus.OK:
        pass
    return head


def _next(server: Stream) -> Head:
    head = server.head()
    if head is None:
        raise LostError("the server said nothing")
    return head


def reset_at_close(connected: socket.socket) -> None:
    """Let close() send RST instead of FIN (socket(7), SO_LINGER)."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
