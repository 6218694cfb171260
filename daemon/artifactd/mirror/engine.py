"""All that an export needs, set up in order and taken down in reverse: lock, ledger, stores, mirror."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from artifactd import __version__
from artifactd.clock import Clock, moment, rfc3339
from artifactd.config.effective import Config, named
from artifactd.ledger import anchors
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.lock import lock
from artifactd.ledger.record import Entry, Value
from artifactd.ledger.schema import Damaged, Working, set_aside
from artifactd.ledger.unfinished_uploads import LedgerUploadLog
from artifactd.linux.files import account
from artifactd.log.lines import Log
from artifactd.mirror.by_hand import ByHand
from artifactd.mirror.mirror import Mirror
from artifactd.mirror.pipeline import Inbox
from artifactd.mirror.recorder import Recorder
from artifactd.stopping import Stopping
from artifactd.stores.base import Store
from artifactd.stores.objects.unfinished import UploadLog
from artifactd.stores.open import open_store
from artifactd.stores.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Engine:
    """A mirror with everything it works with."""

    config: Config
    ledger: Ledger
    stores: Mapping[str, Store]
    recorder: Recorder
    mirror: Mirror
    by_hand: ByHand
    log: Log
    clock: Clock

    def anchor(self) -> None:
        """Put the end of the record into each store, out of reach of whoever can rewrite the ledger.

        A store that does not take it is passed over, and one that is out is not asked: the next anchor covers
        the same entries. Nothing is waited for; `Mirror.drain` waits.
        """
        found = anchors.anchor(self.ledger)
        if found is None:
            return
        put, entry = found

        def anchored(store: str) -> None:
            said: dict[str, Value] = {
                "store": store,
                "key": put.key.text,
                "anchored_seq": entry.seq,
                "anchored_hash": entry.hash,
            }
            noted = self.recorder.note({"action": "audit.anchored", "outcome": "success", **said})
            self.log.info("audit.anchored", store=store, key=put.key.text, seq=noted.seq, hash=noted.hash)

        self.mirror.anchor(put, anchored)


@contextmanager
def open_engine(
    config: Config, log: Log, clock: Clock, stopping: Stopping, *, eager: bool
) -> Iterator[Engine]:
    """An engine for the length of the block. `eager`: copies that wait for their next try are tried at once.

    Raises:
        InUse: another process exports from this state.
        Newer: its ledger is newer than this program.
        Unwritable: its state directory cannot be written.
    """
    with (
        lock(config.state_directory),
        open_engine_locked(config, log, clock, stopping, eager=eager) as engine,
    ):
        yield engine


@contextmanager
def open_engine_locked(
    config: Config,
    log: Log,
    clock: Clock,
    stopping: Stopping,
    *,
    eager: bool,
    inbox: Inbox | None = None,
    working: Working = lambda: None,
) -> Iterator[Engine]:
    """An engine as `open_engine` makes it, for whoever holds the state's lock. `inbox`: see `Mirror`.

    `working` is called again and again while the ledger is migrated. Where the block finds the ledger damaged
    that is set aside, and a new one begun, before the error leaves.

    Raises:
        Newer, Unwritable: see `open_engine`.
    """
    try:
        with ExitStack() as stack:
            ledger = open_ledger(config, log, clock, working)
            stack.callback(ledger.close)
            since = take(ledger, config, clock.now())
            upload_log = LedgerUploadLog(config.state_directory)
            stack.callback(upload_log.close)
            stores = open_stores(config, ledger, upload_log, clock)
            for store in stores.values():
                stack.callback(store.close)
            recorder = Recorder(ledger, log, clock, stopping)
            mirror = Mirror(config, stores, recorder, clock, eager=eager, refusals_since=since, inbox=inbox)
            stack.callback(mirror.close)
            yield Engine(config, ledger, stores, recorder, mirror, ByHand(mirror, recorder), log, clock)
    except Damaged as error:
        _rebuilt(config, log, clock, error).close()
        raise


@dataclass(slots=True)
class _Migrating:
    """Tells the log once that an older ledger is migrated, where that takes long enough to be heard of."""

    log: Log
    working: Working
    _told: bool = False

    def goes_on(self) -> None:
        """As a `Working`."""
        if not self._told:
            self._told = True
            self.log.info("ledger.migrating")
        self.working()


def open_ledger(config: Config, log: Log, clock: Clock, working: Working) -> Ledger:
    """The ledger. A damaged one is set aside and a new one begun, which fills again from source and store.

    Raises:
        Newer, Unwritable: see `Ledger.open`.
    """
    migrating = _Migrating(log, working)
    try:
        ledger = Ledger.open(config.state_directory, context(config), working=migrating.goes_on)
    except Damaged as error:
        ledger = _rebuilt(config, log, clock, error)
    if ledger.head().seq == 0:
        ledger.note(clock.now(), {"action": "ledger.created", "outcome": "success"})
    head = ledger.head()
    log.info("ledger.opened", seq=head.seq, hash=head.hash, copies=sum(ledger.count().values()))
    return ledger


def _rebuilt(config: Config, log: Log, clock: Clock, error: Damaged) -> Ledger:
    """A new ledger in place of the damaged one, which nobody has open any more."""
    aside = set_aside(config.state_directory, rfc3339(clock.now()).replace(":", ""))
    log.error("ledger.damaged", reason=str(error), set_aside=str(aside))
    ledger = Ledger.open(config.state_directory, context(config))
    said = {"reason": str(error), "set_aside": aside.name}
    ledger.note(clock.now(), {"action": "ledger.rebuilt", "outcome": "success", **said})
    return ledger


_LOOKED_AT: Final = 1_000
"""Newest entries among which a configuration is looked for: some milliseconds. Else it is told again."""

_MOST_SETTINGS: Final = 256 << 10
"""Characters of a configuration that go on record: some thousand rules. A longer one is cut there; its digest
still tells whether a file that somebody kept is the one."""


def take(ledger: Ledger, config: Config, now: float) -> float:
    """Have on record what this configuration says, unless it is the last one there; since when it holds.

    Times are in seconds since the epoch; 0: for longer than the newest entries tell. It holds anew under
    another version of artifactd. Every entry names its configuration's digest, so each can be tied to the
    rules of its day.

    Raises:
        Unwritable, Damaged: it cannot be on record.
    """
    last = ledger.last("config.taken", _LOOKED_AT)
    if last is not None and _of(last, config):
        return moment(str(last.fields["time"]), now)
    newest = ledger.last()
    since = 0.0 if last is None and newest is not None and _of(newest, config) else now
    settings = config.canonical()
    said: dict[str, Value] = {"settings": settings[:_MOST_SETTINGS], "settings_size": len(settings)}
    ledger.note(now, {"action": "config.taken", "outcome": "success", **said})
    return since


def _of(entry: Entry, config: Config) -> bool:
    """Whether this artifactd made it, under this configuration."""
    ours = context(config)
    return all(entry.fields.get(name) == ours[name] for name in ("version", "config_digest"))


def open_stores(config: Config, ledger: Ledger, upload_log: UploadLog, clock: Clock) -> dict[str, Store]:
    """The configured stores by name."""
    owner = f"{socket.gethostname()}-{config.state_directory.name}".replace("/", "-")
    return {
        name: open_store(
            destination,
            Surroundings(owner, anchors.used(ledger, name), upload_log, clock, config.ignore_case),
        )
        for name, destination in named(config)
    }


def context(config: Config) -> dict[str, str]:
    """What every entry of the record says of who made it."""
    return {
        "version": __version__,
        "config_digest": config.digest,
        "host": socket.gethostname(),
        "service_account": account(),
    }
