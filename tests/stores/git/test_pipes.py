"""What a process writes is taken piece by piece, and not for ever."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from artifactd.stores.git.pipes import TooMuch, converse, into


@contextmanager
def shell(script: str) -> Iterator["subprocess.Popen[bytes]"]:
    """It runs for as long as the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def test_more_than_the_pipes_hold_goes_through_them() -> None:
    content, output = bytes(range(256)) * 4096, bytearray()
    with shell("exec tee /dev/stderr") as process:
        said = converse(process, content, into(output, len(content)), 256, 60.0)
    assert (bytes(output), said, process.returncode) == (content, content[-256:], 0)


def test_who_reads_nothing_may_still_answer() -> None:
    output = bytearray()
    with shell("exec 0<&-; echo well; exit 3") as process:
        assert converse(process, bytes(1 << 20), into(output, 100), 100, 60.0) == b""
    assert (bytes(output), process.returncode) == (b"well\n", 3)


def test_output_has_an_end() -> None:
    with shell("exec yes") as process, pytest.raises(TooMuch, match="more than 1000000 bytes"):
        converse(process, b"", into(bytearray(), 1_000_000), 100, 60.0)


@pytest.mark.parametrize("script", ["exec yes >&2", "exec sleep 60", "exec sleep 60 >&- 2>&-"])
def test_whatever_it_does_it_has_so_long(script: str) -> None:
    with shell(script) as process, pytest.raises(TimeoutError):
        converse(process, b"", into(bytearray(), 100), 100, 0.5)
