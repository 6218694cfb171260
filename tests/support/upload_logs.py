"""An upload log of the tests' own that survives kill -9: one line of JSON for each thing written down."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from artifactd.artifact import Digest, Key
from artifactd.stores.objects.unfinished import InMemory, Unfinished, UploadLog


class Written(UploadLog):
    """An `InMemory` upload log whose calls are in a file as well; a new one on the file knows them all."""

    def __init__(self, file: Path) -> None:
        self._in_memory = InMemory()
        self._lock = Lock()
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines:
            self._apply(*json.loads(line))
        self._fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def begun(self, unfinished: Unfinished) -> None:
        self._write("begun", {**dataclasses.asdict(unfinished), "key": unfinished.key.text})

    def has(self, upload: str, number: int, name: str) -> None:
        self._write("has", upload, number, name)

    def ended(self, upload: str) -> None:
        self._write("ended", upload)

    def unfinished(self, store: str) -> Sequence[Unfinished]:
        return self._in_memory.unfinished(store)

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, *call: Any) -> None:  # noqa: ANN401 - what JSON takes
        with self._lock:
            os.write(self._fd, json.dumps(call).encode() + b"\n")
            os.fdatasync(self._fd)
            self._apply(*call)

    def _apply(self, what: str, *told: Any) -> None:  # noqa: ANN401 - as above
        if what == "begun":
            (one,) = told
            parts = {int(number): name for number, name in one["parts"].items()}
            one = {**one, "key": Key(one["key"]), "digest": Digest(one["digest"]), "parts": parts}
            self._in_memory.begun(Unfinished(**one))
        elif what == "has":
            self._in_memory.has(*told)
        else:
            self._in_memory.ended(*told)


class Torn(UploadLog):
    """An upload log that cannot be read or written: its disk is full."""

    def begun(self, unfinished: Unfinished) -> None:  # noqa: ARG002 - it fails whatever it is told
        raise OSError(28, "No space left on device")

    def has(self, upload: str, number: int, name: str) -> None:  # noqa: ARG002 - as above
        raise OSError(28, "No space left on device")

    def ended(self, upload: str) -> None:  # noqa: ARG002 - as above
        raise OSError(28, "No space left on device")

    def unfinished(self, store: str) -> Sequence[Unfinished]:  # noqa: ARG002 - as above
        raise OSError(28, "No space left on device")
