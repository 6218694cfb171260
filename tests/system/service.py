"""artifactd as a service of a booted machine, installed as its administrator would do it."""

import json
import shutil
import subprocess
from typing import Any

from tests.support.process import CSV, until
from tests.system.box import PROGRAM, Box

DATA = "/opt/h2oai/dai/tmp"
EXPORTS = "/srv/exports"
STATE = "/var/lib/artifactd"
UNIT = "artifactd.service"


class Service:
    """The service, and the directories around it."""

    def __init__(self, box: Box) -> None:
        self.box = box
        for directory, owner, mode in ((DATA, "dai:dai", "2750"), (EXPORTS, "root:root", "755")):
            box.ok(
                "install", "-d", "-m", mode, "-o", owner.split(":")[0], "-g", owner.split(":")[1], directory
            )
        self.configure()
        self.install()
        box.ok("chown", "artifactd:dai", EXPORTS)

    def configure(self, tables: str = "", *, flat: str = "", rescan: float = 60.0) -> None:
        """Write config.toml."""
        self.box.write(
            "/etc/artifactd/config.toml",
            f'enable_artifacts_upload = true\ndata_directory = "{DATA}"\n'
            f'artifacts_file_system_directory = "{EXPORTS}"\n{flat}\n'
            f"[watch]\nquiet_seconds = 0.2\nrescan_seconds = {rescan}\n{tables}\n",
        )

    def install(self) -> None:
        """Put the service in place, as `install-service` says."""
        self.box.ok(str(PROGRAM), "install-service")
        for command in ("systemd-sysusers", "systemd-tmpfiles --create", "systemctl daemon-reload"):
            self.box.ok(*command.split())

    def override(self, text: str) -> None:
        """Settings of the administrator's own."""
        self.box.write(f"/etc/systemd/system/{UNIT}.d/zz-test.conf", text)
        self.box.ok("systemctl", "daemon-reload")

    # --- what it does ---

    def start(self) -> None:
        done = self.box.run("systemctl", "start", UNIT)
        assert done.returncode == 0, done.stderr + self.journal_text()

    def reload(self) -> "subprocess.CompletedProcess[str]":
        return self.box.run("systemctl", "reload", UNIT)

    def stop(self) -> None:
        self.box.ok("systemctl", "stop", UNIT)

    def shows(self, name: str) -> str:
        """A property of the unit."""
        return self.box.ok("systemctl", "show", "--value", f"--property={name}", UNIT).strip()

    @property
    def pid(self) -> int:
        """Of the main process, as the machine counts."""
        return int(self.shows("MainPID"))

    def signal(self, name: str) -> None:
        self.box.ok("kill", f"-{name}", str(self.pid))

    def restarted(self, since: int, seconds: float = 30.0) -> None:
        """Wait until another process than `since` is ready."""
        until(
            lambda: self.shows("ActiveState") == "active" and self.pid not in {0, since},
            "it is back",
            seconds,
        )

    # --- what it exports ---

    def write_artifact(
        self, name: str = "train_preds.csv", content: bytes = CSV, experiment: str = "one"
    ) -> None:
        """As Driverless AI does: its account, readable by its group."""
        folder = self.box.path(f"{DATA}/alice/h2oai_experiment_{experiment}")
        place = f"{DATA}/alice/h2oai_experiment_{experiment}"
        if not folder.exists():
            self.box.ok("runuser", "-u", "dai", "--", "mkdir", "-p", "-m", "2750", f"{DATA}/alice", place)
        incoming = self.box.path("/var/incoming")
        incoming.write_bytes(content)
        self.box.ok("install", "-m", "640", "-o", "dai", "-g", "dai", "/var/incoming", f"{place}/{name}")

    def exported(self) -> dict[str, bytes]:
        """Key → bytes of every copy, artifactd's own aside."""
        top = self.box.path(EXPORTS)
        found = {str(path.relative_to(top)): path for path in top.rglob("*") if path.is_file()}
        return {
            key: path.read_bytes()
            for key, path in found.items()
            if not key.startswith((".artifactd/", "_artifactd/"))
        }

    def export_arrives(self, key: str, content: bytes = CSV) -> None:
        until(
            lambda: self.exported().get(key) == content, f"{key} is exported: {self.journal_text()[-2000:]}"
        )

    # --- what it says ---

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """The journal's entries of the unit that match."""
        self.box.ok("journalctl", "--sync")
        out = self.box.run("journalctl", "--unit", UNIT, "--output=json", "--no-pager", *matches).stdout
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def journal_text(self) -> str:
        self.box.ok("journalctl", "--sync")
        return self.box.run("journalctl", "--unit", UNIT, "--no-pager").stdout

    def heard(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait for so many entries of this event; the last one."""
        until(lambda: len(self.journal(f"ARTIFACTD_EVENT={event}")) >= count, f"{event} is in the journal")
        return self.journal(f"ARTIFACTD_EVENT={event}")[-1]

    def record(self) -> list[dict[str, Any]]:
        """The entries of the record."""
        return [json.loads(line) for line in self.ask("audit").stdout.splitlines()]

    def ask(self, *arguments: str, user: str = "artifactd") -> "subprocess.CompletedProcess[str]":
        """A command of artifactd's, as an account of the machine."""
        return self.box.run("runuser", "-u", user, "-g", "dai", "--", str(PROGRAM), *arguments)

    def forget(self) -> None:
        """Stop it, and make everything as at the beginning."""
        self.box.run("systemctl", "kill", "--signal=KILL", UNIT)
        self.box.run("systemctl", "stop", UNIT)
        self.box.run("systemctl", "reset-failed", UNIT)
        for directory in (DATA, EXPORTS, STATE):
            for path in self.box.path(directory).glob("*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for path in self.box.path(directory).glob(".*"):
                shutil.rmtree(path)
        for path in self.box.path("/etc/credstore").glob("artifactd.*"):
            path.unlink()
        self.box.path(f"/etc/systemd/system/{UNIT}.d/zz-test.conf").unlink(missing_ok=True)
        self.configure()
        self.install()
        self.box.ok("journalctl", "--rotate")
        self.box.ok("journalctl", "--vacuum-time=1s")
