"""Which of several files that want one key is to have it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactd.config.assemble import load
from artifactd.config.effective import Config
from artifactd.inspection.plan import Forecast, Would, whole_tree
from artifactd.ledger.ledger import Ledger
from artifactd.mirror.engine import context
from tests.support.process import Site


@pytest.fixture
def ledger(site: Site) -> Iterator[Ledger]:
    ledger = Ledger.open(site.state, context(settings(site)))
    yield ledger
    ledger.close()


def settings(site: Site) -> Config:
    return load(site.config, site.environment)


def foreseen(site: Site, ledger: Ledger) -> dict[str, tuple[Would, str | None]]:
    found = whole_tree(settings(site), ledger, 0.0)
    return {
        Path(one.artifact.path.decode()).parent.name: (
            one.would,
            None if one.other is None else one.other.decode(),
        )
        for one in found
        if isinstance(one, Forecast)
    }


def test_the_second_file_that_wants_a_key_is_refused_and_another_experiments_is_not(
    site: Site, ledger: Ledger
) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"')
    first, second = (site.write(f"{folder}/preds.csv", folder.encode()) for folder in ("a", "b"))
    site.write("c/preds.csv", experiment="two")
    found = foreseen(site, ledger)
    assert found.pop("c") == (Would.EXPORT, None)
    refused = next(name for name, (would, _) in found.items() if would is Would.REFUSE)
    other = first if refused == "b" else second
    assert found[refused][1] == str(other.relative_to(site.data))
    assert sorted(would for would, _ in found.values()) == [Would.EXPORT, Would.REFUSE]


def test_a_key_that_another_file_has_on_record_is_not_to_be_had(site: Site) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"')
    first = site.write("a/preds.csv", b"a")
    site.ok("sync")
    first.unlink()
    site.write("b/preds.csv", b"b")
    ledger = Ledger.look(site.state)
    assert foreseen(site, ledger) == {"b": (Would.REFUSE, str(first.relative_to(site.data)))}
    ledger.close()
    done = site.command("plan")
    assert "two files want one key" in done.stderr
    assert done.stderr.startswith("nothing to send")
    assert done.returncode == 0


@pytest.mark.parametrize(("ours", "would"), [("", Would.EXPORT), ("ignore_case = true", Would.REFUSE)])
@pytest.mark.parametrize("on_record", [False, True])
def test_names_that_differ_only_in_case_are_foreseen_as_the_daemon_takes_them(
    site: Site, ours: str, would: Would, *, on_record: bool
) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"', ours=ours)
    first = site.write("a/preds.csv", b"a")
    if on_record:
        site.ok("sync")
        first.unlink()
    site.write("b/PREDS.csv", b"b")
    ledger = Ledger.open(site.state, context(settings(site)))
    assert would in {one for one, _ in foreseen(site, ledger).values()}
    assert (Would.REFUSE in {one for one, _ in foreseen(site, ledger).values()}) == bool(ours)
    ledger.close()


def test_a_file_whose_put_was_refused_holds_no_key(site: Site) -> None:
    site.configure('[[policy]]\nname = "all"\nmatch = "*.csv"')
    first = site.write("a/preds.csv", b"a")
    foreign = site.exports / "alice/one/preds.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"somebody else's")
    assert site.command("sync").returncode == 5
    first.unlink()
    foreign.unlink()
    site.write("b/preds.csv", b"b")
    ledger = Ledger.look(site.state)
    assert foreseen(site, ledger) == {"b": (Would.EXPORT, None)}
    ledger.close()


@pytest.mark.parametrize(
    ("users", "ours"),
    [(("jos\u00e9", "jose\u0301"), ""), (("Alice", "alice"), "ignore_case = true")],
    ids=["composed", "case"],
)
def test_of_users_whose_folders_would_be_one_the_second_is_refused_and_that_is_foreseen(
    site: Site, users: tuple[str, str], ours: str
) -> None:
    site.configure(ours=ours)
    first, second = users
    site.write("train_preds.csv", user=first, experiment="one")
    site.ok("sync")
    site.write("train_preds.csv", user=second, experiment="two")
    (foreseen,) = site.json("plan", "--json")
    assert foreseen["would"] == "refuse"
    assert site.command("sync").returncode == 5
    (refused,) = site.json("list", "--state", "refused", "--json")
    assert refused["reason"] == foreseen["reason"]
    assert "would share the folder of user" in refused["reason"]
    site.write("train_preds.csv", b"another version", user=first, experiment="one")
    assert site.command("sync").returncode == 5
    assert set(site.exported().values()) == {b"another version"}
    assert site.command("verify").returncode == 0
