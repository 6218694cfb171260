"""One store's way: what is under way to it, whose turn it is, and what was passed over meanwhile.

Each copy of a file at a store is a work item of its own. A store that hangs holds up nothing but its items,
neither the same file's copies elsewhere nor its next version there. Small files are put in batches, by
threads that large ones cannot take. What the store wants to have apart counts as large.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from typing import Final

from artifactd.artifact import Identity
from artifactd.decisions.backoff import Backoff
from artifactd.decisions.outage import StoreState
from artifactd.decisions.settle import LARGE
from artifactd.decisions.shares import FairQueue, Owner
from artifactd.discovery.reading import Reading
from artifactd.mirror.upload import Upload
from artifactd.stores.base import Put, Result, Store

BATCH_FILES: Final = 128
BATCH_BYTES: Final = LARGE
"""A batch shares its commits and its barriers. It holds no more of either: its entries take 20 ms."""

_ROUNDS: Final = 4
"""Requests of a batch for each that may be under way: who comes next waits until all of the batch is done."""

_MOST_JOBS: Final = 64
_MOST_BYTES: Final = 4 * BATCH_BYTES
"""Of the small batches of a store that wants many requests at once. Each has a thread, which waits."""

_PASSED_OVER: Final = 50_000
"""Files whose names are kept while the store takes none. What is more, a scan has to find."""


@dataclass(slots=True)
class Held:
    """A reading that stays open until every store that needs it is done with it."""

    reading: Reading
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One put that was begun on record."""

    held: Held
    upload: Upload

    @property
    def path(self) -> bytes:
        """Of the file."""
        return self.upload.row.artifact.path

    @property
    def size(self) -> int:
        """Bytes."""
        return self.held.reading.source.size


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Items that one thread puts together."""

    items: Sequence[Item]
    large: bool
    """whether they are large ones"""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(item.size for item in self.items)


class Lane:
    """For one thread, that of its owner.

    `put` is called there for each job that may begin, with the threads to do it in.
    """

    def __init__(
        self, store: Store, backoff: Backoff, threads: int, put: Callable[["Lane", Job], None]
    ) -> None:
        self.store = store
        self.state = StoreState(store.name, backoff)
        self.threads = ThreadPoolExecutor(max(2, threads, _MOST_JOBS), f"put-{store.name}")
        self._most = max(2, threads)
        self._small_most = LARGE if store.apart is None else min(LARGE, store.apart - 1)
        self._put = put
        self._items: dict[int, Item] = {}
        self._numbers = count()
        self._small: FairQueue[int] = FairQueue()
        self._large: FairQueue[int] = FairQueue()
        self._jobs: dict[Job, int] = {}
        """under way, with their bytes"""
        self._large_jobs = 0
        self._under_way: Counter[bytes] = Counter()
        self._identities: dict[bytes, Identity] = {}
        self.passed_over: dict[bytes, int] = {}
        """path → bytes of files to look at again as soon as this store takes something"""
        self.anchoring = False
        """whether the end of the record is on its way"""

    # --- what may go ---

    def takes(self, path: bytes, size: int, now: float) -> bool:
        """Whether a copy of the file at `path` may be sent now: none is on its way, and there is room.

        A store that is out is tried with a small one, if there is any.
        """
        if path in self._under_way or self.state.room(now, large=self._is_large(size)) == 0:
            return False
        return (
            self.state.out_since is None
            or not self._is_large(size)
            or all(map(self._is_large, self.passed_over.values()))
        )

    def _is_large(self, size: int) -> bool:
        return size > self._small_most

    def carries(self, path: bytes, identity: Identity | None = None) -> bool:
        """Whether a copy of the file is under way; of the version with this identity, if one is given."""
        return path in self._under_way and identity in (None, self._identities[path])

    def pass_over(self, path: bytes, size: int) -> None:
        """The file is left for later."""
        if path in self.passed_over or len(self.passed_over) < _PASSED_OVER:
            self.passed_over[path] = size
        else:
            self.state.behind = True

    def next_ones(self, limit: int, now: float) -> list[bytes]:
        """At most so many of the files that were passed over, and may be sent now. They are given once."""
        if not self.passed_over or self.state.room(now) == 0:
            return []
        if self.state.probing(now):
            found = [min(self.passed_over, key=lambda path: self.passed_over[path])]
        else:
            found = list(islice(self._waiting(now), limit))
        for path in found:
            del self.passed_over[path]
        return found

    def _waiting(self, now: float) -> Iterator[bytes]:
        """As many of those that were passed over as there is room for, or they would be read in vain."""
        room = {large: self.state.room(now, large=large) for large in (False, True)}
        for path, size in self.passed_over.items():
            large = self._is_large(size)
            if path not in self._under_way and room[large] > 0:
                room[large] -= 1
                yield path

    # --- what goes ---

    def begin(self, row_path: bytes, identity: Identity, size: int) -> None:
        """A copy is to be sent: from now on it counts."""
        self._under_way[row_path] += 1
        self._identities[row_path] = identity
        if self._is_large(size):
            self.state.large += 1
        else:
            self.state.small += 1

    def send(self, item: Item) -> None:
        """Put it in its owner's turn."""
        number = next(self._numbers)
        self._items[number] = item
        artifact = item.upload.row.artifact
        queue = self._large if self._is_large(item.size) else self._small
        queue.put(Owner(artifact.user, artifact.experiment_id), number, item.size)

    def start(self, now: float) -> None:
        """Begin as many jobs as there are threads for, and more small ones where the store wants more."""
        while self._small and (len(self._jobs) < self._most or self._wants_more):
            self._begin(Job(list(self._batch(self._small)), large=False), now)
        while self._large and len(self._jobs) < self._most and self._large_jobs < self._most - 1:
            self._begin(Job(list(self._batch(self._large)), large=True), now)

    @property
    def _wants_more(self) -> bool:
        at_once = self.store.connections
        if at_once is None or len(self._jobs) >= _MOST_JOBS or sum(self._jobs.values()) >= _MOST_BYTES:
            return False
        return sum(len(job.items) for job in self._jobs) < at_once.limit

    def _batch(self, queue: "FairQueue[int]") -> Iterator[Item]:
        """The next one, and those behind it as far as a batch has room."""
        at_once, size = self.store.connections, 0
        together = BATCH_FILES if at_once is None else min(BATCH_FILES, _ROUNDS * at_once.limit)
        for among in range(together):
            number = queue.peek()
            if number is None or (among and size + self._items[number].size > BATCH_BYTES):
                return
            size += self._items[number].size
            queue.take()
            yield self._items.pop(number)

    def _begin(self, job: Job, now: float) -> None:
        if not self._jobs:
            self.state.silent_since = now
        self._jobs[job] = job.size
        self._large_jobs += job.large
        self.state.asked_bytes = max(self._jobs.values())
        self._put(self, job)

    def ended(self, job: Job, now: float) -> None:
        """The job is done, in whatever way."""
        del self._jobs[job]
        self._large_jobs -= job.large
        self.state.silent_since = now if self._jobs else None
        self.state.asked_bytes = max(self._jobs.values(), default=0)
        for item in job.items:
            self.gave_up(item.path, item.size)

    def gave_up(self, path: bytes, size: int) -> None:
        """A copy that was begun is under way no more."""
        self._under_way[path] -= 1
        if not self._under_way[path]:
            del self._under_way[path], self._identities[path]
        if self._is_large(size):
            self.state.large -= 1
        else:
            self.state.small -= 1

    def anchor(self, put: Put) -> Future[list[Result]]:
        """Put the end of the record, in a thread of the lane's."""
        self.anchoring = True
        return self.threads.submit(self.store.put, [put])

    def close(self, *, wait: bool) -> None:
        """Let the threads go."""
        self.threads.shutdown(wait=wait, cancel_futures=True)

    def next_try(self, now: float) -> float:
        """When a store that is out is tried again, if that is not over, in monotonic seconds."""
        at = self.state.next_try()
        return math.inf if at is None or at <= now else at
