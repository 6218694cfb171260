"""Several threads at one job."""

import threading
from collections.abc import Iterator

import pytest

from artifactd.stores.objects.workers import Workers

PATIENCE = 120.0


@pytest.fixture
def workers() -> Iterator[Workers]:
    workers = Workers("test", 4)
    yield workers
    workers.close()


def test_every_item_is_done_once(workers: Workers) -> None:
    done: list[int] = []
    workers.each(done.append, range(1000))
    assert sorted(done) == list(range(1000))


def test_nothing_to_do_is_done(workers: Workers) -> None:
    workers.each(pytest.fail, [])


def test_as_many_things_happen_at_once_as_there_are_threads(workers: Workers) -> None:
    barrier = threading.Barrier(4)

    def meet(_: int) -> None:
        barrier.wait(PATIENCE)

    workers.each(meet, range(8))


def test_one_item_is_done_by_the_caller_itself(workers: Workers) -> None:
    who: list[threading.Thread] = []
    workers.each(lambda _: who.append(threading.current_thread()), [1])
    assert who == [threading.current_thread()]


@pytest.mark.parametrize("by_the_caller", [True, False])
def test_the_first_failure_stops_what_has_not_begun_and_waits_for_what_has(
    workers: Workers, *, by_the_caller: bool
) -> None:
    begun, failed, caller = threading.Barrier(4), threading.Event(), threading.current_thread()
    fails, done = threading.Lock(), list[int]()

    def act(item: int) -> None:
        begun.wait(PATIENCE)
        mine = (threading.current_thread() is caller) == by_the_caller and fails.acquire(blocking=False)
        if mine:
            failed.set()
            raise LookupError(str(item))
        assert failed.wait(PATIENCE)
        done.append(item)

    with pytest.raises(LookupError):
        workers.each(act, range(100))
    assert len(done) >= 3
    assert len(done) < 10, "the others went on"


def test_jobs_of_several_callers_do_not_wait_for_each_other(workers: Workers) -> None:
    """Each caller works at its own job, so all of them end however few the others are."""
    together = threading.Barrier(8)

    def job() -> None:
        workers.each(lambda _: None, range(50))
        together.wait(PATIENCE)

    threads = [threading.Thread(target=job) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_who_let_the_threads_go_does_the_rest_alone() -> None:
    workers = Workers("test", 4)
    workers.close()
    done: list[int] = []
    workers.each(done.append, range(10))
    assert sorted(done) == list(range(10))
