"""list, explain, plan, config show, and the help: what people and machines are shown."""

import hashlib
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.process import CONFINED, CSV, Site, a_zip

# --- list ---


@pytest.fixture
def busy(site: Site) -> Site:
    """A site with copies in several states."""
    site.write("train_preds.csv")
    site.write("mojo_pipeline/mojo.zip", a_zip(), experiment="two")
    site.write("train_preds.csv", user="bob", experiment="three")
    site.write("h2oai_experiment_logs_one.zip", a_zip(b"logs"))
    foreign = site.exports / "bob" / "three" / "train_preds.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"somebody else's")
    site.configure(
        '[[policy]]\nname = "no logs"\nkinds = ["logs"]\naction = "ignore"\n'
        '[[policy]]\nname = "the rest"\nmatch = "*.{csv,zip}"\n'
    )
    site.command("sync")
    return site


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (
            (),
            {
                "one/train_preds.csv",
                "one/h2oai_experiment_logs_one.zip",
                "two/mojo.zip",
                "three/train_preds.csv",
            },
        ),
        (("--user", "alice"), {"one/train_preds.csv", "one/h2oai_experiment_logs_one.zip", "two/mojo.zip"}),
        (("--experiment", "two"), {"two/mojo.zip"}),
        (("--state", "proven"), {"one/train_preds.csv", "two/mojo.zip"}),
        (("--state", "refused"), {"three/train_preds.csv"}),
        (("--state", "skipped"), {"one/h2oai_experiment_logs_one.zip"}),
        (("--state", "refused", "--state", "skipped", "--user", "bob"), {"three/train_preds.csv"}),
        (("--user", "nobody"), set()),
    ],
)
def test_list_shows_what_the_filters_let_through(
    busy: Site, filters: tuple[str, ...], expected: set[str]
) -> None:
    assert {row["key"].partition("/")[2] for row in busy.json("list", *filters, "--json")} == expected


def test_a_line_of_list_says_all_that_is_known_of_a_copy(busy: Site) -> None:
    (row,) = busy.json("list", "--experiment", "one", "--state", "proven", "--json")
    assert row["time"].endswith("Z")
    assert row["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert {
        key: row[key] for key in ("user", "experiment_id", "kind", "size", "state", "store", "key", "proof")
    } == {
        "user": "alice",
        "experiment_id": "one",
        "kind": "train_predictions",
        "size": len(CSV),
        "state": "proven",
        "store": "file_system",
        "key": "alice/one/train_preds.csv",
        "proof": "read_back",
    }


def test_refused_and_skipped_copies_are_listed_with_their_reason(busy: Site) -> None:
    reasons = {row["state"]: row["reason"] for row in busy.json("list", "--json")}
    assert "artifactd did not write" in reasons["refused"]
    assert reasons["skipped"] == "rule 'no logs' ignores it"


def test_an_unknown_state_is_a_wrong_command_line(site: Site) -> None:
    assert site.command("list", "--state", "happy").returncode == 2


def test_an_empty_list_says_so_on_a_terminal(site: Site) -> None:
    assert "nothing" in on_a_terminal(site, "list")


def on_a_terminal(site: Site, *arguments: str) -> str:
    """What a person sees on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        site.arguments(*arguments),
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        env={**site.environment, "COLUMNS": "100", "TERM": "xterm"},
        cwd=site.base,
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while some := os.read(ours, 65536):
                said += some
        except OSError:
            pass  # EIO: the other end is closed
        finally:
            os.close(ours)
        process.wait()
    return said.decode()


def test_on_a_terminal_each_experiment_is_listed_with_its_copies_and_nothing_is_torn(busy: Site) -> None:
    said = plain(on_a_terminal(busy, "list"))
    (row,) = busy.json("list", "--experiment", "one", "--state", "proven", "--json")
    assert "alice, experiment one" in said
    assert "  proven    train_preds.csv" in said
    assert f"            train_predictions, 22 B, sha256 {row['sha256'][:12]}, {row['time']}" in said
    assert "            → file_system:alice/one/train_preds.csv" in said
    assert "            because: rule 'no logs' ignores it" in said


def plain(said: str) -> list[str]:
    """The lines of a terminal without their colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).replace("\r", "").split("\n")


def test_on_a_terminal_sync_tells_what_it_did_in_a_sentence(site: Site) -> None:
    site.write("train_preds.csv")
    assert "1 copies proven now (22 B), 0 before" in on_a_terminal(site, "sync")


def test_on_a_terminal_the_daemon_logs_for_people(site: Site) -> None:
    site.configure(enabled=False)
    ours, theirs = pty.openpty()
    with subprocess.Popen(site.arguments("run"), stdout=theirs, env=site.environment) as process:
        os.close(theirs)
        line = os.read(ours, 65536).decode()
        process.terminate()
        os.close(ours)
    assert "daemon.disabled" in line
    assert not line.startswith("{")
    assert "schema" not in line


# --- explain ---


def explained(site: Site, path: Path) -> dict[str, str]:
    """Title → what is said under it, its lines joined."""
    (said,) = site.json("explain", str(path), "--json")
    return {title: "; ".join(text) if isinstance(text, list) else text for title, text in said.items()}


def test_a_wanted_file_is_explained_with_layout_rule_evidence_and_copy(site: Site) -> None:
    path = site.write("train_preds.csv")
    before = explained(site, path)
    assert before["layout"] == "user alice, experiment one, kind train_predictions"
    assert before["policy"] == "rule 'built-in: export menu' wants it at alice/one/train_preds.csv"
    assert before["copies"] == "none on record"
    site.ok("sync")
    assert "file_system:alice/one/train_preds.csv is proven" in explained(site, path)["copies"]


def test_a_file_that_no_rule_names_is_explained(site: Site) -> None:
    assert explained(site, site.write("model.pickle"))["policy"] == "left alone: no rule names it"


def test_a_file_that_is_not_complete_is_explained_with_what_is_missing(site: Site) -> None:
    path = site.write("mojo_pipeline/mojo.zip", a_zip()[:50])
    with path.open("ab"):
        evidence = explained(site, path)["evidence"]
    assert "it is open for writing" in evidence
    assert "cut short" in evidence


def test_a_refused_file_is_explained_with_its_cause(busy: Site) -> None:
    path = busy.folder("three", "bob") / "train_preds.csv"
    copies = explained(busy, path)["copies"]
    assert "is refused" in copies
    assert "artifactd did not write" in copies


def test_a_file_that_failed_is_explained_with_its_tries_and_its_next_one(site: Site) -> None:
    site.configure("[retry]\nfirst_seconds = 100\n")
    path = site.write("train_preds.csv")
    path.chmod(0)
    site.command("sync", "--wait", "1", under=CONFINED)
    copies = explained(site, path)["copies"]
    assert "1 failed tries" in copies
    assert "next try 2" in copies
    assert "Permission denied" in copies


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/alice/h2oai_experiment_one/missing_preds.csv", {"on disk": "not there"}),
        ("data/alice/h2oai_experiment_one", {"layout": "no file of an experiment"}),
        ("data/master.db", {"layout": "no file of an experiment"}),
    ],
)
def test_what_is_no_artifact_is_explained_too(site: Site, path: str, expected: dict[str, str]) -> None:
    site.write("train_preds.csv")
    said = explained(site, site.base / path)
    assert all(text in said[title] for title, text in expected.items())


def test_a_path_outside_the_data_directory_cannot_be_explained(site: Site) -> None:
    done = site.command("explain", str(site.config))
    assert done.returncode == 1
    assert "does not lie below the data directory" in done.stderr


def test_what_is_explained_is_a_line_of_json_for_machines(site: Site) -> None:
    (said,) = site.json("explain", str(site.write("train_preds.csv")), "--json")
    assert said["file"] == "alice/h2oai_experiment_one/train_preds.csv"


# --- plan ---


def test_plan_says_what_a_sync_would_do_and_touches_nothing(site: Site) -> None:
    site.write("train_preds.csv")
    site.write("model.pickle")
    os.mkfifo(site.folder() / "test_preds.csv")
    before = site.stamps()
    would = {Path(one["source"]).name: one["would"] for one in site.json("plan", "--all", "--json")}
    assert would == {"train_preds.csv": "export", "model.pickle": "leave", "test_preds.csv": "refuse"}
    assert not site.state.exists()
    assert site.stamps() == before


def test_plan_leaves_out_what_is_done_or_left_alone_unless_asked_for_all(busy: Site) -> None:
    busy.write("train_preds.csv", b"changed")
    busy.write("test_preds.csv")
    before = busy.stamps()
    would = {
        Path(one["source"]).name: one["would"]
        for one in busy.json("plan", "--json")
        if "alice" in one["source"]
    }
    assert would == {"train_preds.csv": "compare", "test_preds.csv": "export"}
    assert busy.stamps() == before


def test_plan_tells_of_directories_that_it_could_not_look_into(site: Site) -> None:
    site.write("train_preds.csv")
    site.folder().chmod(0)
    done = site.command("plan", "--json", under=CONFINED)
    assert '"would": "unobservable"' in done.stdout


def test_plan_says_that_the_master_switch_is_off(site: Site) -> None:
    site.configure(enabled=False)
    assert "enable_artifacts_upload is false" in site.command("plan").stderr


# --- config show, help ---


def test_config_show_prints_every_value_with_its_source_and_no_secret(site: Site) -> None:
    done = site.command(
        "config",
        "show",
        "--json",
        environment={"ARTIFACTD_WATCH__QUIET_SECONDS": "7", "DRIVERLESS_AI_AWS_SECRET_ACCESS_KEY": "CANARY"},
    )
    assert '{"key": "watch.quiet_seconds", "value": "7.0", "source": "environment' in done.stdout
    assert "CANARY" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "matters"),
    [
        ("run", ["SIGTERM", "20 seconds"]),
        ("sync", ["--wait", "ends with 5"]),
        ("export", ["--as", "--experiment", "running daemon"]),
        ("hint", ["listeners_", "ends with 0"]),
        ("retry", ["--all", "refused"]),
        ("list", ["--user", "--experiment", "--state", "--json", "reason"]),
        ("explain", ["--json", "rule"]),
        ("plan", ["touch nothing", "--all"]),
        ("verify", ["--sample", "10", "11", "12", "13", "14", "Nothing is deleted"]),
        ("audit", ["--after", "SHA-256"]),
        ("check", ["_artifactd/check"]),
    ],
)
def test_the_help_of_each_command_says_what_matters(site: Site, command: str, matters: list[str]) -> None:
    done = subprocess.run(
        [*site.arguments(command)[:-2], "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**site.environment, "COLUMNS": "200"},
    )
    said = " ".join(done.stdout.split())
    assert not [word for word in matters if word not in said]
