"""How many requests are under way at once: near the best for any server, and back there when it changed."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactd.stores.objects.concurrency import BYTES, MOST, SECONDS, START, Concurrency

MIB = 1 << 20
SMALL = 8 << 10


@dataclass(frozen=True)
class Server:
    """One that is not there: what it and the way to it do to requests."""

    latency: float = 0.03
    """seconds of an answer to a request that waits for no other"""
    varies: float = 0.0
    """share of the latency that comes on top on average, as chance has it"""
    capacity: float = 1e9
    """requests a second"""
    line: float = 1e12
    """bytes a second"""
    most: float = 1e9
    """requests at once; more are refused"""


class _Event(NamedTuple):
    at: float
    number: int
    began: float
    refused: bool
    """whether the server was too busy; then the request is made again, after a pause"""


PAUSE = 0.1


@dataclass
class Run:
    """Requests to a server, as many at once as there is room for."""

    concurrency: Concurrency
    now: float = 0.0
    refused: int = 0
    most_bytes: int = 0
    longest: float = 0.0
    """seconds of a request"""
    chance: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311 - no secret
    free: float = 0.0
    """when the server is done with what it was sent"""
    number: int = 0
    taken: int = 0
    """requests that the server is at"""

    def of(self, requests: int, server: Server, size: int = SMALL, at_once: int = 10**9) -> float:
        """Make so many, of which `at_once` wait at a time. Returns those a second."""
        events, waiting, done, start = list[_Event](), requests, 0, self.now
        while done < requests:
            while waiting and len(events) < at_once and self.concurrency.room(size):
                heapq.heappush(events, self._begun(server, size))
                waiting -= 1
            event = heapq.heappop(events)
            self.now = event.at
            if event.began < 0:
                waiting += 1
                continue
            seconds = event.at - event.began
            self.concurrency.ended(size, seconds, event.at, "503" if event.refused else "")
            self.longest = max(self.longest, seconds)
            if event.refused:
                self.refused += 1
                again = event.at + PAUSE * (1 + self.chance.random())
                heapq.heappush(events, _Event(again, event.number, -1.0, refused=False))
            else:
                done += 1
                self.taken -= 1
        return requests / (self.now - start)

    def _begun(self, server: Server, size: int) -> _Event:
        self.number += 1
        self.concurrency.begin(size, self.now)
        self.most_bytes = max(self.most_bytes, self.concurrency.under_way * size)
        if self.taken >= server.most:
            return _Event(self.now + server.latency / 2, self.number, self.now, refused=True)
        self.taken += 1
        self.free = max(self.free, self.now) + max(1 / server.capacity, size / server.line)
        takes = server.latency * (1 + server.varies * self.chance.expovariate(1))
        return _Event(self.free + takes, self.number, self.now, refused=False)


def best(server: Server, size: int = SMALL) -> float:
    """Requests a second that the server can do with MOST at once."""
    most = min(MOST, server.most)
    return min(most / (server.latency * (1 + server.varies)), server.capacity, server.line / size)


SERVERS = {
    "as Amazon's is": Server(0.03, capacity=3000),
    "one whose answers vary": Server(0.03, varies=1.0, capacity=2000),
    "near": Server(0.005, capacity=3000),
    "on this machine": Server(0.0002, capacity=4000),
    "far": Server(0.2),
    "one that refuses more than 20": Server(0.03, most=20),
    "one that refuses more than 100": Server(0.03, most=100),
    "one that takes one at a time": Server(0.01, most=1),
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_it_comes_near_to_the_best(server: Server) -> None:
    run = Run(Concurrency())
    run.of(6000, server)
    assert run.of(6000, server) > 0.75 * best(server)


@settings(max_examples=25)
@given(
    latency=st.floats(0.0005, 0.3),
    capacity=st.floats(100, 10_000),
    varies=st.floats(0, 1),
    most=st.sampled_from([6, 30, 200, 10**9]),
)
def test_of_any_server_it_comes_near_to_the_best(
    latency: float, capacity: float, varies: float, most: int
) -> None:
    server = Server(latency, varies, capacity, most=most)
    run = Run(Concurrency())
    run.of(1500, server)
    assert run.of(1500, server) > 0.4 * best(server)
    assert 1 <= run.concurrency.limit <= MOST


def test_it_doubles_while_that_carries_more() -> None:
    concurrency = Concurrency()
    Run(concurrency).of(1000, Server(0.1))
    assert concurrency.limit == MOST


def test_of_a_server_on_this_machine_it_wants_little() -> None:
    run = Run(Concurrency())
    run.of(20_000, SERVERS["on this machine"])
    assert run.concurrency.limit <= START


def test_few_requests_are_refused_and_made_again() -> None:
    run = Run(Concurrency())
    run.of(10_000, SERVERS["one that refuses more than 20"])
    assert 0 < run.refused < 100
    assert run.concurrency.backed_off is not None
    assert run.concurrency.backed_off.reason == "503"


def test_it_grows_again_when_what_refused_is_over() -> None:
    run = Run(Concurrency())
    run.of(3000, Server(0.03, most=3))
    assert run.concurrency.limit <= 4
    assert run.of(30_000, Server(0.03)) > 1000


def test_it_shrinks_when_the_server_takes_less() -> None:
    run = Run(Concurrency())
    run.of(3000, Server(0.03))
    assert run.concurrency.limit == MOST
    refused = run.refused
    run.of(10_000, Server(0.03, most=40))
    assert run.concurrency.limit <= 50
    assert run.refused - refused < 600


def test_of_many_refused_at_the_same_time_it_backs_off_once() -> None:
    concurrency = Concurrency()
    for _ in range(8):
        concurrency.begin(SMALL, 1.0)
    for number in range(8):
        concurrency.ended(SMALL, 0.1 + number / 100, 1.1 + number / 100, "503")
    assert concurrency.limit == 4


def test_half_of_what_was_under_way_stays_when_fewer_were_than_might_have_been() -> None:
    concurrency = Concurrency()
    for _ in range(4):
        concurrency.begin(SMALL, 1.0)
    concurrency.ended(SMALL, 0.1, 1.1, "it did not answer")
    assert concurrency.limit == 2


def test_it_does_not_grow_when_it_is_not_what_limits() -> None:
    concurrency = Concurrency()
    Run(concurrency).of(10_000, Server(0.03), at_once=5)
    assert concurrency.limit == START


def test_a_throttle_or_a_full_line_does_not_make_it_grow() -> None:
    run = Run(Concurrency())
    run.of(3000, Server(0.03, line=100 * SMALL))
    assert run.concurrency.limit <= 2 * START


def test_what_was_learned_holds_for_the_next_batch() -> None:
    run = Run(Concurrency())
    run.of(5000, Server(0.1))
    run.now += 3600.0
    assert run.of(256, Server(0.1)) > 2000


@pytest.mark.parametrize("size", [SMALL, 256 << 10, 4 * MIB, 16 * MIB, 1 << 30])
def test_bytes_under_way_are_bounded_and_start_may_always_be(size: int) -> None:
    run = Run(Concurrency())
    run.of(2000, Server(0.1), size)
    assert START * min(size, MIB) <= run.most_bytes <= max(BYTES, START * size)


def test_requests_that_share_a_slow_line_end_in_their_time() -> None:
    run, size = Run(Concurrency()), 256 << 10
    run.of(2000, Server(0.03), size)
    assert run.concurrency.limit == MOST
    slow = Server(0.03, line=125_000)
    run.of(600, slow, size)
    run.longest = 0.0
    run.of(600, slow, size)
    assert run.longest < 1.5 * SECONDS


@pytest.mark.parametrize("connections", [1, 5, 64])
def test_a_number_that_is_set_stays(connections: int) -> None:
    for server in SERVERS.values():
        concurrency = Concurrency.of(connections)
        run = Run(concurrency)
        run.of(300, replace(server, most=max(connections, server.most)), 16 * MIB)
        assert concurrency.limit == connections
        assert run.most_bytes == connections * 16 * MIB


def test_a_number_that_is_set_stays_whatever_is_refused() -> None:
    concurrency = Concurrency.of(8)
    concurrency.begin(SMALL, 1.0)
    concurrency.ended(SMALL, 0.1, 1.1, "503")
    assert concurrency.limit == 8


PROFILES: dict[str, Callable[[], Concurrency]] = {"auto": Concurrency, "set": lambda: Concurrency.of(3)}


@pytest.mark.parametrize("make", PROFILES.values(), ids=PROFILES)
@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 64 * MIB), st.floats(0, 5), st.sampled_from(["", "503"]))
    )
)
def test_there_is_always_room_for_one_and_never_more_than_the_most(
    make: Callable[[], Concurrency], steps: list[tuple[bool, int, float, str]]
) -> None:
    concurrency, begun, now = make(), list[tuple[int, float]](), 0.0
    for begins, size, seconds, refused in steps:
        now += seconds
        if begins and concurrency.room(size):
            concurrency.begin(size, now)
            begun.append((size, now))
        elif begun:
            sent, since = begun.pop(0)
            concurrency.ended(sent, now - since, now, refused)
        assert concurrency.under_way == len(begun)
        assert 1 <= concurrency.limit <= concurrency.most
        assert begun or concurrency.room(1 << 40)
