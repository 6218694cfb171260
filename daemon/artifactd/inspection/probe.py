"""A store put to the proof: a small file is put, read back, and must not be overwritten."""

import os
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from artifactd import checksum
from artifactd.artifact import Key
from artifactd.aside import aside
from artifactd.clock import Clock
from artifactd.config.chosen import Destination
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.effective import Config, named
from artifactd.inspection.patience import mend_of_silence, patience
from artifactd.ledger import anchors
from artifactd.ledger.ledger import Ledger
from artifactd.ledger.schema import LedgerError
from artifactd.stores.base import Conflict, Denied, Put, Receipt, Result, Source, Store, StoreError, Unseen
from artifactd.stores.objects.unfinished import InMemory
from artifactd.stores.open import open_store
from artifactd.stores.surroundings import Surroundings

PROBE: Final = Key("_artifactd/check")
_CONTENT: Final = b"Written by `artifactd check`. It may stay.\n"


_UNREAD: Final = (
    "does not let this account read (so what is there already is refused, and `verify` proves nothing there)"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    warnings: tuple[str, ...] = ()
    """what is allowed but seldom meant, each with its mend; nothing fails for it"""


def probed(config: Config, name: str, clock: Clock, seconds: float) -> Check:
    """What the store of this name does. It has so many seconds, see `patience`."""
    destination = next(destination for kind, destination in named(config) if kind == name)
    probe = partial(_probe_of, config, destination, name, clock)
    try:
        return aside(probe, f"check-{name}").result(bound := patience(destination, seconds))
    except TimeoutError:
        found = f"it hangs: {bound:g} s without an answer"
        return Check(f"store {name}", ok=False, found=found, mend=mend_of_silence(destination))


def _probe_of(config: Config, destination: Destination, name: str, clock: Clock) -> Check:
    owner = f"check-{socket.gethostname()}-{os.getpid()}"
    used = _used(config, name)  # else the probe would make what tells a share that is not mounted
    around = Surroundings(owner, used, InMemory(), clock, config.ignore_case)
    store = open_store(destination, around)
    warnings = () if used or not isinstance(destination, FileSystem) else _unmounted(destination.directory)
    try:
        return Check(f"store {name}", *_probed(store), warnings)
    except StoreError as error:
        return Check(f"store {name}", ok=False, found=str(error), mend=_mend(error))
    finally:
        store.close()


def _used(config: Config, name: str) -> bool:
    """Whether copies or anchors were ever put there, as far as the ledger can be read."""
    try:
        ledger = Ledger.look(config.state_directory)
    except LedgerError:
        return False
    try:
        return anchors.used(ledger, name)
    except LedgerError:
        return False
    finally:
        ledger.close()


def _unmounted(directory: Path) -> tuple[str, ...]:
    """The warning that a directory which was never used may be a mount point without its mount.

    Later the store knows by itself.
    """
    try:
        alone = directory.stat().st_dev != Path("/").stat().st_dev
    except OSError:
        return ()  # told by the probe
    if alone:
        return ()
    found = f"{directory} lies on the file system of /: if a share is to be mounted there, it is not"
    return (f"{found}. See findmnt --target {directory}. After the first export artifactd knows by itself",)


def _probed(store: Store) -> tuple[bool, str, str]:
    put = _put(store, _CONTENT)
    if not isinstance(put, Receipt | Unseen):
        return False, f"a put failed: {put}", _mend(put)
    taken = "holds an earlier put" if isinstance(put, Unseen) else f"takes a put ({put.proof})"
    try:
        read = "reads it back"
        if store.digest(PROBE) != checksum.of_bytes(_CONTENT):
            return False, "what was put reads back differently", "do not use this store"
    except Denied:
        read = _UNREAD
    again = _put(store, _CONTENT + b"again")
    if isinstance(again, Receipt):
        return False, "it let a file be overwritten", "do not use this store"
    if not isinstance(again, Conflict | Unseen):
        return False, f"a put where one lies already failed: {again}", _mend(again)
    found = f"{taken}, {read}, leaves what is there alone"
    return True, "; but ".join((found, *store.doubts())), ""


def _mend(error: StoreError) -> str:
    """What to do where the error's own words do not say it: they do where the cause is known."""
    if isinstance(error, Conflict):
        return "remove what lies there, or export to another place: artifactd overwrites nobody's files"
    return ""


def _put(store: Store, content: bytes) -> Result:
    return store.put([Put(PROBE, Source(len(content), content), checksum.of_bytes(content))])[0]
