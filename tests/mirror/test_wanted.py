import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from artifactd.artifact import Key, Kind
from artifactd.decisions.lifecycle import Row, State
from artifactd.decisions.policy import BY_HAND, Action, LeftAlone, Policy, Rule, Unnameable, Wanted
from artifactd.mirror.wanted import Selection
from tests.support.rows import a_row

MOJO = b"alice/h2oai_experiment_e0/mojo_pipeline/mojo.zip"
OLD_LAYOUT = b"h2oai_experiment_e0/mojo_pipeline/mojo.zip"


def a_selection(directory: Path, *rules: Rule, user: str | None = None) -> Selection:
    return Selection(os.fsencode(directory), Policy.of(rules), user)


# --- whose artifact it is ---


def test_an_artifact_is_known_by_its_place(tmp_path: Path) -> None:
    found = a_selection(tmp_path).artifact(MOJO)
    assert found is not None
    assert (found.user, found.experiment_id, found.kind) == ("alice", "e0", Kind.MOJO_PIPELINE)


@pytest.mark.parametrize(
    "path", [b"alice/notes.txt", b"alice", b"mli_experiment_x/a.csv", b"h2oai_experiment_e0"]
)
def test_a_neighbour_is_no_artifact(tmp_path: Path, path: bytes) -> None:
    assert a_selection(tmp_path).artifact(path) is None


def test_without_a_users_folder_the_configured_user_has_it(tmp_path: Path) -> None:
    found = a_selection(tmp_path, user="admin").artifact(OLD_LAYOUT)
    assert found is not None
    assert found.user == "admin"


def test_a_users_folder_counts_more_than_the_configured_user(tmp_path: Path) -> None:
    found = a_selection(tmp_path, user="admin").artifact(MOJO)
    assert found is not None
    assert found.user == "alice"


@pytest.mark.parametrize(
    ("uid", "name"),
    [(0, pwd.getpwuid(0).pw_name), (1, pwd.getpwuid(1).pw_name), (3_999_999, "uid-3999999")],
)
def test_without_both_the_owner_of_the_experiments_folder_has_it(tmp_path: Path, uid: int, name: str) -> None:
    (tmp_path / "h2oai_experiment_e0").mkdir()
    os.chown(tmp_path / "h2oai_experiment_e0", uid, -1)
    found = a_selection(tmp_path).artifact(OLD_LAYOUT)
    assert found is not None
    assert found.user == name


def test_a_folder_that_cannot_be_looked_at_has_no_user_until_it_can(tmp_path: Path) -> None:
    selection = a_selection(tmp_path)
    assert selection.artifact(OLD_LAYOUT) is None
    (tmp_path / "h2oai_experiment_e0").mkdir()
    assert selection.artifact(OLD_LAYOUT) is not None


def test_a_name_that_is_no_text_is_told_apart_and_refused(tmp_path: Path) -> None:
    selection = a_selection(tmp_path)
    found = selection.artifact(b"\xff/h2oai_experiment_e0/mojo_pipeline/mojo.zip")
    assert found is not None
    assert found.user == "\udcff"
    assert isinstance(selection.decide(found, 1), Unnameable)


# --- what is wanted of it ---

WANTED = Wanted(Key("alice/e0/mojo.zip"), "all")
IGNORED = LeftAlone("rule 'no' ignores it", "no")
UNNAMED = LeftAlone("no rule names it", None)


def by_hand(name: str, state: State) -> Row:
    row = a_row(key=f"alice/e0/{name}" if name else "")
    return replace(row, rule=BY_HAND, state=state)


def test_what_a_person_asked_for_is_decided_by_their_wish(tmp_path: Path) -> None:
    selection = a_selection(tmp_path)
    found = selection.artifact(b"alice/h2oai_experiment_e0/notes.txt")
    assert found is not None
    assert selection.decide(found, 1) == UNNAMED
    selection.asked[found.path] = "mine.txt"
    assert selection.decide(found, 1) == Wanted(Key("alice/e0/mine.txt"), BY_HAND)
    selection.asked[found.path] = None
    assert selection.decide(found, 1) == Wanted(Key("alice/e0/notes.txt"), BY_HAND)


def test_what_a_rule_ignores_is_not_exported_by_hand_either(tmp_path: Path) -> None:
    selection = a_selection(tmp_path, Rule("no", Action.IGNORE))
    found = selection.artifact(MOJO)
    assert found is not None
    selection.asked[found.path] = None
    assert selection.decide(found, 1) == IGNORED
