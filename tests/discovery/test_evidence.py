import fcntl
import io
import os
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.settle import Writers
from artifactd.discovery.evidence import prepare, writers, zip_problem

PATIENCE = 120.0
"""Seconds after which what should have happened never will."""


# --- who has it open ---


@pytest.fixture
def file(tmp_path: Path) -> Path:
    prepare()
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


HOLD = """
import mmap, os, sys
how, path = sys.argv[1:]
fd = os.open(path, os.O_RDWR if how.endswith("write") else os.O_RDONLY)
if how.startswith("map"):
    mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_READ if how == "map to read" else mmap.ACCESS_WRITE)
    os.close(fd)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(how: str, path: Path) -> Iterator[None]:
    """Another process holds the file, for the length of the block."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, how, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield
    finally:
        child.communicate()


@contextmanager
def reading(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ("read", Writers.NONE),
        ("write", Writers.SOME),
        ("map to write", Writers.SOME),
        ("map to read", Writers.NONE),
    ],
)
def test_the_kernel_says_whether_another_process_can_write(file: Path, how: str, found: Writers) -> None:
    with reading(file) as fd:
        with held(how, file):
            assert writers(fd) is found
        assert writers(fd) is Writers.NONE


UNPRIVILEGED = """
import os, sys
from artifactd.discovery.evidence import writers
fd = os.open(sys.argv[1], os.O_RDONLY)
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)  # and with it CAP_LEASE is gone
print(writers(fd).value)
"""


def test_of_another_owners_file_nothing_is_known_without_the_capability(file: Path) -> None:
    if os.geteuid() != 0:
        file = Path("/etc/passwd")
    said = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, file], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"{Writers.UNKNOWN}\n"


def test_where_the_kernel_has_no_leases_nothing_is_known(tmp_path: Path) -> None:
    with reading(tmp_path) as directory:
        assert writers(directory) is Writers.UNKNOWN


def test_no_lease_is_left_behind(file: Path) -> None:
    with reading(file) as fd:
        writers(fd)
        assert fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_UNLCK
        os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))  # EWOULDBLOCK where a lease is held


PROBE = """
import os, select, sys
from artifactd.discovery.evidence import prepare, writers
prepare()
fd = os.open(sys.argv[1], os.O_RDONLY)
print("probing", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(100):
        writers(fd)
print("alive", flush=True)
"""


def test_a_writer_that_meets_the_lease_neither_waits_nor_kills_the_prober(file: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", PROBE, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "probing\n"
    met, deadline = 0, time.monotonic() + PATIENCE
    while met < 5:
        assert time.monotonic() < deadline, "the writer hardly ever met the lease, or waited for it"
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
        except BlockingIOError:
            met += 1
            os.close(os.open(file, os.O_WRONLY))  # a lease that stayed would hold this up for 45 seconds
    assert child.communicate("end", timeout=PATIENCE)[0] == "alive\n"


# --- zips ---


def a_zip(
    members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"", before: bytes = b""
) -> bytes:
    """As another program writes it."""
    file = io.BytesIO(before)
    with zipfile.ZipFile(file, "a", method) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def many(entries: int, name: str = "a", *, in_64_bits: bool = False) -> bytes:
    """One small file, named in the directory so many times."""
    plain = a_zip({name: b""}, zipfile.ZIP_STORED)
    *_, length, offset, _ = struct.unpack("<4s4H2LH", plain[-22:])
    directory = plain[offset : offset + length] * entries
    ends = b""
    if in_64_bits:
        ends += struct.pack(
            "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, len(directory), offset
        )
        ends += struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + len(directory), 1)
        ends += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    else:
        ends += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, entries, entries, len(directory), offset, 0)
    return plain[:offset] + directory + ends


def problem(content: bytes, size: int | None = None) -> str | None:
    """What `zip_problem` says of a file with this content; `size` is what is believed of it."""
    fd = os.memfd_create("zip")
    try:
        os.write(fd, content)
        return zip_problem(fd, len(content) if size is None else size)
    finally:
        os.close(fd)


def ending_with(comment: bytes) -> bytes:
    """A zip whose directory, and so what stands before its end record, ends with these bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo("a")
        member.comment = comment
        archive.writestr(member, b"content")
    return file.getvalue()


MODEL = {"mojo/model.ini": b"[info]\n" * 50, "mojo/trees/t00.bin": bytes(range(256))}
WHEEL = a_zip({"h2o/__init__.py": b""}, zipfile.ZIP_STORED)
WHOLE = {
    "deflated": a_zip(MODEL),
    "stored": a_zip(MODEL, zipfile.ZIP_STORED),
    "empty": a_zip({}),
    "with a comment": a_zip(MODEL, comment=b"of the pipeline"),
    "with the longest comment": a_zip(MODEL, comment=b"c" * 0xFFFF),
    "with a program before it": a_zip(MODEL, before=b"#!/bin/sh\nexec unzip $0\n"),
    "with a program before it that its offsets leave out": b"MZ program" + a_zip(MODEL),
    "with a zip inside": a_zip({"h2o.whl": WHEEL, **MODEL}, zipfile.ZIP_STORED),
    "with padding behind it": a_zip(MODEL) + bytes(100),
    "with names in UTF-8": a_zip({"modèle/é": b"x"}),
    "as many entries as 16 bits count": many(0xFFFF),
    "more entries than 16 bits count": many(0x10000, in_64_bits=True),
    "told in 64 bits without need": many(3, in_64_bits=True),
    "where a 64-bit locator would be, its mark alone": ending_with(b"PK\x06\x07" + bytes(16)),
    "where a 64-bit record would be, its mark alone": ending_with(b"PK\x06\x06" + bytes(72)),
}


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_a_whole_zip_has_no_problem(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.namelist()  # who else says so
    assert problem(content) is None


def test_an_ends_mark_in_a_zips_comment_is_not_its_end() -> None:
    """Python's own zipfile falls for it."""
    assert problem(a_zip(MODEL, comment=b"PK\x05\x06 is how a zip ends, and this does not")) is None


def test_a_zip_of_more_than_four_gibibytes_has_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.write(b"#!")
        file.truncate(5 << 30)  # a hole
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a", b"content")
    with reading(path) as fd:
        assert zip_problem(fd, path.stat().st_size) is None


members = st.dictionaries(
    st.text("ab/", min_size=1, max_size=6), st.binary(max_size=60) | st.just(WHEEL), max_size=3
)
zips = st.builds(
    a_zip, members, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), st.binary(max_size=30)
)


@given(zips)
def test_every_truncation_of_a_zip_is_refused(content: bytes) -> None:
    assert problem(content) is None
    whole = [size for size in range(len(content)) if problem(content[:size]) is None]
    assert whole == []


@pytest.mark.parametrize("cut", [0, 1, 200])
def test_a_zip_that_is_written_up_to_the_end_of_a_zip_inside_it_is_not_whole(cut: int) -> None:
    outer = a_zip({"h2o.whl": WHEEL, "more": bytes(1000)}, zipfile.ZIP_STORED)
    inside = outer.index(WHEEL) + len(WHEEL)
    said = problem(outer[: inside + cut])
    assert said == "a zip whose end belongs to a zip inside it: cut short, or still being written"


END = struct.Struct("<4s4H2LH")
BROKEN = {
    "nothing": (b"", "without its end"),
    "no zip": (b"a table\n" * 100, "without its end"),
    "no end": (a_zip(MODEL)[:-22], "without its end"),
    "half an end": (a_zip(MODEL)[:-10], "without its end"),
    "comment cut": (a_zip(MODEL, comment=b"comment")[:-1], "end is cut short"),
    "start missing": (a_zip(MODEL)[50:], "larger than the file"),
    "larger directory than file": (
        END.pack(b"PK\x05\x06", 0, 0, 1, 1, 0xFFFFFFF0, 0, 0),
        "larger than the file",
    ),
    "another number of entries": (
        a_zip(MODEL)[:-14] + b"\x09\x00\x09\x00" + a_zip(MODEL)[-10:],
        "does not read",
    ),
    "zeros for a directory": (
        bytes(1000) + END.pack(b"PK\x05\x06", 0, 0, 9, 9, 900, 100, 0),
        "does not read",
    ),
    "64 bits that are not there": (
        bytes(100) + END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0),
        "larger than the file",
    ),
    "a directory of exbibytes": (
        struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 1 << 63, 0)
        + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
        + END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0),
        "larger than the file",
    ),
}


@pytest.mark.parametrize(("content", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_zip_is_told_with_its_reason(content: bytes, said: str) -> None:
    assert said in (problem(content) or "no problem")


marks = st.sampled_from(
    [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"\xff" * 8, b"\0" * 20]
)
garbage = st.lists(marks | st.binary(max_size=30), max_size=12).map(b"".join)


@given(garbage, st.integers(0, 200))
def test_garbage_never_raises_not_even_while_it_is_cut(content: bytes, more: int) -> None:
    problem(content)
    problem(content, len(content) + more)


@given(zips, st.data())
def test_a_flipped_byte_never_raises(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    damaged[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    problem(bytes(damaged))


def read_so_far() -> int:
    """Bytes that this process has read, by proc_pid_io(5)."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize(
    ("content", "at_most"),
    [
        pytest.param(a_zip({"bomb": bytes(40 << 20)}), 128 << 10, id="40 MB of zeros"),
        pytest.param(b"PK\x05\x06" * 100_000, 128 << 10, id="nothing but ends"),
        pytest.param(many(40_000, "n" * 1000), 18 << 20, id="40 MB of directory"),
    ],
)
def test_a_hostile_zip_costs_little(content: bytes, at_most: int) -> None:
    fd = os.memfd_create("zip")
    os.write(fd, content)
    tracemalloc.start()
    before = read_so_far()
    zip_problem(fd, len(content))
    read = read_so_far() - before
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    os.close(fd)
    assert read < at_most
    assert peak < 4 << 20
