"""Where a hinted experiment lies, found out beside the deciding thread: every user's folder is looked at.

A thousand users take 12 ms, and a data directory that hangs takes for ever. Only hints wait for that.
"""

import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from artifactd.discovery.named import experiments
from artifactd.mirror.answers import final
from artifactd.mirror.by_hand import Place
from artifactd.service.control import Request

_AT_ONCE: Final = 1_000
"""Hints that wait to be looked up. A scan finds what more would have told of."""


class Lookup:
    """Looks one hint up after the other, in a thread of its own. `found` is called in that thread."""

    def __init__(self, found: Callable[[Request, Sequence[Place]], None]) -> None:
        self._found = found
        self._asked: queue.Queue[tuple[Path, Request]] = queue.Queue(_AT_ONCE)
        threading.Thread(target=self._serve, name="hint", daemon=True).start()

    def ask(self, data_directory: Path, request: Request) -> None:
        """Look up the folders of the experiment that `request` names. From any thread; it never blocks."""
        try:
            self._asked.put_nowait((data_directory, request))
        except queue.Full:
            request.answer(final(ok=False, reason="too many hints wait already: a scan finds the artifacts"))

    def _serve(self) -> None:
        while True:
            data_directory, request = self._asked.get()
            folders = experiments(data_directory, hinted(request))
            self._found(request, [Place(one, _may_vouch(data_directory, one, request)) for one in folders])


def _may_vouch(data_directory: Path, folder: bytes, request: Request) -> bool:
    """Whether who asks may say that the folder is complete: its owner, as Driverless AI is of what it writes.

    From anybody else a hint would end the quiet period of another user's half-written file.
    """
    if request.trusted:
        return True
    try:
        return os.lstat(os.fsencode(data_directory) + b"/" + folder).st_uid == request.uid
    except OSError:
        return False


def hinted(request: Request) -> bytes:
    """The experiment's id."""
    return os.fsencode(str(request.fields.get("experiment", "")))
