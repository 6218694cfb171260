"""artifactd retry, as a real command."""

from tests.support.operator import planted
from tests.support.process import CSV, Site, until


def test_a_conflict_is_replayed_after_a_person_has_cleared_it_away(by_hand: Site) -> None:
    foreign = planted(by_hand, "alice/one/train_preds.csv")
    path = by_hand.write("train_preds.csv")
    by_hand.command("export", str(path))
    foreign.unlink()
    out = by_hand.ok("retry", str(path))
    assert "alice/h2oai_experiment_one/train_preds.csv in file_system: tried again (it was refused" in out
    by_hand.command("sync", "--wait", "5")
    until(lambda: by_hand.exported() == {"alice/one/train_preds.csv": CSV}, "the copy")


def test_everything_that_needs_a_person_can_be_replayed_at_once(site: Site) -> None:
    for name in ("train_preds.csv", "test_preds.csv"):
        site.write(name)
        planted(site, f"alice/one/{name}")
    site.command("sync")
    assert site.ok("retry", "--all").count("tried again") == 2


def test_nothing_to_replay_is_told(site: Site) -> None:
    path = site.write("train_preds.csv")
    named, everything = site.command("retry", str(path)), site.command("retry", "--all")
    assert (named.returncode, everything.returncode) == (1, 0)
    assert "nothing to try again" in named.stderr
