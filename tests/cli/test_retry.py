"""artifactd retry, as a real command."""

from contextlib import closing

from artifactd.config.assemble import load
from artifactd.decisions.lifecycle import Change
from artifactd.ledger.ledger import Ledger
from artifactd.mirror.engine import context
from tests.support.operator import planted
from tests.support.process import CSV, Site, until
from tests.support.rows import a_row, started


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


def test_what_cannot_be_tried_again_is_named_with_its_reason_and_holds_nothing_else_back(site: Site) -> None:
    proven, refused = (
        site.write(name).relative_to(site.data) for name in ("test_preds.csv", "train_preds.csv")
    )
    planted(site, "alice/one/train_preds.csv")
    site.command("sync")
    done = site.command("retry", str(proven), "unheard/of.csv", str(refused), str(site.config), "")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{refused} in file_system: tried again")
    assert [line.removeprefix("not tried again: ") for line in done.stderr.splitlines()] == [
        f"{proven} in file_system is proven",
        "unheard/of.csv is not on record; what is known of it: artifactd explain unheard/of.csv",
        f"{site.config} does not lie below the data directory {site.data}",
        f"an empty path does not lie below the data directory {site.data}",
    ]


def test_what_a_crash_interrupted_is_listed_once_with_what_it_waits_for_and_can_be_tried_again(
    site: Site,
) -> None:
    path = site.write("mojo_pipeline/mojo.zip", b"half of it", experiment="e0")
    source = str(path.relative_to(site.data))
    settings = load(site.config, site.environment)
    with closing(Ledger.open(site.state, context(settings))) as ledger:
        ledger.record([Change(a_row(), started())], 1.79e9)
    reason = "interrupted; now: a zip without its end: cut short, or still being written"
    with site.daemon():
        until(lambda: [one["reason"] for one in site.json("list", "--json")] == [reason], "the reason")
        (shown,) = site.json("list", "--json")
    assert (shown["state"], shown["source"]) == ("retrying", source)
    assert f"because: {reason}" in site.ok("explain", source)
    assert f"tried again (it was retrying: {reason})" in site.ok("retry", source)


def test_nothing_to_replay_is_told(site: Site) -> None:
    site.ok("sync")
    done = site.command("retry", "--all")
    assert done.returncode == 0
    assert "nothing to try again" in done.stderr
