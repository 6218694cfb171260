import stat
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactd.artifact import Identity, Sighting
from artifactd.decisions.assessment import Subject
from artifactd.decisions.settle import (
    LARGE,
    ROOM,
    Complete,
    Incomplete,
    Settled,
    Settler,
    Writers,
    verdict,
)
from tests.support.subjects import a_subject

QUIET = 2.0
MAX_WAIT = 100.0
BUSY = Incomplete("open for writing")
TORN = Incomplete("a zip without its end", by_its_bytes=True)
A = b"u/h2oai_experiment_1/a.csv"


def seen(version: int = 1, path: bytes = A) -> Subject:
    return a_subject(Sighting(path, Identity(1, 2, version, version, version), stat.S_IFREG | 0o644))


def a_settler() -> Settler:
    return Settler(QUIET, MAX_WAIT)


def given_at(settler: Settler, now: float) -> list[Settled]:
    return list(settler.settled(now, 1_000_000))


def rungs(settler: Settler, now: float) -> list[str]:
    return [one.rung for one in given_at(settler, now)]


# --- verdict ---


@pytest.mark.parametrize(
    ("rung", "unchanged_for", "writers", "zip_problem", "expected"),
    [
        ("quiet", 2.0, Writers.NONE, None, Complete("quiet+no_writer")),
        ("closed", 2.0, Writers.NONE, None, Complete("closed+no_writer")),
        ("hinted", 0.0, Writers.NONE, None, Complete("hinted+no_writer")),
        ("quiet", 9e9, Writers.SOME, None, Incomplete("open for writing")),
        ("hinted", 9e9, Writers.SOME, "torn", Incomplete("open for writing")),
        ("hinted", 9e9, Writers.NONE, "torn", Incomplete("torn", by_its_bytes=True)),
        ("quiet", 9e9, Writers.UNKNOWN, "torn", Incomplete("torn", by_its_bytes=True)),
        ("quiet", 10.0, Writers.UNKNOWN, None, Complete("quiet+writers_unknown")),
        (
            "hinted",
            9.9,
            Writers.UNKNOWN,
            None,
            Incomplete(
                "the kernel does not say who has it open: waiting until it was seen unchanged for 10 s", 5.0
            ),
        ),
    ],
)
def test_a_file_is_complete_when_nobody_writes_it_and_its_zip_reads(
    rung: str,
    unchanged_for: float,
    writers: Writers,
    zip_problem: str | None,
    expected: Complete | Incomplete,
) -> None:
    settled = Settled(seen(), rung, unchanged_for, 0.0)
    assert verdict(settled, writers, zip_problem, QUIET) == expected


# --- the quiet period ---


def test_a_file_is_given_after_the_quiet_period_and_once() -> None:
    settler = a_settler()
    settler.feed(seen(), 10.0)
    assert settler.next_due() == 12.0
    assert given_at(settler, 11.9) == []
    assert given_at(settler, 12.5) == [Settled(seen(), "quiet", 2.5, 10.0)]
    assert given_at(settler, 99.0) == []
    assert settler.next_due() is None
    assert A in settler


def test_a_file_that_has_been_quiet_before_it_was_seen_is_given_at_once() -> None:
    settler = a_settler()
    settler.feed(seen(), 10.0, age=3.0)
    assert given_at(settler, 10.0) == [Settled(seen(), "quiet", 0.0, 10.0)]


def test_an_age_by_the_wall_clock_proves_nothing_where_writers_are_unknown() -> None:
    settler = a_settler()
    settler.feed(seen(), 10.0, age=60.0)  # the file server's clock is a minute behind
    [first] = given_at(settler, 10.0)
    said = verdict(first, Writers.UNKNOWN, None, QUIET)
    assert isinstance(said, Incomplete)
    settler.postpone(A, seen().identity, said, 10.0)
    assert settler.next_due() == 20.0
    settler.feed(seen(2), 15.0, age=60.0)
    assert [one.unchanged_for for one in given_at(settler, 17.0)] == [2.0]
    settler.postpone(A, seen(2).identity, said, 17.0)
    assert settler.next_due() == 25.0
    [second] = given_at(settler, 25.0)
    assert verdict(second, Writers.UNKNOWN, None, QUIET) == Complete("quiet+writers_unknown")


def test_who_waits_for_files_that_nobody_vouches_for_knows_how_long_it_takes() -> None:
    settler = a_settler()
    settler.feed(seen(), 10.0)
    assert settler.patience() == 0.0
    settler.postpone(A, seen().identity, BUSY, 12.0)
    assert settler.patience() == 0.0
    settler.postpone(A, seen().identity, Incomplete("nobody says", 5.0), 14.0)
    assert settler.patience() == 6 * QUIET


def test_a_file_from_the_future_waits_for_the_quiet_period() -> None:
    settler = a_settler()
    settler.feed(seen(), 10.0, age=-50.0)
    assert settler.next_due() == 12.0


def test_a_change_begins_the_quiet_period_again_and_another_look_does_not() -> None:
    settler = a_settler()
    settler.feed(seen(1), 10.0)
    settler.feed(seen(1), 11.0)
    assert settler.next_due() == 12.0
    settler.feed(seen(2), 11.0)
    assert given_at(settler, 12.5) == []
    assert given_at(settler, 13.0) == [Settled(seen(2), "quiet", 2.0, 11.0)]


def test_a_change_is_not_believed_to_be_older_than_the_last_look() -> None:
    settler = a_settler()
    settler.feed(seen(1), 10.0)
    settler.feed(seen(1), 11.0)
    settler.feed(seen(2), 11.5, age=3600.0)  # the file server's clock is an hour behind
    assert settler.next_due() == 13.0


def test_no_more_are_given_than_asked_for_and_the_rest_stays_due() -> None:
    settler = a_settler()
    for number in range(5):
        settler.feed(seen(1, b"%d" % number), float(number))
    assert [one.sighting.path for one in settler.settled(50.0, 2)] == [b"0", b"1"]
    assert list(settler.settled(50.0, 0)) == []
    assert settler.next_due() == 4.0
    assert len(given_at(settler, 50.0)) == 3


# --- what is said of a file ---


def test_a_close_and_a_hint_are_the_evidence_that_is_told() -> None:
    settler = a_settler()
    settler.feed(seen(1, b"quiet"), 0.0)
    settler.feed(seen(1, b"closed"), 0.0)
    settler.closed(b"closed", 0.0)
    settler.feed(seen(1, b"hinted"), 0.0)
    settler.closed(b"hinted", 0.0)
    settler.hinted(b"hinted", 0.5)
    assert rungs(settler, 0.5) == ["hinted"]
    assert sorted(rungs(settler, 2.0)) == ["closed", "quiet"]


def test_what_was_said_of_a_file_says_nothing_of_its_next_version() -> None:
    settler = a_settler()
    settler.feed(seen(1), 0.0)
    settler.closed(A, 0.0)
    settler.hinted(A, 1.0)
    settler.feed(seen(2), 1.0)
    assert rungs(settler, 2.9) == []
    assert rungs(settler, 3.0) == ["quiet"]


def test_a_close_ends_a_long_pause() -> None:
    settler = a_settler()
    settler.feed(seen(), 0.0)
    for at in (10.0, 20.0, 40.0, 80.0):
        assert given_at(settler, at)
        settler.postpone(A, seen().identity, BUSY, at)
    assert settler.next_due() == 88.0
    settler.closed(A, 81.0)
    assert rungs(settler, 81.0) == ["closed"]


def test_nothing_is_made_of_files_that_are_not_waited_for() -> None:
    settler = a_settler()
    settler.closed(A, 0.0)
    settler.hinted(A, 0.0)
    settler.postpone(A, seen().identity, BUSY, 0.0)
    settler.done(A, seen().identity)
    settler.forget(A)
    assert len(settler) == 0
    assert not settler.probing(A)
    assert settler.next_due() is None


# --- while it is looked at ---


def a_probed_settler() -> Settler:
    settler = a_settler()
    settler.feed(seen(1), 0.0)
    assert len(given_at(settler, 2.0)) == 1
    assert settler.probing(A)
    return settler


def test_a_file_that_is_done_with_is_forgotten() -> None:
    settler = a_probed_settler()
    settler.done(A, seen(1).identity)
    assert A not in settler


def test_a_change_during_the_look_is_waited_for_after_it_is_done() -> None:
    settler = a_probed_settler()
    settler.feed(seen(2), 3.0)
    assert given_at(settler, 9.0) == []
    settler.done(A, seen(1).identity)
    assert not settler.probing(A)
    assert given_at(settler, 9.0) == [Settled(seen(2), "quiet", 6.0, 3.0)]


def test_a_change_and_a_close_during_the_look_count_after_a_postponement() -> None:
    settler = a_probed_settler()
    settler.feed(seen(2), 3.0)
    settler.closed(A, 3.0)
    settler.postpone(A, seen(1).identity, BUSY, 4.0)
    assert settler.next_due() == 5.0
    assert given_at(settler, 5.0) == [Settled(seen(2), "closed", 2.0, 3.0)]


@pytest.mark.parametrize("said", [Settler.closed, Settler.hinted])
def test_a_close_or_a_hint_during_the_look_brings_the_next_one_at_once(said: object) -> None:
    settler = a_probed_settler()
    assert callable(said)
    said(settler, A, 3.0)
    settler.postpone(A, seen(1).identity, BUSY, 3.5)
    assert settler.next_due() == 3.0
    assert len(given_at(settler, 3.5)) == 1


def test_a_hint_counts_for_one_look() -> None:
    settler = a_settler()
    settler.feed(seen(), 0.0)
    settler.hinted(A, 0.0)
    assert rungs(settler, 0.0) == ["hinted"]
    settler.postpone(A, seen().identity, BUSY, 0.0)
    assert rungs(settler, 2.0) == ["quiet"]


def test_a_change_that_the_look_itself_found_is_waited_for() -> None:
    settler = a_probed_settler()
    settler.postpone(A, seen(2).identity, Incomplete("it changed while it was read"), 4.0)
    assert settler.next_due() == 6.0
    assert given_at(settler, 6.0) == [Settled(seen(2), "quiet", 2.0, 4.0)]


def test_looks_at_a_busy_file_come_less_and_less_often_up_to_ten_quiet_periods() -> None:
    settler, now, pauses = a_probed_settler(), 2.0, []
    for _ in range(14):
        settler.postpone(A, seen().identity, BUSY, now)
        due = settler.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
        assert len(given_at(settler, now)) == 1
    assert pauses == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 20, 20, 20]


def test_where_the_kernel_does_not_say_who_writes_the_wait_is_longer() -> None:
    settler = a_probed_settler()
    settler.postpone(A, seen().identity, Incomplete("unknown", 5.0), 2.0)
    assert settler.next_due() == 10.0


def test_a_file_whose_bytes_say_that_it_is_not_whole_is_looked_at_ever_more_seldom() -> None:
    settler, now, pauses = a_probed_settler(), 2.0, []
    for _ in range(14):
        settler.postpone(A, seen().identity, TORN, now)
        due = settler.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
        assert len(given_at(settler, now)) == 1
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600]


def test_a_file_that_is_held_is_not_given_before_its_time_whatever_is_said_of_it() -> None:
    settler = a_settler()
    settler.feed(seen(1), 0.0)
    settler.hold(A, 50.0)
    settler.closed(A, 1.0)
    settler.hinted(A, 1.0)
    settler.feed(seen(2), 10.0)
    assert given_at(settler, 49.9) == []
    assert rungs(settler, 50.0) == ["quiet"]


def test_a_file_that_is_held_no_longer_than_it_waits_anyway_is_due_when_it_was() -> None:
    settler = a_settler()
    settler.feed(seen(1), 10.0)
    settler.hold(A, 11.0)
    assert settler.next_due() == 12.0


# --- whose files ---


def of(user: str, number: int, size: int = 1) -> Subject:
    path = b"%s/h2oai_experiment_1/%d.zip" % (user.encode(), number)
    return a_subject(Sighting(path, Identity(1, 2, size, 1, 1), stat.S_IFREG | 0o644))


def test_users_take_turns_however_many_files_one_of_them_has() -> None:
    settler = a_settler()
    for number in range(100):
        settler.feed(of("mallory", number), 0.0)
    settler.feed(of("bob", 0), 0.0)
    given_first = [one.subject.owner.user for one in settler.settled(2.0, 3)]
    assert given_first == ["bob", "mallory", "mallory"]


def test_large_files_are_given_by_themselves() -> None:
    settler = a_settler()
    settler.feed(of("bob", 1, LARGE + 1), 0.0)
    settler.feed(of("bob", 2, LARGE), 0.0)
    assert [one.sighting.identity.size for one in settler.settled(2.0, 9)] == [LARGE]
    assert [one.sighting.identity.size for one in settler.settled(2.0, 9, large=True)] == [LARGE + 1]


def test_a_store_is_tried_with_the_smallest_file() -> None:
    settler = a_settler()
    for number, size in enumerate((5 * LARGE, 900, 7, 800)):
        settler.feed(of("bob", number, size), 0.0)
    found = settler.smallest(2.0)
    assert found is not None
    assert found.sighting.identity.size == 7
    assert settler.probing(found.sighting.path)
    settler = a_settler()
    assert settler.smallest(2.0) is None


def test_users_that_have_to_wait_are_passed_over() -> None:
    settler = a_settler()
    settler.feed(of("mallory", 0), 0.0)
    settler.feed(of("bob", 0, 9), 0.0)
    found = settler.smallest(2.0, lambda user: user == "mallory")
    assert found is not None
    assert found.subject.owner.user == "bob"
    assert list(settler.settled(2.0, 9, but=lambda user: user == "mallory")) == []
    assert len(list(settler.settled(2.0, 9))) == 1


def test_one_user_has_all_the_room_and_two_have_half_of_it_each() -> None:
    settler = a_settler()
    for number in range(2 * ROOM):
        settler.feed(of("mallory", number), 0.0)
    assert len(settler) == 1.25 * ROOM
    assert not settler.room("mallory")
    assert settler.room("bob")
    assert settler.feed(of("bob", 0), 0.0)
    assert not settler.room("mallory", reserve=True)
    assert not settler.feed(of("mallory", 2 * ROOM), 0.0)


def test_what_is_parked_gives_way_to_its_owners_other_files_the_longest_parked_first() -> None:
    settler = a_settler()
    most = ROOM + ROOM // 4
    for number in range(most):
        settler.feed(of("mallory", number), 0.0)
    for one in given_at(settler, 2.0):
        settler.postpone(one.sighting.path, one.sighting.identity, TORN, 2.0)
    assert settler.room("mallory")
    first = next(iter(settler.waiting(2.0))).path
    assert settler.feed(of("mallory", most), 3.0)
    assert len(settler) == most
    assert first not in settler
    assert settler.feed(of("bob", 0), 3.0)
    assert of("bob", 0).path in settler


def test_the_experiment_with_the_most_incomplete_files_is_known_and_how_long_anybody_waits() -> None:
    settler = a_settler()
    for number in range(5):
        settler.feed(of("mallory", number), 0.0)
    for one in given_at(settler, 2.0):
        settler.postpone(one.sighting.path, one.sighting.identity, TORN, 2.0)
    settler.feed(of("bob", 0), 2.0)
    assert list(settler.settled(4.5, 0)) == []
    found = settler.backlog(9.0)
    assert (found.crowd, found.crowd_size) == (b"mallory/h2oai_experiment_1", 5)
    assert found.slowest_since == 4.5
    held_back = settler.backlog(9.0, lambda _user: True)
    assert (held_back.waiting, held_back.waiting_since, held_back.slowest_since) == (1, 9.0, None)


Acts = st.lists(
    st.tuples(
        st.sampled_from(["feed", "give", "done", "postpone", "forget"]),
        st.sampled_from(["mallory", "bob"]),
        st.integers(0, 30),
    ),
    max_size=80,
)


@given(Acts)
def test_the_shares_are_counted_right_whatever_happens(acts: list[tuple[str, str, int]]) -> None:
    settler, now, looked_at = a_settler(), 0.0, dict[bytes, Identity]()
    for what, user, number in acts:
        now += 1.0
        subject = of(user, number)
        match what:
            case "feed":
                settler.feed(subject, now)
            case "give":
                looked_at |= {one.sighting.path: one.sighting.identity for one in settler.settled(now, 3)}
            case "forget":
                settler.forget(subject.path)
                looked_at.pop(subject.path, None)
            case "done" if subject.path in looked_at:
                settler.done(subject.path, looked_at.pop(subject.path))
            case "postpone" if subject.path in looked_at:
                settler.postpone(subject.path, looked_at.pop(subject.path), TORN, now)
            case _:
                pass
    holdings = {user: holding.files for user, holding in settler._users.items()}  # noqa: SLF001 - a leak shows nowhere else
    waiting = Counter(one.path.partition(b"/")[0].decode() for one in settler.waiting(now))
    assert holdings == waiting
    for one in settler._users.values():  # noqa: SLF001 - as above
        assert all(path in settler and not settler.probing(path) for path in one.parked)


# --- what people are told ---


def test_a_file_that_is_waited_for_too_long_is_told_once_and_kept() -> None:
    settler = a_settler()
    settler.feed(seen(1), 0.0)
    settler.hold(A, MAX_WAIT + 10)
    assert not list(settler.overdue(MAX_WAIT))
    (told,) = settler.overdue(MAX_WAIT + 1)
    assert (told.path, told.size, told.seconds, told.overdue) == (A, 1, MAX_WAIT + 1, True)
    assert told.reason == "still changing: within the quiet period"
    assert not list(settler.overdue(MAX_WAIT + 2))
    assert A in settler
    (waiting,) = settler.waiting(5.0)
    assert (waiting.reason, waiting.overdue) == ("within the quiet period", False)


@pytest.mark.parametrize(("now", "turn"), [(1.0, False), (5.0, True), (MAX_WAIT + 1, True)])
def test_a_file_whose_quiet_period_is_over_is_told_to_wait_for_its_turn(now: float, *, turn: bool) -> None:
    settler = a_settler()
    settler.feed(seen(1), 0.0)
    (waiting,) = settler.waiting(now)
    assert (waiting.turn, waiting.reason) == (
        turn,
        "it waits for its turn" if turn else "within the quiet period",
    )


def test_the_reason_of_the_last_look_is_told() -> None:
    settler = a_probed_settler()
    settler.postpone(A, seen().identity, BUSY, 2.0)
    assert [one.reason for one in settler.waiting(3.0)] == ["open for writing"]


def test_what_stays_as_it_was_looked_into_is_parked_until_its_next_look() -> None:
    settler = a_settler()
    settler.feed(seen(), 10.0)
    assert (settler.backlog(12.5).parked, settler.backlog(12.5).slowest_since) == (0, None)
    given_at(settler, 12.5)
    settler.postpone(A, seen().identity, BUSY, 13.0)
    assert (settler.backlog(14.0).parked, settler.backlog(14.0).incomplete) == (1, 1)
    settler.feed(seen(2), 14.0)
    assert (settler.backlog(14.0).parked, settler.backlog(14.0).incomplete) == (0, 1)
    given_at(settler, 17.0)
    settler.postpone(A, seen(2).identity, BUSY, 17.0)
    assert settler.backlog(18.0).parked == 1
    given_at(settler, 30.0)
    assert settler.backlog(30.0).parked == 0, "it is being looked into"


def test_what_is_forgotten_or_done_with_is_parked_no_more() -> None:
    settler = a_settler()
    for number in range(3):
        settler.feed(of("mallory", number), 0.0)
    for one in given_at(settler, 2.0):
        settler.postpone(one.sighting.path, one.sighting.identity, TORN, 2.0)
    settler.forget(of("mallory", 0).path)
    assert (settler.backlog(3.0).parked, settler.backlog(3.0).incomplete) == (2, 2)


def test_after_an_export_the_wait_is_counted_anew() -> None:
    settler = a_probed_settler()
    settler.feed(seen(2), 90.0)
    settler.done(A, seen(1).identity)
    assert not list(settler.overdue(MAX_WAIT + 50))
    assert [one.seconds for one in settler.waiting(100.0)] == [10.0]


# --- invariants ---


@given(st.lists(st.floats(0.001, QUIET - 0.001), min_size=1, max_size=150))
def test_a_file_that_changes_all_the_time_is_never_given_never_dropped_and_told_of_once(
    gaps: list[float],
) -> None:
    settler, now, told = a_settler(), 0.0, 0
    for version, gap in enumerate(gaps):
        settler.feed(seen(version), now)
        now += gap
        assert given_at(settler, now) == []
        told += len(list(settler.overdue(now)))
    assert A in settler
    assert told == (now > MAX_WAIT)


@dataclass
class World:
    """Files as they really are, and what the settler was told of them."""

    settler: Settler = field(default_factory=a_settler)
    now: float = 0.0
    version: dict[bytes, int] = field(default_factory=dict)
    changed: dict[bytes, float] = field(default_factory=dict)
    hinted: set[bytes] = field(default_factory=set)
    looked_at: dict[bytes, int] = field(default_factory=dict)
    exported: dict[bytes, int] = field(default_factory=dict)

    def act(self, what: str, path: bytes) -> None:
        version = self.version.get(path, 0)
        match what:
            case "change":
                self.version[path], self.changed[path] = version + 1, self.now
                self.hinted.discard(path)
                self.settler.feed(seen(version + 1, path), self.now)
            case "close":
                self.settler.closed(path, self.now)
            case "hint" if path in self.settler:
                self.settler.hinted(path, self.now)
                self.hinted.add(path)
            case "done" if path in self.looked_at:
                given = self.exported[path] = self.looked_at.pop(path)
                self.settler.done(path, seen(given, path).identity)
            case "postpone" if path in self.looked_at:
                self.looked_at.pop(path)
                self.settler.postpone(path, seen(version, path).identity, BUSY, self.now)
            case "give":
                for one in given_at(self.settler, self.now):
                    self._given(one)
            case _:
                pass  # nobody says that of a file that is not looked at, or not waited for

    def _given(self, one: Settled) -> None:
        path = one.sighting.path
        assert path not in self.looked_at
        assert one.sighting.identity.size == self.version[path]
        assert self.now >= self.changed[path] + QUIET or path in self.hinted
        self.looked_at[path] = self.version[path]

    def check(self) -> None:
        for path, version in self.version.items():
            assert path in self.settler or self.exported.get(path) == version, "a file was dropped"
            assert self.settler.probing(path) == (path in self.looked_at)


ACTS = ("change", "close", "hint", "done", "postpone", "give")


@given(
    st.lists(
        st.tuples(st.sampled_from(ACTS), st.sampled_from([b"a", b"b", b"c"]), st.floats(0, 5)), max_size=60
    )
)
@settings(max_examples=300)
def test_whatever_happens_no_change_is_lost(happened: list[tuple[str, bytes, float]]) -> None:
    world = World()
    for what, path, pause in happened:
        world.now += pause
        world.act(what, path)
        world.check()
        if what == "give":
            due = world.settler.next_due()
            assert due is None or due > world.now
    for _ in range(3):
        world.now += 1000.0
        for path in (b"a", b"b", b"c"):
            world.act("done", path)
        world.act("give", b"")
    assert len(world.settler) == 0 or world.looked_at
    assert world.settler.next_due() is None


def test_the_queue_stays_in_proportion_to_the_files() -> None:
    settler = a_settler()
    for turn in range(200):
        for number in range(500):
            settler.feed(seen(turn, b"%d" % number), turn / 1000)
    assert len(settler) == 500
    assert len(settler._queue) <= 2 * 500 + 1001  # noqa: SLF001 - memory shows nowhere else
    assert len(given_at(settler, 100.0)) == 500


def test_what_is_due_first_is_known_when_the_queue_was_made_anew() -> None:
    settler = a_settler()
    for turn in range(10):
        for number in range(500):
            before = len(settler._queue)  # noqa: SLF001 - as above
            settler.feed(seen(turn, b"%d" % number), turn + (500 - number) / 1000)
            if len(settler._queue) <= before:  # noqa: SLF001
                assert settler.next_due() == turn - 1 + 1 / 1000 + QUIET, "the last one of the turn before"
                return
    pytest.fail("it was never made anew")
