"""Where nobody reads what a command prints, or it finds no room: no traceback, and a true exit code."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from artifactd.cli.output import Output, Unprinted
from tests.support.process import Site

FULL = Path("/dev/full")
LONG = "x" * (1 << 20)


def test_a_full_disk_is_an_error_once_and_what_is_printed_afterwards_is_dropped() -> None:
    with Output(FULL.open("w"), needed=True) as output:
        with pytest.raises(Unprinted, match="No space left on device"):
            print(LONG, file=output, flush=True)
        print(LONG, file=output, flush=True)
        assert not output.gone


def test_what_finds_no_room_only_when_it_is_flushed_is_an_error_then() -> None:
    with Output(FULL.open("w"), needed=True) as output:
        print("short", file=output)
        with pytest.raises(Unprinted):
            output.flush()


def test_a_stream_that_is_not_needed_tells_nobody() -> None:
    with Output(FULL.open("w"), needed=False) as output:
        print(LONG, file=output, flush=True)


def test_a_reader_who_has_gone_is_no_error_and_is_known() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with Output(os.fdopen(writer, "w"), needed=True) as output:
        assert not output.gone
        print("anybody there?", file=output, flush=True)
        assert output.gone
        print(LONG, file=output, flush=True)


@pytest.mark.parametrize(("encoding", "printed"), [("ascii", "é"), ("utf-8", "é"), ("latin-1", "é")])
def test_what_is_printed_is_encoded_as_the_terminal_has_it_and_ascii_is_no_reason_to_fail(
    tmp_path: Path, encoding: str, printed: str
) -> None:
    file = tmp_path / "out"
    with Output(file.open("w", encoding=encoding), needed=True) as output:
        print(printed, file=output, end="")
    assert file.read_text("utf-8" if encoding == "ascii" else encoding) == printed


def test_the_exit_code_stays_true_whatever_becomes_of_the_output(exported: Site) -> None:
    exported.files()["alice/one/train_preds.csv"].unlink()
    expected = [
        ("verify", "| head -0", 12, "missing"),
        ("audit", ">/dev/full", 1, "standard output takes no more: No space left on device"),
        ("verify", ">&- 2>&- <&-", 12, ""),
        ("sync", "| head -0", 1, "nobody reads the log any more"),
    ]
    for command, redirected, code, said in expected:
        line = f"set -o pipefail; {shlex.join(exported.arguments(command))} {redirected}"
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, check=False, env=exported.environment
        )
        assert done.returncode == code, (command, redirected, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr
