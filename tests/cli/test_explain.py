"""artifactd explain, as a real command."""

from pathlib import Path

import pytest

from tests.support.operator import on_a_terminal, plain
from tests.support.process import CONFINED, Site, a_zip


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
    shown = plain(on_a_terminal(busy, "explain", str(path)))
    assert "artifactd did not write" in " ".join(" ".join(shown).split())
    assert max(map(len, shown)) <= 100


def test_a_file_that_failed_is_explained_with_its_tries_and_its_next_one(site: Site) -> None:
    site.configure("[retry]\nfirst_seconds = 100\n")
    path = site.write("train_preds.csv")
    path.chmod(0)
    site.command("sync", "--wait", "1", under=CONFINED)
    copies = explained(site, path)["copies"]
    assert "1 failed try" in copies
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
