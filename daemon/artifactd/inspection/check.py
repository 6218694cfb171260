"""What `artifactd check` looks at: each probe is real, each failure comes with its mend."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Final

from artifactd.artifact import count_of, printable, size_of
from artifactd.aside import aside
from artifactd.clock import Clock, rfc3339
from artifactd.config.effective import Config, named
from artifactd.decisions.watched import shares
from artifactd.discovery import exports, scan
from artifactd.discovery.watch_selftest import self_test
from artifactd.discovery.watches import survey
from artifactd.inspection.destinations import rooms
from artifactd.inspection.listener import trouble
from artifactd.inspection.plan import whole_tree
from artifactd.inspection.probe import Check, probed
from artifactd.inspection.totals import Totals, let_read
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.lock import held
from artifactd.ledger.place import refused, unusable
from artifactd.ledger.schema import LedgerError, Missing, Older
from artifactd.linux.files import account, as_account, in_command
from artifactd.linux.inotify import limits, remote_file_system
from artifactd.linux.room import room

_RELEASED: Final = 1_790_000_000.0
"""Seconds since the epoch: September 2026. A clock before this program was made is wrong."""

_DIRECTORIES_SHOWN: Final = 3
_CLOSED: Final = "may not read it"
"""What a scan says of a directory whose mode keeps it out, as opposed to one that it leaves out."""

_STATE_BYTES: Final = 100 << 20
"""The ledger's log alone may take 32 MiB, and a migration as much again as the ledger."""

_ANSWER_SECONDS: Final = 30.0
"""For a store to prove itself, which takes milliseconds or a few requests; a dead mount hangs for ever."""

_WATCH_RESERVE: Final = 2
"""Watches to have for each directory that is there now: trees grow."""


def checkup(config: Config, clock: Clock, seconds: float = _ANSWER_SECONDS) -> Iterator[Check]:
    """Every check, in the order in which to mend. A store has so many seconds."""
    yield (who := _account(config))
    if not who.ok:
        return  # what the probes leave behind would belong to the wrong account, and lock the daemon out
    yield _configuration(config)
    totals, unseen = _foreseen(config, clock.now())
    yield _data_directory(config, unseen, totals)
    yield _policy(config, totals)
    yield _state_directory(config)
    yield from (probed(config, name, clock, seconds) for name, _ in named(config))
    yield _room(config, totals, seconds)
    yield from _listener(config)
    yield _inotify(config, seconds)
    yield _watcher()
    yield _clock(config, clock.now())


def _account(config: Config) -> Check:
    """Whether this is the account that the daemon runs as."""
    try:
        uid = config.state_directory.stat().st_uid
    except OSError:
        return Check("account", ok=True, found=account())
    mend = f"run it as the daemon does: {as_account(uid)} artifactd check"
    found = f"{account()}, the state directory is {account(uid)}'s"
    return Check("account", uid == os.geteuid(), found, mend)


def _configuration(config: Config) -> Check:
    found = f"digest {config.digest[:12]}, {'enabled' if config.enabled else 'DISABLED: nothing is exported'}"
    mend = "set enable_artifacts_upload = true"
    return Check("configuration", config.enabled, found, mend, config.warnings)


def _foreseen(config: Config, now: float) -> tuple[Totals, list[scan.Unobservable]]:
    """What a sync would come to, and what of the data directory cannot be looked at."""
    # What is wrong with the ledger is told by the check of the state directory.
    with suppress(LedgerError), closing(Ledger.look(config.state_directory)) as ledger:
        return _looked(config, ledger, now)
    with closing(Ledger.empty()) as ledger:
        return _looked(config, ledger, now)


def _looked(config: Config, ledger: Ledger, now: float) -> tuple[Totals, list[scan.Unobservable]]:
    totals, unseen = Totals(config.policy), list[scan.Unobservable]()
    for one in whole_tree(config, ledger, now):
        if isinstance(one, scan.Unobservable):
            unseen.append(one)
        else:
            totals.hear(one)
    return totals, unseen


def _data_directory(config: Config, unseen: Sequence[scan.Unobservable], totals: Totals) -> Check:
    name, directory = "data directory", config.data_directory
    try:
        with scan.root(directory):
            pass
    except OSError as error:
        found = f"{directory}: {error.strerror}"
        return Check(name, ok=False, found=found, mend=_mend_of_data(error))
    if unseen:
        shown = "; ".join(f"{printable(one.path)}: {one.reason}" for one in unseen[:_DIRECTORIES_SHOWN])
        more = "; …" if len(unseen) > _DIRECTORIES_SHOWN else ""
        found = f"{count_of(len(unseen), 'directory')} cannot be looked into: {shown}{more}"
        closed = any(_CLOSED in one.reason for one in unseen)
        mend = (
            let_read()
            if closed
            else "what lies there is not exported until its owner moves it up, or makes less of it"
        )
        return Check(name, ok=False, found=found, mend=mend)
    if (closed_files := totals.unreadable()) is not None:
        return Check(name, ok=False, found=closed_files, mend=let_read())
    experiments = sum(1 for _ in scan.experiments(directory))
    return Check(name, ok=True, found=f"{directory}, {count_of(experiments, 'experiment')}")


def _mend_of_data(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "mount it, make it, or mend data_directory"
    if isinstance(error, NotADirectoryError):
        return "it is a file, or lies below one: mend data_directory"
    return f"make {account()} a member of the group that owns it, or mend data_directory"


def _policy(config: Config, totals: Totals) -> Check:
    rules = len(config.policy.rules)
    want = count_of(rules, "rule wants", "rules want")
    found = f"{want} {totals.wanted} of {count_of(totals.sources, 'file')} there"
    if (clash := totals.clash()) is not None:
        mend = (
            "give each a name of its own with `as` in the rule that wants it; or only the first is exported"
        )
        return Check("policy", ok=False, found=clash, mend=mend)
    return Check("policy", ok=True, found=found, warnings=tuple(totals.unmatched()))


def _state_directory(config: Config) -> Check:
    name, directory = "state directory", config.state_directory
    mend = f"install -d -m 0700 -o {in_command()} {directory}"
    try:
        if not directory.exists():
            parent = next(parent for parent in directory.parents if parent.exists())
            may = parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
            then = "it is made at the first start" if may else f"{account()} may not make it"
            return Check(name, may, f"{directory} does not exist yet; {then}", mend)
        if (reason := refused(directory)) is not None:
            return Check(name, ok=False, found=reason, mend=mend)
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"probe")
            os.fsync(probe.fileno())
    except OSError as error:
        return Check(name, ok=False, found=unusable(directory, error), mend=mend)
    try:
        with closing(Ledger.look(directory)) as ledger:
            entries = ledger.head().seq
    except Missing:
        entries = 0
    except Older as error:
        return Check(name, ok=True, found=str(directory), warnings=(f"{error}: keep a backup of it",))
    except LedgerError as error:
        mend = "see the message; a damaged ledger is set aside by `run`"
        return Check(name, ok=False, found=str(error), mend=mend)
    return Check(name, ok=True, found=f"{directory}, {count_of(entries, 'entry')} on record")


def _room(config: Config, totals: Totals, seconds: float) -> Check:
    """Whether state and destinations have the room that a sync takes."""
    known = rooms(config, seconds)
    short = list(totals.short(known))
    said = [f"{store}: {one}, {size_of(totals.bytes[store])} to send" for store, one in known.items()]
    state = next(one for one in (config.state_directory, *config.state_directory.parents) if one.exists())
    with suppress(OSError):
        left = room(state)
        said.insert(0, f"state: {left}")
        if left.free < _STATE_BYTES or not left.more_files:
            short.insert(0, f"the state directory lacks room: {left}, {size_of(_STATE_BYTES)} are wanted")
    mend = "make room, or choose directories on larger file systems"
    return Check("room", not short, "; ".join(short or said), mend)


def _listener(config: Config) -> Iterator[Check]:
    if (where := config.health.listen) is not None:
        found = trouble(where, running=partial(held, config.state_directory))
        mend = "end what listens there, or choose another health.listen: ss -lptn"
        yield Check("listener", found is None, found or f"{where} is free, or the daemon's own", mend)


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
    found = f"{count_of(directories, 'directory')}, {allowed} watches allowed"
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
