"""What all forecasts come to."""

from dataclasses import replace

import pytest

from artifactd.artifact import Artifact, Kind
from artifactd.decisions.policy import Policy, Rule
from artifactd.inspection.plan import Forecast, Would
from artifactd.inspection.totals import Totals
from artifactd.linux.room import Room

ONE = Forecast(
    Artifact(b"alice/h2oai_experiment_1/a.csv", "alice", "1", b"a.csv", Kind.TRAIN_PREDICTIONS),
    size=1024,
    store="s3",
    key="alice/1/a.csv",
    would=Would.EXPORT,
    reason="new",
    rule="menu",
)
LEFT = replace(ONE, would=Would.LEAVE, rule=None, store="", key="")
CLASH = replace(ONE, would=Would.REFUSE, other=b"alice/h2oai_experiment_1/b/a.csv")
RULES = Policy((Rule("menu"), Rule("never")))


def told(
    *forecasts: Forecast, policy: Policy = RULES, free: int | None = None, files: int | None = None
) -> list[str]:
    totals = Totals(policy)
    for one in forecasts:
        totals.hear(one)
    return list(totals.lines({} if free is None else {"s3": Room(free, free, files)}))


NEVER = "warning: rule 'never' matches nothing that is there and that no rule before it takes"
SHARED = "alice/h2oai_experiment_1/a.csv and alice/h2oai_experiment_1/b/a.csv to s3:alice/1/a.csv"


@pytest.mark.parametrize(
    ("forecasts", "lines"),
    [
        ((), ["nothing to send"]),
        ((ONE, replace(ONE, would=Would.RETRY)), ["to s3: 2 files, 2.0 KiB", NEVER]),
        ((ONE, replace(ONE, rule="never")), ["to s3: 2 files, 2.0 KiB"]),
        ((replace(ONE, would=Would.NOTHING),), ["nothing to send", NEVER]),
        (
            (LEFT, LEFT),
            [
                "nothing to send",
                "warning: the policy wants none of the 2 files there are: see artifactd plan --all",
            ],
        ),
        (
            (ONE, CLASH),
            [
                "to s3: 1 file, 1.0 KiB",
                "refused: 1, each needs a person",
                f"warning: two files want one key: {SHARED}",
                NEVER,
            ],
        ),
    ],
)
def test_the_sum_is_told_by_store_with_what_is_to_be_mended(
    forecasts: tuple[Forecast, ...], lines: list[str]
) -> None:
    assert told(*forecasts) == lines


def test_of_many_clashes_some_are_shown() -> None:
    assert f"{SHARED}; {SHARED}; {SHARED}; …" in "".join(told(*[CLASH] * 9))
    assert not any("…" in line for line in told(*[CLASH] * 3))


def test_of_the_built_in_policy_no_rule_is_missed() -> None:
    assert told(ONE, policy=Policy()) == ["to s3: 1 file, 1.0 KiB"]


@pytest.mark.parametrize(("free", "short"), [(2048, False), (2047, True)])
def test_missing_room_is_told(free: int, *, short: bool) -> None:
    first, *rest = told(ONE, replace(ONE, rule="never"), free=free)
    assert first == "to s3: 2 files, 2.0 KiB, 2.0 KiB free there"
    assert rest == ["warning: s3 lacks room: 2.0 KiB to send, 2.0 KiB free"] * short


@pytest.mark.parametrize(("files", "short"), [(None, False), (2, False), (1, True)])
def test_missing_inodes_are_told_where_the_file_system_has_a_number(
    files: int | None, *, short: bool
) -> None:
    _, *rest = told(ONE, replace(ONE, rule="never"), free=2048, files=files)
    assert rest == ["warning: s3 lacks inodes: 2 files to send, 1 inodes free"] * short
