"""Turns: nobody is served twice while another waits, and large files cost what they weigh."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from artifactd.decisions.shares import QUANTUM, FairQueue, Owner

MIB = 1 << 20
ALICE, BOB = Owner("alice", "one"), Owner("bob", "one")


def taken(queue: FairQueue[str]) -> list[str]:
    found = []
    while (key := queue.take()) is not None:
        found.append(key)
    return found


def test_users_take_turns_however_many_files_one_of_them_has() -> None:
    queue = FairQueue[str]()
    for number in range(1000):
        queue.put(ALICE, f"a{number}", 10)
    queue.put(BOB, "b0", 10)
    queue.put(BOB, "b1", 10)
    assert taken(queue)[:5] == ["a0", "b0", "a1", "b1", "a2"]


def test_experiments_of_one_user_take_turns_too() -> None:
    queue = FairQueue[str]()
    for number in range(3):
        queue.put(Owner("alice", "old"), f"old{number}", 10)
    queue.put(Owner("alice", "new"), "new", 10)
    assert taken(queue) == ["old0", "new", "old1", "old2"]


def test_a_user_with_many_experiments_gets_no_more_turns_than_one_with_one() -> None:
    queue = FairQueue[str]()
    for number in range(5):
        queue.put(Owner("alice", str(number)), f"a{number}", 10)
        queue.put(BOB, f"b{number}", 10)
    assert taken(queue)[:6] == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_while_a_large_file_saves_up_as_many_bytes_of_others_go_first() -> None:
    queue = FairQueue[str]()
    queue.put(ALICE, "huge", 10 * QUANTUM)
    for number in range(30):
        queue.put(BOB, f"b{number}", 1)
    assert taken(queue).index("huge") == 9


def test_a_large_file_alone_goes_at_once() -> None:
    queue = FairQueue[str]()
    queue.put(ALICE, "huge", 1 << 50)
    assert queue.peek() == "huge"
    assert taken(queue) == ["huge"]


def test_users_that_are_passed_over_keep_their_place() -> None:
    queue = FairQueue[str]()
    queue.put(ALICE, "a", 1)
    queue.put(BOB, "b", 1)
    assert queue.take(lambda user: user == "alice") == "b"
    assert queue.take(lambda user: user == "alice") is None
    assert queue.take() == "a"


def test_what_waits_already_keeps_its_place_and_what_is_discarded_is_gone() -> None:
    queue = FairQueue[str]()
    queue.put(ALICE, "a", 1)
    queue.put(ALICE, "b", 1)
    queue.put(BOB, "a", 1)
    assert len(queue) == 2
    queue.discard("a")
    queue.discard("a")
    assert "a" not in queue
    assert taken(queue) == ["b"]


Waiting = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 3 * MIB)), max_size=80
)


@given(Waiting, st.sets(st.integers(0, 79)))
def test_everything_that_was_put_is_taken_once_unless_it_was_discarded(
    waiting: list[tuple[str, str, int]], discarded: set[int]
) -> None:
    queue = FairQueue[int]()
    for number, (user, experiment, size) in enumerate(waiting):
        queue.put(Owner(user, experiment), number, size)
    for number in discarded:
        queue.discard(number)
    found = []
    while (key := queue.take()) is not None:
        found.append(key)
    assert sorted(found) == sorted(set(range(len(waiting))) - discarded)
    assert len(queue) == 0


@given(Waiting)
def test_no_user_gets_ahead_of_another_who_waits_by_more_than_a_turn_and_a_file(
    waiting: list[tuple[str, str, int]],
) -> None:
    queue = FairQueue[int]()
    for number, (user, experiment, size) in enumerate(waiting):
        queue.put(Owner(user, experiment), number, size)
    left = Counter(user for user, _, _ in waiting)
    served = Counter[str]()
    largest = max((size for _, _, size in waiting), default=0)
    while (key := queue.take()) is not None:
        user, _, size = waiting[key]
        served[user] += max(QUANTUM, size)
        left[user] -= 1
        for other in left:
            if left[other] and other != user:
                assert served[user] - served[other] <= 2 * QUANTUM + 2 * largest
