"""What `artifactd check` looks at: each probe is real, each failure comes with its mend."""

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from artifactd import checksum
from artifactd.artifact import Key, printable
from artifactd.aside import aside
from artifactd.clock import Clock, rfc3339
from artifactd.config import Config, Destination, FileSystem
from artifactd.decisions.watched import shares
from artifactd.discovery import exports, scan
from artifactd.discovery.watch_selftest import self_test
from artifactd.discovery.watches import survey
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.schema import LedgerError
from artifactd.linux.files import account
from artifactd.linux.inotify import limits, remote_file_system
from artifactd.mirror.engine import named
from artifactd.stores.base import Conflict, Denied, Put, Receipt, Result, Source, Store, StoreError
from artifactd.stores.objects.unfinished import InMemory
from artifactd.stores.open import open_store
from artifactd.stores.surroundings import Surroundings

PROBE: Final = Key("_artifactd/check")
_CONTENT: Final = b"Written by `artifactd check`. It may stay.\n"
_RELEASED: Final = 1_790_000_000.0
"""Seconds since the epoch: September 2026. A clock before this program was made is wrong."""

_DIRECTORIES_SHOWN: Final = 3

_ANSWER_SECONDS: Final = 30.0
"""For a directory as a destination, which takes milliseconds; a dead mount hangs for ever."""

_WATCH_RESERVE: Final = 2
"""Watches to have for each directory that is there now: trees grow."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def checkup(config: Config, clock: Clock, seconds: float = _ANSWER_SECONDS) -> Iterator[Check]:
    """Every check, in the order in which to mend. A directory as a destination has so many seconds."""
    yield (who := _account(config))
    if not who.ok:
        return  # what the probes leave behind would belong to the wrong account, and lock the daemon out
    yield _configuration(config)
    yield _data_directory(config)
    yield _state_directory(config)
    yield from (_store(config, name, clock, seconds) for name, _ in named(config))
    yield _inotify(config, seconds)
    yield _watcher()
    yield _clock(config, clock.now())


def _account(config: Config) -> Check:
    """Whether this is the account that the daemon runs as."""
    try:
        owner = account(config.state_directory.stat().st_uid)
    except OSError:
        return Check("account", ok=True, found=account())
    mend = f"run it as the daemon does: sudo -u {owner} artifactd check"
    return Check("account", owner == account(), f"{account()}, the state directory is {owner}'s", mend)


def _configuration(config: Config) -> Check:
    found = f"digest {config.digest[:12]}, {'enabled' if config.enabled else 'DISABLED: nothing is exported'}"
    if config.warnings:
        found += "; " + "; ".join(config.warnings)
    return Check("configuration", config.enabled, found, "set enable_artifacts_upload = true")


def _data_directory(config: Config) -> Check:
    name, directory = "data directory", config.data_directory
    try:
        with scan.root(directory):
            pass
    except OSError as error:
        mend = (
            "mount it, make it, or mend data_directory"
            if isinstance(error, FileNotFoundError)
            else f"make {account()} a member of the group that owns it, or mend data_directory"
        )
        return Check(name, ok=False, found=f"{directory}: {error.strerror}", mend=mend)
    closed = [found for found in scan.scan(directory) if isinstance(found, scan.Unobservable)]
    if closed:
        some = "; ".join(f"{os.fsdecode(one.path)!a}: {one.reason}" for one in closed[:_DIRECTORIES_SHOWN])
        mend = f"let {account()} read them: chmod g+rX, or an ACL (setfacl -R -m g:artifactd:rX)"
        return Check(
            name, ok=False, found=f"{len(closed)} directories cannot be looked into: {some}", mend=mend
        )
    experiments = sum(1 for _ in scan.experiments(directory))
    return Check(name, ok=True, found=f"{directory}, {experiments} experiments")


def _state_directory(config: Config) -> Check:
    name, directory = "state directory", config.state_directory
    mend = f"install -d -m 0700 -o {account()} {directory}"
    if not directory.exists():
        parent = next(parent for parent in directory.parents if parent.exists())
        may = os.access(parent, os.W_OK | os.X_OK)
        then = "it is made at the first start" if may else f"{account()} may not make it"
        return Check(name, may, f"{directory} does not exist yet; {then}", mend)
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"probe")
            os.fsync(probe.fileno())
        ledger = Ledger.look(directory)
        entries = ledger.head().seq
        ledger.close()
    except OSError as error:
        return Check(name, ok=False, found=f"{directory}: {error.strerror}", mend=mend)
    except LedgerError as error:
        return Check(
            name, ok=False, found=str(error), mend="see the message; a damaged ledger is set aside by `run`"
        )
    return Check(name, ok=True, found=f"{directory}, {entries} entries on record")


def _store(config: Config, name: str, clock: Clock, seconds: float) -> Check:
    """Put, read back, and be refused to overwrite."""
    destination = next(destination for kind, destination in named(config) if kind == name)
    probe = partial(_probe_of, config, destination, name, clock)
    try:
        # Other stores end each of their requests by themselves.
        bound = seconds if isinstance(destination, FileSystem) else None
        return aside(probe, f"check-{name}").result(bound)
    except TimeoutError:
        found = f"it hangs: {seconds:g} s without an answer"
        return Check(f"store {name}", ok=False, found=found, mend="see whether its mount is dead: findmnt")


def _probe_of(config: Config, destination: Destination, name: str, clock: Clock) -> Check:
    owner = f"check-{socket.gethostname()}-{os.getpid()}"
    used = _used(config, name)  # else the probe would make what tells a share that is not mounted
    store = open_store(destination, Surroundings(owner, used_before=used, upload_log=InMemory(), clock=clock))
    try:
        return Check(f"store {name}", *_probed(store))
    except StoreError as error:
        return Check(f"store {name}", ok=False, found=str(error), mend="see the message, and try again")
    finally:
        store.close()


def _used(config: Config, name: str) -> bool:
    """Whether copies were ever proven there, as far as the ledger can be read."""
    try:
        ledger = Ledger.look(config.state_directory)
    except LedgerError:
        return False
    try:
        return ledger.used(name)
    except LedgerError:
        return False
    finally:
        ledger.close()


def _probed(store: Store) -> tuple[bool, str, str]:
    put = _put(store, _CONTENT)
    if not isinstance(put, Receipt):
        mend = "let this account write there" if isinstance(put, Denied) else "see the message, and try again"
        return False, f"a put failed: {put}", mend
    if store.digest(PROBE) != checksum.of_bytes(_CONTENT):
        return False, "what was put reads back differently", "do not use this store"
    if not isinstance(_put(store, _CONTENT + b"again"), Conflict):
        return False, "it let a file be overwritten", "do not use this store"
    found = f"takes a put ({put.proof}), reads it back, refuses to overwrite"
    return True, "; but ".join((found, *store.doubts())), ""


def _put(store: Store, content: bytes) -> Result:
    return store.put([Put(PROBE, Source(len(content), content), checksum.of_bytes(content))])[0]


def _inotify(config: Config, seconds: float) -> Check:
    kind = remote_file_system(config.data_directory)
    if kind is not None:
        found = f"{kind} does not tell of other hosts' writes: the scan finds them every rescan_seconds"
        return Check("inotify", ok=True, found=found)
    allowed = limits().watches
    try:
        ignored = aside(partial(exports.inside, config), "check-inotify").result(seconds)
        directories, beyond = survey(config.data_directory, shares(allowed), ignored=ignored)
    except TimeoutError:
        found, mend = "not counted, since a destination hangs", "see whether its mount is dead: findmnt"
        return Check("inotify", ok=False, found=found, mend=mend)
    except OSError:  # told by the check of the data directory
        directories, beyond = 0, {}
    mend = f"sysctl fs.inotify.max_user_watches={max(2 * allowed, 4 * directories)} (and in /etc/sysctl.d/)"
    found = f"{directories} directories, {allowed} watches allowed"
    if beyond:
        shown = [
            f"{printable(folder or b'.')}: {beyond[folder]}" for folder in sorted(beyond)[:_DIRECTORIES_SHOWN]
        ]
        more = ["…"] if len(beyond) > len(shown) else []
        found = f"{found}; left to scans: {'; '.join(shown + more)}"
    return Check("inotify", allowed >= _WATCH_RESERVE * directories, found, mend)


def _watcher() -> Check:
    problem = self_test()
    mend = "install the watchdog version that pyproject.toml names; the scan still finds everything"
    return Check("watcher", problem is None, problem or "tells of files that are closed and moved", mend)


def _clock(config: Config, now: float) -> Check:
    """The clock against this program's own age, and against the last entry of the record."""
    mend = "set the clock, and keep it set: timedatectl set-ntp true"
    if now < _RELEASED:
        return Check("clock", ok=False, found="it is older than this program", mend=mend)
    try:
        ledger = Ledger.look(config.state_directory)
        last = next(ledger.entries(ledger.head().seq - 1), None)
        ledger.close()
    except LedgerError:
        last = None  # told by the check of the state directory
    if last is not None and str(last.fields["time"]) > rfc3339(now):
        return Check(
            "clock", ok=False, found=f"it was set back: the record ends at {last.fields['time']}", mend=mend
        )
    return Check("clock", ok=True, found=f"{rfc3339(now)}, after the last entry on record")
