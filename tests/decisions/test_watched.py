import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.watched import Beyond, Bounds, Needless, Watched, judge, shares

E = b"h2oai_experiment_"
SMALL = Bounds(depth=2, experiment=3, user=5, top=4)

TABLE: list[tuple[bytes, dict[bytes, int], Watched | Needless | Beyond]] = [
    (b"alice", {}, Watched((b"",), files=False)),
    (b"alice", {b"": 3}, Watched((b"",), files=False)),
    (b"alice", {b"": 4}, Beyond(b"", "more than 4 directories")),
    (b"alice/dataset", {}, Needless()),
    (b"alice/mli_experiment_a", {}, Needless()),
    (b"alice/dataset/" + E + b"a", {}, Needless()),
    (E + b"a", {}, Watched((b"", E + b"a"), files=True)),
    (E + b"a/" + E + b"b", {}, Watched((b"", E + b"a"), files=True)),
    (E + b"a/x", {b"": 4}, Beyond(b"", "more than 4 directories")),
    (b"alice/" + E + b"a", {b"": 9}, Watched((b"alice", b"alice/" + E + b"a"), files=True)),
    (b"alice/" + E + b"a", {b"alice": 5}, Beyond(b"alice", "more than 5 directories")),
    (b"alice/" + E + b"a", {b"bob": 5}, Watched((b"alice", b"alice/" + E + b"a"), files=True)),
    (
        b"alice/" + E + b"a/1",
        {b"alice/" + E + b"a": 3},
        Beyond(b"alice/" + E + b"a", "more than 3 directories"),
    ),
    (b"alice/" + E + b"a/1/2", {}, Watched((b"alice", b"alice/" + E + b"a"), files=True)),
    (b"alice/" + E + b"a/1/2/3", {}, Beyond(b"alice/" + E + b"a", "deeper than 2 directories")),
    (b"alice/" + E, {}, Needless()),
    (b"alice/" + E + E + b"a", {}, Needless()),
]


@pytest.mark.parametrize(("path", "watched", "verdict"), TABLE)
def test_a_directory_is_watched_where_artifacts_appear_and_bounds_are_kept(
    path: bytes, watched: dict[bytes, int], verdict: Watched | Needless | Beyond
) -> None:
    assert judge(path, watched, SMALL) == verdict


def test_numbers_are_written_for_people() -> None:
    full = {E + b"a": 2_000}
    assert judge(E + b"a/x", full, Bounds()) == Beyond(E + b"a", "more than 2,000 directories")


@pytest.mark.parametrize(
    ("limit", "user", "top"),
    [
        (8_192, 1_024, 4_096),
        (100, 1_000, 1_000),
        (65_536, 8_192, 32_768),
        (160_000, 20_000, 80_000),
        (1_048_576, 20_000, 524_288),
    ],
)
def test_nobody_gets_more_than_his_share_of_the_limit(limit: int, user: int, top: int) -> None:
    assert (shares(limit).user, shares(limit).top) == (user, top)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 4))))
def test_no_order_of_making_directories_leads_beyond_a_bound(made: list[tuple[str, str, int]]) -> None:
    watched: dict[bytes, int] = {}
    for user, experiment, depth in made:
        path = f"{user}/h2oai_experiment_{experiment}{'/d' * depth}".encode()
        verdict = judge(path, watched, SMALL)
        if isinstance(verdict, Watched):
            for folder in verdict.counted:
                watched[folder] = watched.get(folder, 0) + 1
    assert all(number <= (SMALL.experiment if b"/" in f else SMALL.user) for f, number in watched.items())
