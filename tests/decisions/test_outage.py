from artifactd.decisions.backoff import Backoff
from artifactd.decisions.outage import FILES_AT_ONCE, LARGE_AT_ONCE, StoreState


def a_store() -> StoreState:
    return StoreState("s3", Backoff(first_seconds=2.0, cap_seconds=60.0, give_up_after=3))


def test_a_store_takes_so_many_files_at_once() -> None:
    store = a_store()
    assert store.room(0.0) == FILES_AT_ONCE
    store.small = FILES_AT_ONCE - 1
    assert store.room(0.0) == 1
    store.small = FILES_AT_ONCE + 1
    assert store.room(0.0) == 0


def test_large_files_take_no_room_from_small_ones_nor_these_from_them() -> None:
    store = a_store()
    store.large = LARGE_AT_ONCE
    assert (store.room(0.0), store.room(0.0, large=True)) == (FILES_AT_ONCE, 0)
    store.small, store.large = FILES_AT_ONCE, 1
    assert (store.room(0.0), store.room(0.0, large=True)) == (0, LARGE_AT_ONCE - 1)


def test_a_store_that_is_out_is_tried_with_one_file_after_a_wait() -> None:
    store = a_store()
    assert store.next_try() is None
    assert store.out("refused", 100.0, 0.0) == 1.0
    assert store.next_try() == 101.0
    assert [store.room(at) for at in (100.0, 100.9, 101.0, 500.0)] == [0, 0, 1, 1]
    assert [store.probing(at) for at in (100.9, 101.0)] == [False, True]
    store.large = 1
    assert store.room(500.0) == 0
    assert not store.probing(500.0)


def test_each_failed_try_waits_longer_and_none_gives_up() -> None:
    store, now, waits = a_store(), 0.0, []
    for _ in range(9):
        store.out("refused", now, 0.0)
        waits.append((store.next_try() or 0.0) - now)
        now += waits[-1]
    assert waits == [1.0, 2.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0]


def test_an_outage_is_told_once_for_each_reason() -> None:
    store = a_store()
    assert store.out("refused", 0.0, 0.0) == 1.0
    assert store.out("refused", 1.0, 0.0) is None
    assert store.out("denied", 3.0, 0.0) == 60.0
    assert store.out("denied", 63.0, 0.0) is None


def test_batches_that_were_under_way_as_it_went_out_are_no_tries_of_their_own() -> None:
    store = a_store()
    for at in (0.0, 0.1, 0.2, 0.3):
        store.out("refused", at, 0.0)
    assert store.next_try() == 1.0


def test_a_store_is_back_with_the_first_thing_it_takes() -> None:
    store = a_store()
    assert store.back(0.0) is None
    store.out("refused", 10.0, 0.0)
    store.out("refused", 11.0, 0.0)
    assert store.back(25.0) == 15.0
    assert (store.reason, store.room(25.0), store.next_try()) == ("", FILES_AT_ONCE, None)
    assert store.out("refused", 30.0, 0.0) == 1.0


def test_jitter_moves_the_next_try() -> None:
    assert a_store().out("refused", 0.0, 0.5) == 1.5


def test_a_store_that_asks_for_a_longer_pause_gets_it() -> None:
    store = a_store()
    assert store.out("busy", 0.0, 0.0, at_least=30.0) == 30.0
    assert not store.probing(29.9)
    assert store.probing(30.0)
