"""artifactd list, as a real command."""

import hashlib
import re
from contextlib import closing

import pytest

from artifactd.clock import moment
from artifactd.mirror.answers import final
from artifactd.service.control import Request, Server
from artifactd.service.requests import MOST_WAITING
from tests.support.operator import on_a_terminal, plain
from tests.support.process import CONFINED, CSV, Site, until


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
        (("--kind", "logs", "--kind", "test_predictions"), {"one/h2oai_experiment_logs_one.zip"}),
        (("--rule", "no logs"), {"one/h2oai_experiment_logs_one.zip"}),
        (("--store", "s3"), set()),
        (("--since", "1h", "--until", "2000-01-01"), set()),
        (("--since", "1h", "--sort", "size", "--limit", "1"), {"two/mojo.zip"}),
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


def test_a_time_that_is_none_is_a_wrong_command_line_and_shown_how_to_write(site: Site) -> None:
    done = site.command("list", "--since", "yesterday")
    assert done.returncode == 2
    assert "2026-11-24" in done.stderr


def test_an_empty_list_says_so_on_a_terminal(site: Site) -> None:
    assert "nothing" in on_a_terminal(site, "list")


def test_on_a_terminal_each_copy_has_one_line_with_its_name_first(busy: Site) -> None:
    said = plain(on_a_terminal(busy, "list"))
    assert said[0].split() == ["name", "state", "for", "whose", "size,", "or", "why"]
    rows = sorted(re.split("  +", line) for line in said[1:-1])
    assert [(name, state, whose) for name, state, _, whose, _ in rows] == [
        ("h2oai_experi…ogs_one.zip", "skipped", "alice/one"),
        ("mojo.zip", "proven", "alice/two"),
        ("train_preds.csv", "proven", "alice/one"),
        ("train_preds.csv", "refused", "bob/three"),
    ]
    *_, size, why = (row[-1] for row in rows)
    assert size == "22 B"
    assert why.startswith("holds other bytes")
    assert why.endswith("…")
    assert max(map(len, said)) <= 100


@pytest.mark.parametrize("command", [("list",), ("plan", "--all")])
def test_on_a_narrow_terminal_every_line_has_room_and_nothing_is_cut_to_a_letter(
    busy: Site, command: tuple[str, ...]
) -> None:
    said = plain(on_a_terminal(busy, *command, columns=40))
    wide = [
        line for line in said if len(line) > 40 and not line.startswith(("to file_system: ", "refused: "))
    ]
    assert not wide
    assert "train_preds.csv" in said
    assert not any(line.strip() in {"…", "t…", "tra"} for line in said)


def test_with_details_all_of_a_copy_is_told_each_thing_on_a_line_of_its_own(busy: Site) -> None:
    (row,) = busy.json("list", "--state", "refused", "--json")
    said = [line.strip() for line in busy.ok("list", "-l", "--state", "refused").splitlines()]
    assert said[0] == "train_preds.csv  refused"
    assert f"because   {row['reason']}" in said
    assert "source    bob/h2oai_experiment_three/train_preds.csv" in said
    assert f"sha256    {row['sha256']}" in said
    assert "to        file_system:bob/three/train_preds.csv" in said


def test_of_very_many_waiting_files_the_first_are_listed_and_how_many_more_there_are(site: Site) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*.zip"\n')
    for number in range(MOST_WAITING + 50):
        site.write(f"{number}.zip", b"half of it", user="eve")
    site.write("mine.zip", b"half of it", user="zoe")
    with site.daemon():
        every = ("list", "--state", "waiting")
        until(lambda: "51 more files are waited for" in site.command(*every).stderr, "all of them")
        assert len(site.json(*every, "--json")) == MOST_WAITING
        done = site.command(*every, "--user", "zoe", "--json")
        assert done.stdout.count("\n") == 1
        assert "mine.zip" in done.stdout
        assert done.stderr == ""


def test_a_store_that_is_neither_configured_nor_on_record_is_told_with_the_nearest(exported: Site) -> None:
    done = exported.command("list", "--store", "file_sytem")
    assert done.returncode == 2
    assert "did you mean file_system?" in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("option", ["--user", "--rule"])
def test_a_name_that_nothing_is_on_record_with_is_remarked(exported: Site, option: str) -> None:
    done = exported.command("list", option, "alcie")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"nothing is on record with {option} alcie: is it misspelt?\n"
    assert exported.command("list", "--user", "alice").stderr == ""


@pytest.mark.parametrize("stepped", [7200.0, -20.0, 0.002])
def test_the_next_try_is_told_by_the_clock_as_it_was_set_since(site: Site, stepped: float) -> None:
    site.configure("[retry]\nfirst_seconds = 100\n")
    path = site.write("train_preds.csv")
    path.chmod(0)
    site.command("sync", "--wait", "1", under=CONFINED)
    (before,) = site.json("list", "--json")

    def answer(request: Request) -> None:
        request.answer(final(ok=True, waiting=[], stepped_seconds=stepped))

    with closing(Server(site.state, answer)):
        (row,) = site.json("list", "--json")
        explained = site.ok("explain", str(path))
    moved = moment(row["next_attempt"], 0.0) - moment(before["next_attempt"], 0.0)
    assert moved == (round(stepped) if abs(stepped) > 1 else 0)
    assert f"next try {row['next_attempt']}" in explained
