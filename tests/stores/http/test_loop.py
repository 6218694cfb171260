"""One loop for many threads: what it does for each, and how it ends."""

import asyncio
import threading
from functools import partial

import pytest

from artifactd.stores.base import Unavailable
from artifactd.stores.http.loop import Loop

PATIENCE = 30.0


async def said(what: str) -> str:
    await asyncio.sleep(0)
    return what


def close(loop: Loop, begun: threading.Event) -> None:
    begun.set()
    loop.close()


def test_what_is_returned_or_raised_comes_back_to_the_thread_that_asked() -> None:
    loop = Loop("there")

    async def fail() -> None:
        raise LookupError("k")

    assert loop.run(said("well")) == "well"
    with pytest.raises(LookupError, match="k"):
        loop.run(fail())
    loop.close()


def test_what_may_block_holds_nothing_up() -> None:
    loop, freed = Loop("there"), threading.Event()

    async def both() -> bool:
        blocked = asyncio.create_task(loop.aside(lambda: freed.wait(PATIENCE)))
        await said("meanwhile")
        freed.set()
        return await blocked

    assert loop.run(both())
    loop.close()


def test_what_is_under_way_at_the_close_goes_on_to_its_end() -> None:
    loop, begun = Loop("there"), threading.Event()

    async def act() -> str:
        await loop.aside(partial(close, loop, begun))
        return await said("done")

    assert loop.run(act()) == "done"
    assert begun.is_set()
    with pytest.raises(Unavailable, match="not sent to any more"):
        loop.run(said("too late"))


def test_a_mistake_of_ours_ends_it_and_whoever_waits_hears_of_it() -> None:
    loop = Loop("there")

    async def act() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.Event().wait()

    with pytest.raises(Unavailable, match="a mistake of artifactd's own: ZeroDivisionError"):
        loop.run(act())
    with pytest.raises(Unavailable, match="ZeroDivisionError"):
        loop.run(said("too late"))
