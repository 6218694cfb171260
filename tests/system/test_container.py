"""The container, built and run as a platform does it: any account, read-only, no shell, no network."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.process import CSV, until
from tests.system.containers import Compose, Sidecar
from tests.system.podman import IMAGE, Podman, podman, said

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

LARGE = 200 << 20
"""bytes: a copy takes long enough to be met on its way"""

GRACE_SECONDS = 40
"""As in compose.yaml."""

CANARY = "a-canary-of-the-tests"


@pytest.fixture(scope="session")
def engine() -> Iterator[Podman]:
    with podman() as found:
        yield found


@pytest.fixture
def start(engine: Podman, tmp_path: Path) -> Iterator[Callable[[str], Sidecar]]:
    made: list[Sidecar] = []

    def sidecar(user: str) -> Sidecar:
        made.append(Sidecar(engine, tmp_path, user))
        return made[-1]

    yield sidecar
    for one in made:
        engine("rm", "--force", "--volumes", "--time=0", one.name)


@pytest.fixture
def sidecar(start: Callable[[str], Sidecar]) -> Sidecar:
    return start("4321:7654")


def writing(name: str, size: int | None = None, experiment: str = "one") -> str:
    """A program that writes an artifact into Driverless AI's data directory."""
    content = f"open('/dev/urandom', 'rb').read({size})" if size else repr(CSV)
    folder = f"/tmp/alice/h2oai_experiment_{experiment}"  # noqa: S108 - where Driverless AI's container has it
    return (
        f"import os; os.makedirs({folder!r}, exist_ok=True)\n"
        f"with open({folder + '/' + name!r}, 'wb') as file: file.write({content})"
    )


def on_its_way(sidecar: Sidecar) -> bool:
    """Whether a part of a large copy is there, and no more."""
    return any(0 < path.stat().st_size < LARGE for path in sidecar.exports.glob(".artifactd/tmp/*"))


# --- the image ---


def test_the_image_is_small_and_says_what_it_is(engine: Podman) -> None:
    image = engine.inspect("image", IMAGE)
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image["Labels"].items()}
    assert labels["title"] == "artifactd"
    assert labels["licenses"] == "Apache-2.0"
    assert (labels["version"], labels["revision"]) == ("0.0.test", "of-the-tests")
    assert not [text for text in labels.values() if "://" in text]
    assert image["Size"] < 200e6
    assert (image["Config"]["Entrypoint"], image["Config"]["Cmd"]) == (["artifactd"], ["run"])
    assert image["Config"]["User"] == "10001:0"
    assert image["Healthcheck"]["Test"] == ["CMD", "artifactd", "status"]


def test_the_image_has_no_shell_no_package_manager_and_nothing_that_is_set_uid(engine: Podman) -> None:
    code = (
        "import os, shutil, stat\n"
        "names = ('sh', 'bash', 'dash', 'busybox', 'perl', 'apt', 'pip', 'pip3', 'su')\n"
        "print([name for name in names if shutil.which(name)])\n"
        "every = (os.path.join(top, name) for top, _, names in os.walk('/', onerror=None) for name in names\n"
        "         if not top.startswith(('/proc', '/sys', '/dev')))\n"
        "print([path for path in every if os.lstat(path).st_mode & (stat.S_ISUID | stat.S_ISGID)])\n"
    )
    run = ("run", "--rm", "--pull=never", "--network=none", "--user=0:0", "--entrypoint=python3")
    assert engine.ok(*run, IMAGE, "-c", code).split("\n")[:2] == ["[]", "[]"]


# --- what it does ---


@pytest.mark.parametrize("user", ["4321:7654", "12345:0", "1000730000:0", "0:0"])
def test_what_another_container_writes_is_exported_under_any_account(
    user: str, start: Callable[[str], Sidecar]
) -> None:
    sidecar = start(user)
    with sidecar.running() as daemon:
        sidecar.driverless_ai(writing("test_preds.csv"))
        line = daemon.hear("artifact.exported", outcome="success")
        assert sidecar.exported() == {"alice/one/test_preds.csv": CSV}
        assert (line["user"], line["experiment_id"], line["host"]) == ("alice", "one", "artifactd")
        assert daemon.heard("config.warning") == []
        said_by(sidecar, "verify")
    assert "traceback" not in daemon.errors().lower()


def test_a_file_that_the_other_container_has_open_is_waited_for(sidecar: Sidecar) -> None:
    """The kernel is asked across containers, through a mount that is read-only here."""
    with sidecar.running() as daemon:
        holding = (
            "import os, time; os.makedirs('/tmp/alice/h2oai_experiment_one')\n"
            "with open('/tmp/alice/h2oai_experiment_one/test_preds.csv', 'wb') as file:\n"
            "    file.write(b'half,'); file.flush(); time.sleep(2.5); file.write(b'whole')"
        )
        sidecar.driverless_ai(holding)
        daemon.hear("artifact.exported", outcome="success")
        assert sidecar.exported() == {"alice/one/test_preds.csv": b"half,whole"}
        assert len(daemon.heard("artifact.exported")) == 1


def test_a_volume_of_the_engines_own_will_do_for_the_state(start: Callable[[str], Sidecar]) -> None:
    sidecar = start("12345:0")
    volume = f"state-{sidecar.name}"
    sidecar.volumes = lambda: (  # type: ignore[method-assign]  # one mount is another one here
        f"{sidecar.data}:/dai-data:ro",
        f"{sidecar.exports}:/exports",
        f"{volume}:/var/lib/artifactd",
    )
    with sidecar.running() as daemon:
        sidecar.driverless_ai(writing("test_preds.csv"))
        daemon.hear("artifact.exported", outcome="success")
    assert sidecar.exported() == {"alice/one/test_preds.csv": CSV}


# --- how it is confined ---


def test_it_can_write_nowhere_and_has_no_rights(sidecar: Sidecar) -> None:
    with sidecar.running():
        status = dict(
            line.split(":\t")
            for line in sidecar.python("print(open('/proc/1/status').read())").split("\n")
            if ":\t" in line
        )
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Uid"].split() == ["4321"] * 4
        places = ("/", "/tmp", "/run", "/etc/artifactd", "/opt/artifactd", "/dai-data")  # noqa: S108 - in the container
        for place in places:
            done = sidecar.exec("python3", "-c", f"open('{place}/written', 'w')", user="0:0")
            assert "Read-only file system" in done.stderr, place


def test_without_a_journal_it_logs_json_lines_on_standard_output_and_nothing_else(sidecar: Sidecar) -> None:
    with sidecar.running() as daemon:
        assert sidecar.python("import os; print(os.path.exists('/run/systemd'))") == "False"
        daemon.hear("daemon.started")
    logs = sidecar.podman("logs", sidecar.name)
    assert [json.loads(line)["event"] for line in logs.stdout.splitlines()] == [
        one["event"] for one in daemon.lines
    ]
    assert [line for line in logs.stderr.splitlines() if "level=" not in line] == []


def test_a_secret_is_read_from_its_file_and_is_nowhere_else(sidecar: Sidecar) -> None:
    (sidecar.base / "aws_secret_access_key").write_text(CANARY)
    (sidecar.base / "aws_secret_access_key").chmod(0o444)
    sidecar.variables |= {"CREDENTIALS_DIRECTORY": "/run/secrets", "DRIVERLESS_AI_AWS_ACCESS_KEY_ID": "a-key"}
    sidecar.more = [f"--volume={sidecar.base}/aws_secret_access_key:/run/secrets/aws_secret_access_key:ro"]
    with sidecar.running() as daemon:
        shown = said_by(sidecar, "config", "show")
        assert "$CREDENTIALS_DIRECTORY" in shown
        told = sidecar.python("print(open('/proc/1/environ').read(), open('/proc/1/cmdline').read())")
    everything = (
        shown,
        told,
        str(daemon.lines),
        json.dumps(sidecar.podman.inspect("container", sidecar.name)),
    )
    assert not [text for text in everything if CANARY in text]
    assert not [
        path for path in sidecar.state.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    ]


def said_by(sidecar: Sidecar, *arguments: str) -> str:
    return said(sidecar.exec("artifactd", *arguments))


# --- how it ends, and begins again ---


def test_a_kill_in_the_middle_of_a_copy_loses_nothing(sidecar: Sidecar) -> None:
    with sidecar.running() as daemon:
        sidecar.driverless_ai(writing("train_preds.csv"))
        daemon.hear("artifact.exported", outcome="success")
        sidecar.driverless_ai(writing("test_preds.csv", LARGE))
        until(lambda: on_its_way(sidecar), "a copy on its way")
        sidecar.signal(signal.SIGKILL)
        assert daemon.ended() == 128 + signal.SIGKILL
    assert sidecar.exported().keys() == {"alice/one/train_preds.csv"}, "nothing half-written is visible"
    sidecar.driverless_ai(writing("train_preds.csv", experiment="two"))
    with sidecar.again() as daemon:
        daemon.hear("artifact.exported", count=2, outcome="success")
        said_by(sidecar, "verify", "--read")
        source = sidecar.data / "alice/h2oai_experiment_one/test_preds.csv"
        assert sidecar.exported()["alice/one/test_preds.csv"] == source.read_bytes()
    assert sidecar.exported().keys() == {
        "alice/one/train_preds.csv",
        "alice/one/test_preds.csv",
        "alice/two/train_preds.csv",
    }
    assert list(sidecar.exports.glob(".artifactd/tmp/*")) == []


def test_told_to_stop_it_finishes_the_copy_on_its_way_and_ends_well_within_the_grace(
    sidecar: Sidecar,
) -> None:
    with sidecar.running() as daemon:
        sidecar.driverless_ai(writing("test_preds.csv", LARGE))
        until(lambda: on_its_way(sidecar), "a copy on its way")
        began = time.monotonic()
        sidecar.podman.ok("stop", f"--time={GRACE_SECONDS}", sidecar.name)
        assert time.monotonic() - began < GRACE_SECONDS
        assert daemon.ended() == 0
        assert daemon.hear("daemon.stopped")["in_flight"] == 0
        daemon.hear("artifact.exported", outcome="success")
    state = sidecar.state_of()
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    source = sidecar.data / "alice/h2oai_experiment_one/test_preds.csv"
    assert sidecar.exported() == {"alice/one/test_preds.csv": source.read_bytes()}


def test_a_new_container_on_the_same_state_writes_nothing_twice(sidecar: Sidecar) -> None:
    with sidecar.running() as daemon:
        sidecar.driverless_ai(writing("test_preds.csv"))
        daemon.hear("artifact.exported", outcome="success")
    written = (sidecar.exports / "alice/one/test_preds.csv").stat()
    sidecar.podman.ok("rm", sidecar.name)
    with sidecar.running() as daemon:
        assert daemon.heard("ledger.opened")[0]["copies"] == 1
    assert daemon.heard("artifact.exported") == []
    assert (sidecar.exports / "alice/one/test_preds.csv").stat() == written


# --- how it says how it is ---


def healthy(sidecar: Sidecar) -> bool:
    """What the engine makes of the image's own health check."""
    return sidecar.podman("healthcheck", "run", sidecar.name).returncode == 0


def test_the_images_health_check_tells_a_store_that_is_gone(sidecar: Sidecar) -> None:
    with sidecar.running() as daemon:
        until(lambda: healthy(sidecar), "a healthy container")
        sidecar.exports.chmod(0)
        sidecar.driverless_ai(writing("test_preds.csv"))
        daemon.hear("store.unavailable")
        until(lambda: not healthy(sidecar), "an unhealthy container")
        sidecar.exports.chmod(0o755)
        daemon.hear("store.recovered")
        until(lambda: healthy(sidecar), "a healthy container again")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_the_probes_of_the_manifests_are_answered(path: str, sidecar: Sidecar) -> None:
    sidecar.variables["ARTIFACTD_HEALTH__LISTEN"] = "0.0.0.0:9817"
    code = f"from urllib.request import urlopen; urlopen('http://127.0.0.1:9817{path}')"
    with sidecar.running():
        until(lambda: sidecar.exec("python3", "-c", code).returncode == 0, f"{path} says that all is well")


# --- compose ---


def test_compose_puts_it_beside_driverless_ai(engine: Podman, tmp_path: Path) -> None:
    """compose.yaml as it is, but for a stand-in of Driverless AI and this machine's limits."""
    site = Compose(engine, tmp_path)
    try:
        site.ok("up", "--detach")
        until(site.exported, "the artifact that the other service wrote")
        container = engine.inspect("container", f"{site.name}_artifactd_1")
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert not container["EffectiveCaps"]
        assert container["Config"]["User"] == site.user
    finally:
        site.ok("down", "--timeout", str(GRACE_SECONDS))
    assert site.exported() == {"alice/one/test_preds.csv": CSV}
