"""Entries as journald takes them: their bytes, and how they reach a socket like journald's."""

import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from artifactd.log import journald
from artifactd.log.journald import Journal, entry, message
from artifactd.log.log import Form, configure
from artifactd.log.together import tell
from tests.support.process import PATIENCE

LINE: dict[str, Any] = {
    "time": "2026-09-01T00:00:00Z",
    "level": "info",
    "event": "artifact.exported",
    "schema": 1,
    "version": "1.2.3",
    "host": "host",
    "pid": 7,
    "user": "alice",
    "experiment_id": "one",
    "source": "alice/h2oai_experiment_one/train_preds.csv",
    "store": "file_system",
    "key": "alice/one/train_preds.csv",
    "uri": "file:///srv/exports/alice/one/train_preds.csv",
    "written": True,
    "seconds": 0.25,
    "outcome": "success",
}


def fields(datagram: bytes) -> dict[str, str]:
    """The entry as journald reads it (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/)."""
    found, rest = {}, datagram
    while rest:
        line, _, rest = rest.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        found[name.decode()] = value.decode()
    return found


def test_an_entry_has_a_message_a_priority_and_our_own_fields() -> None:
    assert fields(entry(LINE)) == {
        "MESSAGE": "artifact.exported alice/h2oai_experiment_one/train_preds.csv"
        " → file:///srv/exports/alice/one/train_preds.csv",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "artifactd",
        "ARTIFACTD_EVENT": "artifact.exported",
        "ARTIFACTD_SCHEMA": "1",
        "ARTIFACTD_VERSION": "1.2.3",
        "ARTIFACTD_USER": "alice",
        "ARTIFACTD_EXPERIMENT_ID": "one",
        "ARTIFACTD_SOURCE": "alice/h2oai_experiment_one/train_preds.csv",
        "ARTIFACTD_STORE": "file_system",
        "ARTIFACTD_KEY": "alice/one/train_preds.csv",
        "ARTIFACTD_URI": "file:///srv/exports/alice/one/train_preds.csv",
        "ARTIFACTD_WRITTEN": "true",
        "ARTIFACTD_SECONDS": "0.25",
        "ARTIFACTD_OUTCOME": "success",
    }


MESSAGES = {
    "a subject, a target and a reason": (
        {"source": "a/b", "key": "c/b", "reason": "denied"},
        "artifact.x a/b → c/b: denied",
    ),
    "a store": ({"store": "s3", "reason": "down", "retry_seconds": 1.0}, "artifact.x s3: down"),
    "an experiment": ({"experiment_id": "one"}, "artifact.x one"),
    "a reason only": ({"reason": "SIGTERM", "in_flight": 0}, "artifact.x in_flight=0: SIGTERM"),
    "neither": ({"files": 3, "new": 1, "schema": 1}, "artifact.x files=3 new=1"),
}


@pytest.mark.parametrize(("line", "said"), MESSAGES.values(), ids=MESSAGES)
def test_a_message_is_to_be_read(line: dict[str, Any], said: str) -> None:
    assert message({"event": "artifact.x", **line}) == said


@pytest.mark.parametrize(
    ("level", "priority"),
    [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")],
)
def test_levels_are_syslogs_priorities(level: str, priority: str) -> None:
    assert fields(entry({**LINE, "level": level}))["PRIORITY"] == priority


@given(st.dictionaries(st.sampled_from(["user", "source", "reason"]), st.text(), max_size=3))
def test_no_value_can_add_a_field_or_change_another(said: dict[str, str]) -> None:
    found = fields(entry({"event": "e", "level": "info", **said}))
    ours = {"ARTIFACTD_EVENT", *(f"ARTIFACTD_{name.upper()}" for name in said)}
    assert found.keys() == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", *ours}
    for name, value in said.items():
        assert found[f"ARTIFACTD_{name.upper()}"] == value


# --- on the way to journald ---


@pytest.fixture
def listening_journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.settimeout(PATIENCE)
        yield listening


def test_an_entry_is_one_datagram(listening_journald: socket.socket) -> None:
    Journal(listening_journald.getsockname()).write(entry(LINE) + b"\n")
    assert fields(listening_journald.recv(1 << 16)) == fields(entry(LINE))


def test_each_line_of_a_commit_is_a_datagram(
    listening_journald: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "SOCKET", listening_journald.getsockname())
    log = configure("info", Form.JOURNAL, common={"pid": 7})
    tell(log, logging.INFO, "artifact.exported", [{"user": '"alice"', "seq": "1"}, {"user": '"bob"'}])
    one, two = (fields(listening_journald.recv(1 << 16)) for _ in range(2))
    assert (one["ARTIFACTD_USER"], one["ARTIFACTD_SEQ"], two["ARTIFACTD_USER"]) == ("alice", "1", "bob")
    structlog.reset_defaults()


def test_an_entry_that_is_too_large_for_a_datagram_comes_as_a_sealed_file(
    listening_journald: socket.socket,
) -> None:
    large = {**LINE, "reason": "x" * (4 << 20)}
    Journal(listening_journald.getsockname()).write(entry(large) + b"\n")
    content, (fd,), _, _ = socket.recv_fds(listening_journald, 1 << 16, 1)
    assert content == b""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        assert fields(file.read()) == fields(entry(large))
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)


def test_without_journald_an_entry_is_lost_and_nothing_else(tmp_path: Path) -> None:
    Journal(str(tmp_path / "nobody")).write(entry(LINE))


def test_a_journald_that_does_not_read_costs_entries_and_little_time(
    listening_journald: socket.socket,
) -> None:
    log = Journal(listening_journald.getsockname())
    more_than_fit = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 2
    for _ in range(more_than_fit):
        log.write(entry(LINE))
    assert fields(listening_journald.recv(1 << 16))


JUDGES = "import os, sys; from artifactd.log import journald; print(journald.listens(os.environ, sys.stdout))"


def test_the_journal_is_used_only_where_it_is_at_the_other_end_of_stdout(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("wb") as file:
        status = os.fstat(file.fileno())
        for stream in (f"{status.st_dev}:{status.st_ino}", f"{status.st_dev}:{status.st_ino + 1}", ""):
            subprocess.run(
                [sys.executable, "-c", JUDGES],
                stdout=file,
                env={**os.environ, "JOURNAL_STREAM": stream},
                check=True,
            )
    assert out.read_text().split() == ["True", "False", "False"]


def test_the_socket_is_systemds_own() -> None:
    assert journald.SOCKET == "/run/systemd/journal/socket"
