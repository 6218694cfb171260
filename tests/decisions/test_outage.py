from artifactd.decisions.backoff import Backoff
from artifactd.decisions.outage import FILES_AT_ONCE, Lane


def a_lane() -> Lane:
    return Lane("s3", Backoff(first_seconds=2.0, cap_seconds=60.0, give_up_after=3))


def test_a_lane_takes_so_many_files_at_once() -> None:
    lane = a_lane()
    assert lane.room(0.0) == FILES_AT_ONCE
    lane.under_way = FILES_AT_ONCE - 1
    assert lane.room(0.0) == 1
    lane.under_way = FILES_AT_ONCE + 1
    assert lane.room(0.0) == 0
    assert not lane.open(0.0)


def test_a_store_that_is_out_is_tried_with_one_file_after_a_wait() -> None:
    lane = a_lane()
    assert lane.next_try() is None
    assert lane.out("refused", 100.0, 0.0) == 1.0
    assert lane.next_try() == 101.0
    assert [lane.room(at) for at in (100.0, 100.9, 101.0, 500.0)] == [0, 0, 1, 1]
    lane.under_way = 1
    assert not lane.open(500.0)


def test_each_failed_try_waits_longer_and_none_gives_up() -> None:
    lane, now, waits = a_lane(), 0.0, []
    for _ in range(9):
        lane.out("refused", now, 0.0)
        waits.append((lane.next_try() or 0.0) - now)
        now += waits[-1]
    assert waits == [1.0, 2.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0]


def test_an_outage_is_told_once_for_each_reason() -> None:
    lane = a_lane()
    assert lane.out("refused", 0.0, 0.0) == 1.0
    assert lane.out("refused", 1.0, 0.0) is None
    assert lane.out("denied", 3.0, 0.0) == 60.0
    assert lane.out("denied", 63.0, 0.0) is None


def test_batches_that_were_under_way_as_it_went_out_are_no_tries_of_their_own() -> None:
    lane = a_lane()
    for at in (0.0, 0.1, 0.2, 0.3):
        lane.out("refused", at, 0.0)
    assert lane.next_try() == 1.0


def test_a_store_is_back_with_the_first_thing_it_takes() -> None:
    lane = a_lane()
    assert lane.back(0.0) is None
    lane.out("refused", 10.0, 0.0)
    lane.out("refused", 11.0, 0.0)
    assert lane.back(25.0) == 15.0
    assert (lane.reason, lane.room(25.0), lane.next_try()) == ("", FILES_AT_ONCE, None)
    assert lane.out("refused", 30.0, 0.0) == 1.0


def test_jitter_moves_the_next_try() -> None:
    assert a_lane().out("refused", 0.0, 0.5) == 1.5


def test_a_store_that_asks_for_a_longer_pause_gets_it() -> None:
    lane = a_lane()
    assert lane.out("busy", 0.0, 0.0, at_least=30.0) == 30.0
    assert not lane.open(29.9)
    assert lane.open(30.0)
