"""The files of the systemd service: what is shipped holds together, fits the site, and confines."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.config.assemble import load
from artifactd.config.document import SECRETS
from artifactd.service import systemd_unit
from artifactd.service.service import _DRAIN_SECONDS
from tests.support.process import Site

SHIPPED = Path(__file__).parents[2] / "systemd"
UNIT = SHIPPED / "artifactd.service"
EXPOSURE = 15
"""Tenths, as --threshold= takes them: 1.5 of 10."""


@pytest.fixture
def installed(site: Site) -> Path:
    """The unit as `install-service` writes it."""
    root = site.base / "root"
    site.ok("install-service", "--root", str(root))
    return root / "etc/systemd/system/artifactd.service"


def analyzed(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def settings(text: str) -> dict[str, list[str]]:
    """Name → values of a unit file's settings."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


# --- what systemd says of it ---


def test_systemd_finds_nothing_wrong_with_the_unit(installed: Path) -> None:
    done = analyzed("verify", "--recursive-errors=yes", "--man=no", str(installed))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_find_a_word_that_is_wrong(installed: Path) -> None:
    installed.write_text(installed.read_text().replace("ProtectClock=", "ProtectClocks="))
    done = analyzed("verify", "--recursive-errors=yes", "--man=no", str(installed))
    assert done.returncode != 0
    assert "ProtectClocks" in done.stderr


@pytest.mark.parametrize("file", ["installed", "shipped"])
def test_the_exposure_is_at_most_one_and_a_half_of_ten(installed: Path, file: str) -> None:
    path = installed if file == "installed" else UNIT
    done = analyzed("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(path))
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_the_exposure_is_measured(installed: Path) -> None:
    installed.write_text(re.sub(r"^Protect.*\n", "", installed.read_text(), flags=re.MULTILINE))
    done = analyzed("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(installed))
    assert done.returncode != 0


# --- what is shipped ---


def test_every_secret_has_its_credential_and_none_that_is_missing_stops_the_start() -> None:
    credentials = settings(UNIT.read_text())["LoadCredential"]
    assert sorted(credentials) == sorted(f"{key}:artifactd.{key}" for key in SECRETS)
    assert not [one for one in credentials if "/" in one], "of an absolute path that is missing a start fails"


def test_the_time_to_stop_is_longer_than_the_time_to_drain() -> None:
    assert float(settings(UNIT.read_text())["TimeoutStopSec"][0]) > 2 * _DRAIN_SECONDS


@pytest.mark.parametrize("number", ["fs.inotify.max_user_watches", "fs.inotify.max_queued_events"])
def test_the_limits_of_inotify_are_such_as_the_kernel_knows(number: str) -> None:
    (value,) = re.findall(
        rf"^{re.escape(number)} = (\d+)$", (SHIPPED / "artifactd.sysctl.conf").read_text(), re.MULTILINE
    )
    assert Path("/proc/sys", number.replace(".", "/")).exists()
    assert int(value) >= 65536


def test_systemd_makes_the_account_and_the_directories(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
        more = ["--create"] if name == "tmpfiles" else []
        file = SHIPPED / f"artifactd.{name}.conf"
        done = subprocess.run(
            [tool, *more, f"--root={tmp_path}", file], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.replace("Creating", "").count("ailed")) == (0, 0), done.stderr
    accounts = (tmp_path / "etc/passwd").read_text()
    uid = next(line.split(":")[2] for line in accounts.splitlines() if line.startswith("artifactd:"))
    groups = {
        line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()
    }
    assert groups["dai"][3] == "artifactd"
    state = (tmp_path / "var/lib/artifactd").stat()
    assert (state.st_mode & 0o7777, state.st_uid, state.st_gid) == (0o710, int(uid), int(groups["dai"][2]))
    assert (tmp_path / "etc/credstore").stat().st_mode & 0o7777 == 0o700


# --- what depends on the site ---


def site_of(site: Site, *more: str) -> dict[str, list[str]]:
    printed = site.ok("install-service", "--print", *more)
    return settings(printed.split("site.conf\n")[1])


def test_paths_group_and_network_are_the_sites(site: Site) -> None:
    said = site_of(site, "--group", "h2o")
    assert said["Group"] == ["h2o"]
    assert said["Environment"] == [f"ARTIFACTD_CONFIG={site.config}"]
    assert said["ExecStart"][1].endswith("/bin/artifactd run")
    assert said["ExecReload"][1].endswith("/bin/artifactd reload")
    assert (said["IPAddressDeny"], said["IPAddressAllow"]) == (["any"], ["localhost"])


def test_what_lies_in_a_home_or_in_tmp_is_mounted_where_the_rest_of_it_is_hidden(site: Site) -> None:
    said = site_of(site)
    assert str(site.data) in said["BindReadOnlyPaths"]
    assert said["BindPaths"] == [str(site.state), str(site.exports)]
    site.config.write_text(
        site.config.read_text().replace('"data"', '"/home/dai/tmp"').replace('"exports"', '"/srv/a b"')
    )
    said = site_of(site)
    assert said["ProtectHome"] == ["tmpfs"]
    assert "/home/dai/tmp" in said["BindReadOnlyPaths"]
    assert said["ReadWritePaths"] == ['"/srv/a b"']


def test_a_site_with_a_bucket_may_speak_to_other_hosts(site: Site) -> None:
    site.environment |= {"DRIVERLESS_AI_ARTIFACTS_STORE": "s3", "DRIVERLESS_AI_ARTIFACTS_S3_BUCKET": "bucket"}
    said = site_of(site)
    assert "IPAddressDeny" not in said
    assert str(site.exports) not in said["BindPaths"]


def test_another_group_is_named_in_all_files(site: Site) -> None:
    root = site.base / "root"
    site.ok("install-service", "--root", str(root), "--group", "h2o")
    for place in systemd_unit.PLACES:
        if "sysctl" not in place and not place.endswith("artifactd.service"):
            text = re.sub("^#.*", "", (root / place).read_text(), flags=re.MULTILINE)
            assert re.search(r"\bh2o\b", text)
            assert not re.search(r"\bdai\b", text)


def test_uninstalling_removes_what_was_installed_and_nothing_else(site: Site) -> None:
    root = site.base / "root"
    site.ok("install-service", "--root", str(root))
    own = root / "etc/systemd/system/artifactd.service.d/own.conf"
    own.write_text("[Service]\n")
    site.ok("uninstall-service", "--root", str(root))
    assert [path for path in root.rglob("*") if path.is_file()] == [own]
    assert "removed" not in site.ok("uninstall-service", "--root", str(root))


def test_where_the_files_cannot_be_written_it_says_so(site: Site) -> None:
    (site.base / "root").write_text("a file")
    done = site.command("install-service", "--root", str(site.base / "root"))
    assert (done.returncode, "Not a directory" in done.stderr) == (1, True)


def test_a_configuration_with_problems_is_not_installed(site: Site) -> None:
    site.configure(quiet=-1)
    assert site.command("install-service", "--root", str(site.base / "root")).returncode == 3
    assert not (site.base / "root").exists()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1))
def test_a_path_is_one_word_of_a_unit_file_whatever_is_in_it(text: str) -> None:
    word = systemd_unit.quoted(text)
    assert "\n" not in word
    if word.startswith('"'):
        inner = word[1:-1]
        assert re.fullmatch(r'(?:[^"\\]|\\["\\n])*', inner)
        word = re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), inner)
    assert word.replace("%%", "%") == text


def test_the_shipped_unit_starts_what_its_comment_says(site: Site) -> None:
    config = load(site.config, {})
    found = systemd_unit.files(
        config, Path("/etc/artifactd/config.toml"), Path("/opt/artifactd/bin/artifactd"), "dai"
    )
    assert found[systemd_unit.PLACES[0]] == UNIT.read_text()
    assert "ExecStart=/opt/artifactd/bin/artifactd run" in UNIT.read_text()
