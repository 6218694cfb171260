"""Many things under way in one loop, and no more than there are slots for."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from artifactd.clock import SYSTEM
from artifactd.stores.base import Unavailable
from artifactd.stores.objects.concurrency import Concurrency
from artifactd.stores.objects.slots import Slots


def of(connections: int) -> Slots:
    return Slots(Concurrency.of(connections), SYSTEM)


async def nothing(_: int) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("items", [0, 1, 4, 1000])
def test_every_item_is_done_once(items: int) -> None:
    done: list[int] = []

    async def act(item: int) -> None:
        await nothing(item)
        done.append(item)

    asyncio.run(of(4).each(act, range(items)))
    assert sorted(done) == list(range(items))


def test_as_many_requests_are_under_way_as_there_are_slots() -> None:
    slots, under_way, most = of(4), 0, list[int]()

    async def send() -> None:
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        await nothing(0)
        under_way -= 1

    async def jobs() -> None:
        await asyncio.gather(*(slots.each(lambda _: slots.request(0, send), range(50)) for _ in range(3)))

    asyncio.run(jobs())
    assert (len(most), max(most)) == (150, 4)


def test_the_first_failure_stops_what_has_not_begun_and_waits_for_what_has() -> None:
    begun, done = list[int](), list[int]()

    async def act(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise LookupError(str(item))
        await nothing(item)
        done.append(item)

    with pytest.raises(LookupError, match="1"):
        asyncio.run(of(4).each(act, range(100)))
    assert begun == [0, 1, 2, 3]
    assert done == [0, 2, 3]


def test_a_small_job_takes_its_turns_beside_a_large_one() -> None:
    slots, sent = of(2), list[str]()

    def sending(name: str) -> Callable[[int], Awaitable[None]]:
        async def send() -> None:
            sent.append(name)
            await nothing(0)

        return lambda _: slots.request(0, send)

    async def jobs() -> None:
        large = asyncio.create_task(slots.each(sending("large"), range(1000)))
        await nothing(0)
        await slots.each(sending("small"), range(10))
        assert sent.count("large") < 30
        await large

    asyncio.run(jobs())
    assert len(sent) == 1010


def test_more_slots_are_taken_by_a_job_that_is_under_way_and_fewer_after_a_server_was_too_busy() -> None:
    concurrency = Concurrency()
    slots, under_way, most, refused = Slots(concurrency, SYSTEM), 0, 0, 0

    async def send() -> None:
        nonlocal under_way, most, refused
        under_way += 1
        most = max(most, under_way)
        try:
            await asyncio.sleep(0.005)
            if under_way > 40:
                refused += 1
                raise Unavailable("it is too busy")
        finally:
            under_way -= 1

    async def act(_: int) -> None:
        while True:
            try:
                return await slots.request(8192, send)
            except Unavailable:
                await nothing(0)

    asyncio.run(slots.each(act, range(3000)))
    assert 8 < most <= 64
    assert 0 < refused < 300
    assert concurrency.backed_off is not None
    assert concurrency.now.under_way == 0
