"""Which files need nothing as they are, so that a scan need not ask the ledger for each of them again.

A file is known by 60 bits of a hash of its path and its identity, keyed by chance in each process; the other
4 bits of its word say how many of its copies are proven. A million files take 16 MB.
"""

from array import array
from struct import Struct
from typing import Final

from artifactd.artifact import Sighting

_IDENTITY: Final = Struct("=Qqqq")
_COPIES: Final = 0xF
_SMALLEST: Final = 1 << 10


class _Table:
    """Words by open addressing, at most half full (Knuth, The Art of Computer Programming 3, 6.4)."""

    def __init__(self) -> None:
        self._words = array("Q", bytes(8 * _SMALLEST))
        self._count = 0

    def find(self, word: int) -> int | None:
        """The word that differs from `word` in its last bits only."""
        words, mask = self._words, len(self._words) - 1
        at = (word >> 4) & mask
        while found := words[at]:
            if (found ^ word) <= _COPIES:
                return found
            at = (at + 1) & mask
        return None

    def add(self, word: int) -> None:
        """`word` in place of the one that differs in its last bits only, if there is one."""
        if 2 * (self._count + 1) > len(self._words):
            old = self._words
            self._words, self._count = array("Q", bytes(16 * len(old))), 0
            for one in old:
                if one:
                    self.add(one)
        words, mask = self._words, len(self._words) - 1
        at = (word >> 4) & mask
        while found := words[at]:
            if (found ^ word) <= _COPIES:
                words[at] = word
                return
            at = (at + 1) & mask
        words[at] = word
        self._count += 1


class Known:
    """Files with nothing to do, as this scan and the last one found them. For one thread.

    What a scan does not meet any more is forgotten at the end of the next one.
    """

    def __init__(self) -> None:
        self._present, self._last = _Table(), _Table()

    def add(self, sighting: Sighting, copies: int) -> None:
        """All `copies` that are wanted of the file are proven; 0: none is wanted."""
        if copies < _COPIES:
            self._present.add(_word(sighting) | copies)

    def of(self, sighting: Sighting) -> int | None:
        """How many copies of the file, as it is, are proven; 0: none is wanted. None: ask the ledger."""
        word = _word(sighting)
        found = self._present.find(word)
        if found is None and (found := self._last.find(word)) is not None:
            self._present.add(found)
        return None if found is None else found & _COPIES

    def scanned(self) -> None:
        """A scan has ended."""
        self._last, self._present = self._present, _Table()


def _word(sighting: Sighting) -> int:
    """60 bits that tell this file, as it is, from all others; never 0."""
    one = sighting.identity
    identity = _IDENTITY.pack(one.ino, one.size, one.mtime_ns, one.ctime_ns)
    return (hash(sighting.path + b"\0" + identity) & 0xFFFF_FFFF_FFFF_FFF0) or 1 << 4
