"""`artifactd status`: how the running daemon is."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, NoReturn

import typer

from artifactd.artifact import count_of, printable, size_of
from artifactd.cli.configuration import configuration
from artifactd.cli.exits import Exit
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.state import reading
from artifactd.cli.terminal import AsJson, fail, lines, style, table
from artifactd.config.effective import Config, named
from artifactd.mirror.answers import DISABLED
from artifactd.service import control
from artifactd.service.control import NoDaemon, Silent


def status(
    config: ConfigPath = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer's way to a flag
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the daemon's answer.")] = 5.0,
) -> None:
    """Show how the running daemon is: what it waits for, its stores, its watcher, its last scan.

    It ends with 0 if artifacts get to their stores, with 7 if they do not or the daemon does not answer in
    time, with 1 if no daemon runs; then it shows what is on record, or ends with 6 if there is none.
    """
    settings = configuration(config, touching=False, besides=_GOES_ON)
    try:
        said = next(control.ask(settings.state_directory, "status", timeout))
    except Silent as error:
        _without(settings, str(error), Exit.CHECK, as_json=as_json)
    except NoDaemon as error:
        reason = str(error) if settings.enabled else f"{DISABLED}. And {error}"
        _without(settings, reason, Exit.FAILED, as_json=as_json)
    if not said.pop("ok"):
        fail(Exit.FAILED, str(said["reason"]))
    del said["final"]
    if as_json:
        lines([{"daemon": True, **said}])
    else:
        _verdict(said)
        table(("part", "how it is"), _parts(said))
        table(("store", "how it is", "copies"), _stores(said["stores"]))
    if not said["ready"]:
        raise typer.Exit(Exit.CHECK)


_GOES_ON: Final = "A daemon that runs goes on with the configuration that it last took"


def _without(settings: Config, reason: str, code: Exit, *, as_json: bool) -> NoReturn:
    """Where no daemon answers: that, and what is on record."""
    if not as_json:
        typer.echo(style(reason, fg="red"))
    with reading(settings) as ledger:
        copies, entries = ledger.count_by_store(), ledger.head().seq
    names = dict.fromkeys([*(name for name, _ in named(settings)), *(name for name, _ in copies)])
    stores = {
        store: {"copies": {state.value: n for (name, state), n in copies.items() if name == store}}
        for store in names
    }
    if as_json:
        reasons = [{"part": "daemon", "reason": reason}]
        record = {"entries": entries}
        said = {"daemon": False, "live": False, "ready": False, "reasons": reasons}
        lines([{**said, "stores": stores, "record": record}])
        raise typer.Exit(code)
    table(("part", "how it is"), [("record", count_of(entries, "entry"))])
    table(("store", "how it is", "copies"), _stores(stores))
    raise typer.Exit(code)


def _verdict(said: Mapping[str, Any]) -> None:
    """The first line, which says it all, and the reasons where it is not well."""
    match said:
        case {"ready": True, "phase": phase}:
            typer.echo(style("ready" if phase == "running" else phase, fg="green", bold=True))
        case {"live": True}:
            typer.echo(style("not ready", fg="yellow", bold=True))
        case _:
            typer.echo(style("hung", fg="red", bold=True))
    for trouble in said["reasons"]:
        part = f"{trouble['part']} {trouble['store']}" if "store" in trouble else trouble["part"]
        typer.echo(f"because of the {part}: {printable(trouble['reason'])}")


def _parts(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One line for each part of the daemon."""
    turns = f"its longest turn of the last minute took {1000 * said.get('longest_turn_seconds', 0):.0f} ms"
    yield "daemon", f"{said['phase']}, its main loop went on {said['turned_seconds_ago']:.0f} s ago; {turns}"
    yield "queue", _queue(said["queue"])
    yield "scan", _scan(said["scan"])
    yield "watcher", _watcher(said["watcher"])
    record = said["record"]
    entries, anchors = count_of(record["entries"], "entry"), count_of(record["anchors"], "anchor")
    size = f"{entries}, {size_of(record['bytes'])}, {anchors}"
    yield "record", f"{record['unwritable'] or 'writable'}; {size}"
    for disk, room in said.get("disks", {}).items():
        yield "room", f"{disk}: {size_of(room['free_bytes'])} free of {size_of(room['size_bytes'])}"
    for burden in said.get("burdens", ()):
        yield "folder", f"{burden['folder'] or '.'}: {burden['reason']}"


def _queue(queue: Mapping[str, Any]) -> str:
    incomplete = (
        f"{queue['incomplete']} incomplete ({queue['overdue']} overdue, {queue.get('parked', 0)} parked)"
    )
    oldest = f"the oldest undelivered {queue['oldest_pending_seconds']:.0f} s"
    if slowest := queue.get("slowest_wait_seconds"):
        oldest += f", the slowest user waits {slowest:.0f} s for a turn"
    return f"{queue['waiting']} waiting, {incomplete}, {queue['in_flight']} in flight; {oldest}"


def _scan(scan: Mapping[str, Any] | None) -> str:
    if scan is None:
        return "the first one has not ended yet"
    ended = f"ended {scan['ended_seconds_ago']:.0f} s ago after {scan['seconds']:.1f} s"
    return f"{ended}, {count_of(scan['unobservable'], 'directory')} unobservable"


def _watcher(watcher: Mapping[str, Any]) -> str:
    watches = f"{watcher['watches']} of {watcher['limit']} watches"
    troubles = (
        f"{count_of(watcher['doubts'], 'doubt')}, {count_of(watcher['overflows'], 'overflow')},"
        f" {count_of(watcher['missed'], 'file')} missed"
    )
    return f"{watcher['doubt'] or 'sound'}; {watches}, {troubles}"


def _stores(stores: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for name, store in stores.items():
        copies = ", ".join(f"{count} {state}" for state, count in store["copies"].items())
        match store:
            case {"out": True}:
                how = f"out for {store['out_seconds']:.0f} s: {store['reason']}"
            case {"silent": True}:
                how = f"has not answered for {store['silent_seconds']:.0f} s"
            case {"out": False}:
                how = "takes copies" + _at_once(store.get("connections"))
            case _:
                how = "not known"
        yield name, how, copies or "none"


def _at_once(connections: Mapping[str, Any] | None) -> str:
    """How many requests may be under way, and why there are not more."""
    match connections:
        case None:
            return ""
        case {"limit": limit, "most": most} if limit == most:
            return f", {limit} at once"
        case {"limit": limit, "most": most, "backed_off": None}:
            return f", {limit} at once of at most {most}"
        case {"limit": limit, "most": most, "backed_off": reason, "backed_off_seconds_ago": ago}:
            return f", {limit} at once of at most {most}; backed off {ago:.0f} s ago: {printable(reason)}"
        case _:
            return ""
