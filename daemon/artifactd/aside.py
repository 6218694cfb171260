"""A call that may hang for ever, as one to a dead mount does, where nobody has to wait for it."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def aside(act: Callable[[], T], name: str) -> Future[T]:
    """What `act` returns or raises, in a thread called `name` that keeps no process from ending.

    Raises:
        RuntimeError: no thread can be had now.
    """
    result = Future[T]()
    Thread(target=_act, args=(act, result), name=name, daemon=True).start()
    return result


def _act(act: Callable[[], T], result: Future[T]) -> None:
    try:
        result.set_result(act())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
        result.set_exception(error)
