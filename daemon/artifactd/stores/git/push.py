"""One push: look at the head, build on it, push, read it back. Again where somebody else was quicker."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from artifactd.artifact import Digest
from artifactd.clock import SYSTEM
from artifactd.linux.room import FULL
from artifactd.stores.base import Conflict, Corrupt, Proof, Receipt, Result, StoreError, Unacceptable
from artifactd.stores.git import answers, plumbing, transport
from artifactd.stores.git.clone import Clone
from artifactd.stores.git.delivery import CommitDelivery, Verdicts, as_file, blob_name
from artifactd.stores.git.lfs import attributes
from artifactd.stores.git.message import QUESTION, Line, Signature, message
from artifactd.stores.git.plumbing import FILE, Entry
from artifactd.stores.git.remote import Remote

_RULE: Final = blob_name(attributes.RULE + b"\n")
"""Git's name for a `.gitattributes` with nothing but our rule: it need not be read to be known."""

_TRIES: Final = 50
"""How often a push that came too late is built again. Each time somebody else's got through."""

_TRIES_ALONE: Final = 3
"""How often it is tried where nobody else's got through: a lock passes in a moment, or never."""

_PAUSE: Final = 0.25
"""Seconds, at most, before it is built again, by chance, so that not all who were too late come at once: in
all tries of a push at most 13, while the next wait for their turn."""


@dataclass(slots=True)
class Push:
    """These deliveries on their way to the remote."""

    clone: Clone
    remote: Remote
    deliveries: Sequence[CommitDelivery]
    signature: Signature
    held: Callable[[Entry], Digest | StoreError | None]
    """reads what a file of the head holds: the digest; None where its LFS object is gone"""
    read: Callable[[str], bytes]
    """reads a small blob"""
    _numbers: "count[int]" = field(default_factory=count)
    _stored: set[str] = field(default_factory=set)

    def run(self) -> Verdicts:
        """A verdict on each delivery.

        Raises:
            StoreError: something that speaks of the whole store. All was taken or nothing, as the next look
                at the head tells.
            GitFailed, OSError: the clone does not work.
        """
        return self._until_taken(self._attempt)

    def ask(self) -> None:
        """Push a commit that changes no file, to hear whether the branch takes any.

        Raises:
            StoreError, GitFailed, OSError: as `run`; Declined: it takes none.
        """
        self._until_taken(self._asked)

    def _until_taken(self, attempt: Callable[[str], Verdicts | str]) -> Verdicts:
        """What an attempt comes to, the next one on the new head where somebody else was quicker."""
        base, alone = plumbing.head(self.clone) or self._fetched(), 0
        for _ in range(_TRIES):
            verdicts = attempt(base)
            if not isinstance(verdicts, str):
                return verdicts
            self.clone.pause(SYSTEM.chance() * _PAUSE)
            before, base = base, self._fetched()
            alone = alone + 1 if base == before else 0
            if alone >= _TRIES_ALONE:
                raise answers.last_word(verdicts)
        raise StoreError(f"{self.remote.branch}: others push faster than this can be built on theirs")

    def _fetched(self) -> str:
        """The commit at the remote's branch, brought into the clone; empty: there is no such branch."""
        return plumbing.head(self.clone) if transport.fetch(self.clone, self.remote) else ""

    def _attempt(self, base: str) -> Verdicts | str:
        """The verdicts where `base` is the head and what is built on it was taken; else what git said."""
        verdicts, wanted = self._sorted(base)
        verdicts |= self._store(wanted)
        new, refused = self._built(base, [one for one in wanted if one not in verdicts])
        verdicts |= refused
        if new != base and (said := transport.push(self.clone, self.remote, new, base)) is not None:
            return said
        landed = transport.tip(self.clone, self.remote)
        if landed == new:
            if new != base:
                plumbing.point(self.clone, new)
        elif new == base:
            return "the branch moved while it was looked at"
        else:
            verdicts |= self._overtaken([one for one in self.deliveries if not _is_error(verdicts.get(one))])
        return {one: _receipt(one, written=True) for one in wanted} | verdicts

    def _asked(self, base: str) -> Verdicts | str:
        """Nothing where the commit was taken; else what git said."""
        plumbing.load(self.clone, base)
        self.clone.indexed = None
        who = self.signature
        new = plumbing.commit(self.clone, base, {}, QUESTION, who.author, who.committer)
        if (said := transport.push(self.clone, self.remote, new, base)) is not None:
            return said
        plumbing.point(self.clone, new)
        return {}

    def _overtaken(self, proven: Sequence[CommitDelivery]) -> Verdicts:
        """Somebody pushed after us: what of ours does not lie in the new head?"""
        head = self._fetched()
        entries = plumbing.entries(self.clone, head, [one.path for one in proven])
        return {
            one: StoreError(f"somebody else took it out of {self.remote.branch} at once", one.put.key)
            for one in proven
            if one.path not in entries or entries[one.path].blob != one.blob
        }

    # --- what lies there ---

    def _sorted(self, base: str) -> tuple[Verdicts, list[CommitDelivery]]:
        """What is decided by the head `base` alone, and what is to be written."""
        entries = plumbing.entries(self.clone, base, [one.path for one in self.deliveries])
        verdicts: Verdicts = {}
        for one in self.deliveries:
            result = self._judged(one, entries.get(one.path))
            if result is not None:
                verdicts[one] = result
        return verdicts, [one for one in self.deliveries if one not in verdicts]

    def _judged(self, one: CommitDelivery, entry: Entry | None) -> Result | None:
        """The verdict by what lies there; None: the bytes are to be written."""
        if entry is None:
            return None
        if not entry.is_file:
            return Conflict("something that is no file stands in its place", one.put.key)
        if entry.blob == one.blob:
            return _receipt(one, written=False)
        return self._judged_by_bytes(one, self.held(entry), entry.blob)

    @staticmethod
    def _judged_by_bytes(one: CommitDelivery, digest: Digest | StoreError | None, blob: str) -> Result | None:
        if isinstance(digest, StoreError):
            return StoreError(digest.reason, one.put.key)
        if digest == one.put.digest:
            return Receipt(digest, one.put.size, Proof.READ_BACK, blob, written=False)
        if digest in one.put.replaceable:
            return None
        what = f"sha256 {digest}" if digest else "a pointer to a large file that is gone"
        return Conflict.over(one.put.key, what)

    # --- what is written ---

    def _store(self, wanted: Sequence[CommitDelivery]) -> Verdicts:
        """Make blobs of what is to be written; the verdicts on what cannot be."""
        verdicts: Verdicts = {}
        paths: dict[CommitDelivery, str] = {}
        fds: list[int] = []
        for one in wanted:
            if one.blob in self._stored:
                continue
            try:
                spool = self.clone.outgoing / str(next(self._numbers))
                paths[one], needed = as_file(one.source, spool)
                fds += needed
            except OSError as error:
                if error.errno in FULL:  # the clone's disk
                    raise
                verdicts[one] = StoreError(f"the source cannot be read: {error.strerror}", one.put.key)
        blobs = plumbing.store(self.clone, list(paths.values()), fds)
        for one, blob in zip(paths, blobs, strict=True):
            if blob == one.blob:
                self._stored.add(blob)
            else:
                verdicts[one] = Corrupt("it changed while it was read", one.put.key)
        return verdicts

    def _built(self, base: str, wanted: Sequence[CommitDelivery]) -> tuple[str, Verdicts]:
        """The commit with all of `wanted` that can be in it, and the verdicts on the rest."""
        refused: Verdicts = {}
        while rest := [one for one in wanted if one not in refused]:
            chosen, excluded = _beside_each_other(rest)
            rules = self._rules(base, chosen)
            new = self._chain(base, chosen, rules)
            met = self._objections(base, new, chosen, rules)
            if not met:
                return new, refused | excluded
            refused |= met
            self.clone.indexed = None
        return base, refused

    def _chain(self, base: str, wanted: Sequence[CommitDelivery], rules: Mapping[str, str]) -> str:
        """A commit for each experiment, one on the other."""
        groups: dict[tuple[str, str], list[CommitDelivery]] = {}
        for one in wanted:
            groups.setdefault((one.put.about.user, one.put.about.experiment_id), []).append(one)
        if self.clone.indexed != base:
            plumbing.load(self.clone, base)
        self.clone.indexed = None
        new, left = base, dict(rules)
        for (user, experiment_id), group in groups.items():
            text = message(self.signature.subject, user, experiment_id, [_line(one) for one in group])
            folders = {folder for one in group for folder in (one.folder, one.own_folder)}
            ruled = {folder + attributes.NAME for folder in folders}
            blobs = {path: left.pop(path) for path in ruled & left.keys()}
            blobs |= {one.path: one.blob for one in group}
            new = plumbing.commit(
                self.clone, new, blobs, text, self.signature.author, self.signature.committer
            )
        self.clone.indexed = new
        return new

    def _objections(
        self, base: str, new: str, wanted: Sequence[CommitDelivery], rules: Mapping[str, str]
    ) -> Verdicts:
        """Whose writing did not come to what was meant: nothing else may change, and nothing be missing."""
        changed = plumbing.changes(self.clone, base, new)
        meant = {one.path: Entry(FILE, one.blob) for one in wanted}
        meant |= {path: Entry(FILE, blob) for path, blob in rules.items()}
        astray = [path for path in {*changed, *meant} if not _as_meant(changed.get(path), meant.get(path))]
        taken = [*astray, *(one.path for one in wanted if one.path not in astray)] if astray else []
        blamed = {one: _objection(one, astray, taken) for one in wanted}
        met: Verdicts = {one: objection for one, objection in blamed.items() if objection}
        if astray and not met:
            raise StoreError(f"the commit would change {astray[0]!a}, which nobody asked for")
        return met

    def _rules(self, base: str, wanted: Sequence[CommitDelivery]) -> dict[str, str]:
        """The `.gitattributes` to write so that a plain clone gets these bytes, by path: the blobs' names."""
        own = {one.own_folder for one in wanted} - {""}
        folders: dict[str, list[CommitDelivery]] = {folder: [] for folder in own}
        for one in wanted:
            folders.setdefault(one.folder, []).append(one)
        entries = plumbing.entries(self.clone, base, [folder + attributes.NAME for folder in folders])
        blobs: dict[str, str] = {}
        for folder, group in folders.items():
            path = folder + attributes.NAME
            entry = entries.get(path)
            large = [one.name for one in group if one.pointer]
            if entry is None and not large and folder not in own:
                continue
            if entry is not None and (not entry.is_file or (entry.blob == _RULE and not large)):
                continue
            before = self.read(entry.blob) if entry else b""
            plain = [one.name for one in group if not one.pointer]
            after = attributes.edited(before, large=large, plain=plain, own=folder in own)
            if after != before:
                blobs[path] = self._stored_text(after)
        return blobs

    def _stored_text(self, content: bytes) -> str:
        blob = blob_name(content)
        if blob not in self._stored:
            spool = self.clone.outgoing / str(next(self._numbers))
            spool.write_bytes(content)
            plumbing.store(self.clone, [str(spool)], ())
            self._stored.add(blob)
        return blob


def _receipt(one: CommitDelivery, *, written: bool) -> Receipt:
    """Of a plain file the server knows the bytes by their name; what lies in LFS was read back before."""
    proof = Proof.READ_BACK if one.pointer else Proof.SERVER_CHECKSUM
    return Receipt(one.put.digest, one.put.size, proof, one.blob, written)


def _beside_each_other(wanted: Sequence[CommitDelivery]) -> tuple[list[CommitDelivery], Verdicts]:
    """Those that can lie in one tree, the first of each two; the verdicts on the rest."""
    chosen: list[CommitDelivery] = []
    files, folders = set[str](), set[str]()
    excluded: Verdicts = {}
    for one in wanted:
        above = {one.path[: match.start()] for match in re.finditer("/", one.path)}
        if one.path in folders or above & files:
            excluded[one] = _in_the_way(one)
            continue
        chosen.append(one)
        files.add(one.path)
        folders |= above
    return chosen, excluded


def _in_the_way(one: CommitDelivery) -> Conflict:
    return Conflict("a file stands where it needs a folder, or a folder where it is to lie", one.put.key)


def _is_error(result: Result | None) -> bool:
    return isinstance(result, StoreError)


def _as_meant(entry: Entry | None, meant: Entry | None) -> bool:
    return entry is not None and entry == meant


def _objection(one: CommitDelivery, astray: Collection[str], taken: Collection[str]) -> StoreError | None:
    """What is wrong with this one, by the paths that did not come out as meant, and all that were."""
    if any(path.startswith(f"{one.path}/") or one.path.startswith(f"{path}/") for path in taken):
        return _in_the_way(one)
    if one.path in astray:
        return Unacceptable("git does not take such a name", one.put.key)
    return None


def _line(one: CommitDelivery) -> Line:
    return Line(one.path, one.put.digest, one.put.size)
