"""Commands whose destination hangs, in calls that no signal ends."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.process import PATIENCE, Site, until


@pytest.fixture
def hang(site: Site, hanging: Callable[[Path], Path]) -> Iterator[Path]:
    """What has the destination of the site hang, which has a copy."""
    behind = hanging(site.exports)
    site.write("train_preds.csv")
    site.ok("sync")
    hang = behind / "hang"
    hang.touch()
    yield hang
    hang.unlink()


@pytest.fixture
def dead(site: Site, hang: Path) -> Site:
    """The site whose destination hangs."""
    assert hang.exists()
    return site


def test_a_verification_says_which_store_hangs_and_ends_with_13(dead: Site) -> None:
    done = dead.command("verify", "--timeout", "0.2", "--json")
    assert done.returncode == 13, done.stderr
    *problems, _ = map(json.loads, done.stdout.splitlines())
    assert {(one["problem"], one["store"]) for one in problems} == {("unreadable", "file_system")}
    silent = "it did not answer within 0.2 s, and is not asked again"
    mend = f"see whether its mount is dead: findmnt --target {dead.exports}"
    assert {one["reason"] for one in problems} == {f"{silent}: {mend}"}
    (row,) = dead.json("list", "--json")
    assert row["state"] == "proven", "nothing is known of it, and nothing is lost"


def test_a_check_says_which_store_hangs_and_makes_the_others(dead: Site) -> None:
    done = dead.command("check", "--timeout", "0.2", "--json")
    assert done.returncode == 7, done.stderr
    found = {one["check"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert found["store file_system"]["found"] == "it hangs: 0.2 s without an answer"
    assert found["clock"]["ok"]


def test_a_plan_ends_where_a_destination_hangs(dead: Site) -> None:
    dead.write("test_preds.csv")
    done = dead.command("plan", "--timeout", "0.2")
    assert done.returncode == 0, done.stderr
    assert "to file_system: 1 file, 22 B" in done.stderr


@pytest.mark.parametrize("command", ["verify", "check", "plan"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_at_once_what_hangs(dead: Site, hang: Path, command: str, number: int) -> None:
    process = subprocess.Popen(dead.arguments(command), env=dead.environment)
    try:
        until(lambda: hang.read_text() == "asked", "it hangs")
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        assert hang.exists(), "and nobody has helped it"
    finally:
        process.kill()


def test_a_verification_gives_up_a_server_that_takes_connections_and_never_answers(site: Site) -> None:
    site.write("train_preds.csv")
    site.ok("sync")
    with socket.create_server(("127.0.0.1", 0)) as server:
        site.environment |= {
            "DRIVERLESS_AI_ARTIFACTS_STORE": "file_system,S3",
            "DRIVERLESS_AI_ARTIFACTS_S3_BUCKET": "exports",
            "DRIVERLESS_AI_AWS_ACCESS_KEY_ID": "who",
            "DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY": "secret",
            "DRIVERLESS_AI_AWS_S3_ENDPOINT_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
        }
        done = site.command("verify", "--timeout", "0.5")
    assert done.returncode == 13, done.stderr
    assert "unreadable  s3  _artifactd/anchors/  it did not answer within 0.5 s" in done.stderr
    assert done.stdout.startswith("1 copy and the record verified"), "the other store is verified"
