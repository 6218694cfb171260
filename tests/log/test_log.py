import io
import json
import logging
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.typing import FilteringBoundLogger as Log

from artifactd.log.lines import COMMON, LINES, SCHEMA
from artifactd.log.log import Form, configure
from artifactd.log.together import tell

CANARY = "c4n/ary +s3cret"
IDENTITY = {"version": "1.2.3", "host": "host", "pid": 7}


@pytest.fixture(autouse=True)
def structlog_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class Said:
    """A log, and what it says."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def log(self, level: str = "debug", *, console: bool = False, secrets: tuple[str, ...] = ()) -> Log:
        form = Form.CONSOLE if console else Form.JSON
        return configure(level, form, common=IDENTITY, secrets=secrets)

    def raw(self) -> bytes:
        return self._capture.readouterr().out

    def line(self) -> dict[str, Any]:
        """The one line that was said."""
        raw = self.raw()
        assert raw.count(b"\n") == 1
        assert raw.endswith(b"\n")
        line: dict[str, Any] = json.loads(raw)
        return line


@pytest.fixture
def said(capsysbinary: pytest.CaptureFixture[bytes]) -> Said:
    return Said(capsysbinary)


# --- lines ---


def test_a_line_says_what_is_common_first_and_then_its_own(said: Said) -> None:
    said.log().warning("watch.missed", count=3)
    line = said.line()
    assert tuple(line) == (*COMMON, "count")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert line == {"level": "warning", "event": "watch.missed", "schema": SCHEMA, **IDENTITY, "count": 3}


def test_values_keep_their_types(said: Said) -> None:
    values = {
        "text": "é",
        "whole": 7,
        "part": 0.5,
        "yes": True,
        "nothing": None,
        "list": [1, "a"],
        "map": {"a": 1},
    }
    said.log().info("event", **values)
    assert said.line().items() >= values.items()


def test_what_json_has_no_word_for_is_text(said: Said) -> None:
    said.log().info("event", path=Path("/a\nb"), pair=(1, 2), raw=b"\xff")
    line = said.line()
    assert (line["path"], line["pair"], line["raw"]) == ("/a\\x0ab", [1, 2], "b'\\xff'")


@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_lines_of_the_level_and_above_are_said(said: Said, level: str, told: int) -> None:
    log = said.log(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("event")
    assert said.raw().count(b"\n") == told


def test_on_a_terminal_the_same_is_said_for_people(said: Said) -> None:
    said.log(console=True).info("artifact.exported", key="alice/one/mojo.zip")
    raw = said.raw()
    assert b"artifact.exported" in raw
    assert b"alice/one/mojo.zip" in raw
    assert raw.count(b"\n") == 1


# --- hostile values ---

HOSTILE = {
    "a line feed": ("a\nb", "a\\x0ab"),
    "a delete": ("rm\x7f", "rm\\x7f"),
    "a terminal's escape": ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
    "a C1 control": ("\x9b31m", "\\u009b31m"),
    "Unicode's line separator": ("a\u2028b", "a\\u2028b"),
    "a change of direction": ("a\u202egpj", "a\\u202egpj"),
    "a byte that is no UTF-8": ("a\udcffb", "a\\xffb"),
    "a lone surrogate": ("a\ud800b", "a\\ud800b"),
}


@pytest.mark.parametrize("console", [False, True], ids=["json", "console"])
@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_would_break_a_line_hide_or_drive_a_terminal_is_escaped_however_deep_it_lies(
    said: Said, text: str, shown: str, *, console: bool
) -> None:
    said.log(console=console).info("event", plain=text, deep={"list": [{text: (text,)}]})
    if console:
        raw = re.sub(rb"\x1b\[\d*m", b"", said.raw())  # its own colours
        assert text.encode("utf-8", "surrogatepass") not in raw
        assert raw.count(b"\n") == 1
        assert b"\x1b" not in raw
    else:
        line = said.line()
        assert (line["plain"], line["deep"]) == (shown, {"list": [{shown: [shown]}]})


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


surrogates = st.characters(categories=["Cs"])


@given(st.dictionaries(st.sampled_from(["reason", "source", "key"]), values | surrogates))
def test_any_value_makes_one_line_of_ascii_that_is_json(fields: dict[str, Any]) -> None:
    stdout = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(stdout)) as text:
        configure("info", Form.JSON, common=IDENTITY).info("event", **fields)
        raw = stdout.getvalue()
        text.detach()
    assert re.fullmatch(rb"[ -~]+\n", raw)
    assert json.loads(raw).keys() == {*COMMON, *fields}


# --- lines that are told at once ---

EVENT = "artifact.exported"


def stamped(form: Form, tell: Callable[[Log], object]) -> list[bytes]:
    """What the log says, without the times, which differ."""
    stdout = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(stdout)) as text:
        tell(configure("info", form, common=IDENTITY, secrets=(CANARY,)))
        raw = stdout.getvalue()
        text.detach()
    return re.sub(rb"20\d\d-\d\d-\d\dT[\d:.]+Z", b"", raw).splitlines(keepends=True)


@pytest.mark.parametrize("form", [Form.JSON, Form.CONSOLE])
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(LINES[EVENT]), scalars | st.sampled_from(["100%", 'v"1"', f"a{CANARY}"])
        ),
        min_size=1,
        max_size=3,
    )
)
def test_lines_of_a_commit_are_those_that_are_told_one_by_one(form: Form, each: list[dict[str, Any]]) -> None:
    def one_by_one(log: Log) -> None:
        for fields in each:
            told = {name: fields[name] for name in LINES[EVENT] if fields.get(name) not in (None, "")}
            log.info(EVENT, **told)

    texts = [{name: json.dumps(value) for name, value in fields.items()} for fields in each]
    assert stamped(form, lambda log: tell(log, logging.INFO, EVENT, texts)) == stamped(form, one_by_one)


def test_a_pipe_gets_no_part_of_a_line_at_a_time_or_a_kill_would_tear_it() -> None:
    lines = [{"key": json.dumps("k" * size)} for size in (*range(0, 1500, 60), 3900)]
    reads, writes = os.pipe2(os.O_DIRECT)  # in packets: each is what one write(2) wrote, up to PIPE_BUF
    with os.fdopen(reads, "rb", buffering=0) as pipe:
        with io.TextIOWrapper(os.fdopen(writes, "wb")) as stream, redirect_stdout(stream):
            tell(configure("debug", Form.JSON, common=IDENTITY), logging.INFO, EVENT, lines)
        packets = list(iter(lambda: pipe.read(select.PIPE_BUF), b""))
    whole = [packet for packet in packets if packet.startswith(b"{") and packet.endswith(b"\n")]
    assert len(packets) < len(lines), "several at a time, where they fit"
    assert len(packets) - len(whole) <= 2, "only the line that no packet takes is in two"
    assert b"".join(packets).count(b"\n") == len(lines)


# --- secrets ---


class Leaky:
    def __str__(self) -> str:
        return f"connection to https://user:{CANARY}@host"


@pytest.mark.parametrize("console", [False, True], ids=["json", "console"])
def test_a_secret_is_masked_wherever_it_stands(said: Said, *, console: bool) -> None:
    log = said.log(console=console, secrets=(CANARY, "", "abc"))
    address = "https://user:c4n%2Fary%20%2Bs3cret@host"
    log.info("event", plain=CANARY, inside=f"a{CANARY}b", deep=[{CANARY: CANARY}], other=Leaky(), uri=address)
    try:
        int(CANARY)
    except ValueError:
        log.exception("event")
    raw = said.raw()
    for form in (CANARY, "c4n", "s3cret"):
        assert form.encode() not in raw
    assert raw.count(b"***") >= 7


def test_a_secret_too_short_to_be_one_masks_nothing(said: Said) -> None:
    said.log(secrets=("", "abc")).info("event", text="abcdef")
    assert said.line()["text"] == "abcdef"


# --- a stream that does not take the line ---

LOGGING = """
import logging, os, sys
from artifactd.log.log import Form, configure
from artifactd.log.together import tell
log = configure("info", Form.JSON, common={})
if "at once" in sys.argv:
    tell(log, logging.INFO, "artifact.exported", [{"seq": str(number)} for number in range(2000)])
else:
    for number in range(2000):
        log.info("event", number=number)
if len(sys.argv) > 1:
    os.unlink(sys.argv[1])
    log.info("after")
sys.stderr.write("survived")
sys.stderr.flush()
os._exit(0)
"""


def run_logging(stdout: int, *arguments: str) -> str:
    """What a process says on standard error that logs to `stdout`."""
    done = subprocess.run(
        [sys.executable, "-c", LOGGING, *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stderr


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    with Path("/dev/full").open("wb") as full:
        assert run_logging(full.fileno()) == "survived"


@pytest.mark.parametrize("how", ["one by one", "at once"])
def test_after_a_full_disk_the_log_goes_on_with_whole_lines(
    tmp_path: Path, tmpfs: Callable[[Path, str], Path], how: str
) -> None:
    disk = tmpfs(tmp_path / "disk", "64k")
    (disk / "ballast").write_bytes(bytes(32 << 10))
    with (disk / "log").open("wb") as file:
        assert run_logging(file.fileno(), str(disk / "ballast"), how) == "survived"
    events = [json.loads(line)["event"] for line in (disk / "log").read_text().splitlines()]
    assert events[-1] == "after"
    assert 100 < len(events) < 2000


def test_a_reader_that_hung_up_is_told_to_whoever_logs() -> None:
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        gone.wait()
        assert gone.stdin is not None
        assert "BrokenPipeError" in run_logging(gone.stdin.fileno())


# --- libraries ---

TALKS = """
import logging
from artifactd.log.log import Form, configure
configure("info", Form.JSON, common={})
for library in ("azure.identity", "botocore.credentials", "msal.token", "urllib3.connectionpool"):
    logging.getLogger(library).warning("a secret, perhaps")
"""


def test_what_sdks_say_by_themselves_reaches_nobody() -> None:
    done = subprocess.run([sys.executable, "-c", TALKS], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
