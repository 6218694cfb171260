"""Where the daemon answers: what may be written, and what it means."""

from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.listen import ALLOWED, Tcp, Unix, exposed, listen_at
from artifactd.config.problem import ConfigError

HEAD = 'enable_artifacts_upload = true\ndata_directory = "data"\n[health]\n'


@pytest.mark.parametrize(
    ("written", "reachable"),
    [
        ("127.0.0.1:9817", False),
        ("127.8.8.8:1", False),
        ("[::1]:65535", False),
        ("0.0.0.0:9817", True),
        ("[::]:9817", True),
        ("192.0.2.7:80", True),
        ("unix:/run/artifactd/health.sock", False),
    ],
)
def test_an_address_is_shown_as_it_was_written(written: str, *, reachable: bool) -> None:
    found = listen_at(written)
    assert str(found) == written
    assert repr(found) == f'"{written}"'
    assert exposed(found) is reachable


@pytest.mark.parametrize(
    "written",
    [
        "9817",
        ":9817",
        "localhost:9817",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:09817",
        "::1:9817",
        "[::1]",
        "[fe80::1%eth0]:9817",
        "http://127.0.0.1:9817",
        "127.0.0.1:9817/metrics",
        "user@127.0.0.1:9817",
        "unix:",
        "unix:health.sock",
        f"unix:/{'x' * 107}",
        "unix:/a\nb",
        "unix:/\ud800",
        9817,
        True,
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(written: object) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9817") as told:
        listen_at(written)
    assert ALLOWED in str(told.value)


def loaded(tmp_path: Path, table: str) -> tuple[object, str]:
    (tmp_path / "config.toml").write_text(HEAD + table)
    config = load(tmp_path / "config.toml", {})
    return config.health.listen, " ".join(config.warnings)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ('["a.example", "b"]', ("a.example", "b")),
        ('"a.example, b"', ("a.example", "b")),
        ('""', ()),
        ('["a:80"]', None),
        ('["http://a"]', None),
        ('["a b"]', None),
        ("[1]", None),
        ("true", None),
    ],
)
def test_names_of_the_listener_have_no_port(
    written: str, names: tuple[str, ...] | None, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[health]\nhosts = {written}")
    if names is None:
        with pytest.raises(ConfigError, match=r"health\.hosts: .* allowed: names of hosts without a port"):
            load(path, {})
    else:
        assert load(path, {}).health.hosts == names


def test_by_default_nobody_is_listened_to(tmp_path: Path) -> None:
    assert loaded(tmp_path, "")[0] is None
    assert loaded(tmp_path, 'listen = ""')[0] is None


def test_an_address_that_other_machines_can_reach_is_allowed_with_a_warning(tmp_path: Path) -> None:
    where, warnings = loaded(tmp_path, 'listen = "0.0.0.0:9817"')
    assert isinstance(where, Tcp)
    assert "health.listen: other machines can reach 0.0.0.0:9817" in warnings
    assert "health.listen" not in loaded(tmp_path, 'listen = "[::1]:9817"')[1]


def test_a_socket_in_the_data_directory_is_refused(tmp_path: Path) -> None:
    socket = tmp_path / "data" / "health.sock"
    with pytest.raises(ConfigError, match=r"health\.listen: .*lies in the data directory"):
        loaded(tmp_path, f'listen = "unix:{socket}"')
    assert loaded(tmp_path, f'listen = "unix:{tmp_path}/health.sock"')[0] == Unix(tmp_path / "health.sock")


def test_a_wrong_address_is_told_with_its_place_and_its_mend(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r'health\.listen: found "localhost:1"; allowed: "127\.0\.0\.1:9817"'
    ):
        loaded(tmp_path, 'listen = "localhost:1"')
