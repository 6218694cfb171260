"""A file as a person names it to the daemon."""

import os
from pathlib import Path

import pytest

from artifactd.discovery.named import relative


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("data/alice/a", b"alice/a"),
        ("data/./alice/../bob", b"bob"),
        ("link/alice/a", b"alice/a"),
        ("data/..hidden/a", b"..hidden/a"),
        ("data/alice/to_outside", b"alice/to_outside"),
        ("data/alice/to_outside/a", b"alice/to_outside/a"),
        ("link/alice/to_bob/a", b"alice/to_bob/a"),
        ("to_alice/to_bob/a", b"alice/to_bob/a"),
        ("to_alice", None),
        ("data", None),
        ("data/", None),
        ("data2/a", None),
        ("data/../outside/a", None),
        ("/etc/passwd", None),
        ("", None),
    ],
)
def test_a_path_is_named_relative_to_the_data_directory_whichever_way_it_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, found: bytes | None
) -> None:
    base = Path(os.path.realpath(tmp_path))
    for directory in ("data/alice", "data/bob", "data2", "outside"):
        (base / directory).mkdir(parents=True)
    (base / "link").symlink_to("data")
    (base / "to_alice").symlink_to("data/alice")
    (base / "data/alice/to_outside").symlink_to(base / "outside")
    (base / "data/alice/to_bob").symlink_to(base / "data/bob")
    monkeypatch.chdir(base)
    assert relative(base / "data", path) == found


def test_a_name_of_any_bytes_has_a_relative_path(tmp_path: Path) -> None:
    base = Path(os.path.realpath(tmp_path))
    assert relative(base, os.fsdecode(os.fsencode(base) + b"/\xff\n")) == b"\xff\n"
