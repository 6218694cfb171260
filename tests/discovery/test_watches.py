"""Real trees and the real kernel. What becomes of it, and when it is doubted: test_watch.py."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from watchdog.observers.inotify_c import InotifyFD

from artifactd.decisions.flooding import FIRST_TERM, LOOK, TOO_FAST, Flooding
from artifactd.decisions.watched import Bounds
from artifactd.discovery.watches import Watches, survey
from artifactd.linux.inotify import inotify_watches
from tests.support.trees import chain

PATIENCE = 120.0

ONE = "h2oai_experiment_one"
TWO = "h2oai_experiment_two"
SMALL = Bounds(depth=2, experiment=4, user=8, top=4)


class Heard:
    """What was told: paths of directories, and of files."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.before_appeared: Callable[[str], object] = lambda _path: None
        self._changed = threading.Condition()

    def touched(self, path: bytes, closed: bool) -> None:  # noqa: FBT001 - the signature that is asked for
        if closed:
            self._hear(path)

    def appeared(self, path: bytes) -> None:
        self.before_appeared(os.fsdecode(path))
        self._hear(path)

    def _hear(self, path: bytes) -> None:
        with self._changed:
            self.paths.append(os.fsdecode(path))
            self._changed.notify_all()

    def wait(self, *paths: str) -> None:
        self.wait_for(lambda: set(paths) <= set(self.paths))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), f"heard no more than {self.paths[-10:]}"


@contextmanager
def watching(
    root: Path, bounds: Bounds = SMALL, flooding: Flooding | None = None
) -> Iterator[tuple[Watches, Heard]]:
    heard, complete = Heard(), threading.Event()
    kernel = InotifyFD()
    kernel.start()
    watches = Watches(root, bounds, frozenset(), heard.touched, heard.appeared, flooding=flooding)
    thread = threading.Thread(target=watches.run, args=(kernel, complete.set))
    thread.start()
    try:
        assert complete.wait(PATIENCE)
        yield watches, heard
    finally:
        watches.close()
        thread.join()
        kernel.stop()
        kernel.join()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def folder(data: Path, *parts: str) -> Path:
    directory = data.joinpath(*parts)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def heard_in(data: Path, heard: Heard, name: str) -> None:
    """A file in this directory is told of."""
    (data / name / "file").touch()
    heard.wait(f"{name}/file")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        pause.wait(0.01)


# --- bounds, of what was there and of what is made later ---

TOO_DEEP = "deeper than 2 directories"
TOO_MANY = "more than 4 directories"


def deep(data: Path) -> None:
    folder(data, "alice", ONE, "1", "2", "3", "4")


def many(data: Path) -> None:
    for number in range(10):
        folder(data, "alice", ONE, str(number))


def many_experiments(data: Path) -> None:
    for number in range(20):
        folder(data, "alice", f"{ONE}{number}")


def many_users(data: Path) -> None:
    for number in range(10):
        folder(data, str(number))


HOSTILE: dict[str, tuple[Callable[[Path], None], dict[bytes, str]]] = {
    "directories in each other": (deep, {b"alice/h2oai_experiment_one": TOO_DEEP}),
    "many in one experiment": (many, {b"alice/h2oai_experiment_one": TOO_MANY}),
    "many experiments of one user": (many_experiments, {b"alice": "more than 8 directories"}),
}

now_or_later = pytest.mark.parametrize("later", [False, True], ids=["there before", "made later"])


@now_or_later
@pytest.mark.parametrize("name", HOSTILE)
def test_who_goes_beyond_the_bounds_is_named_and_takes_nothing_from_another(
    name: str, data: Path, *, later: bool
) -> None:
    act, beyond = HOSTILE[name]
    folder(data, "alice", ONE)
    folder(data, "bob", ONE, "sub")
    idle = inotify_watches() or 0
    if not later:
        act(data)
    with watching(data) as (watches, heard):
        if later:
            act(data)
        until(lambda: watches.beyond == beyond, f"{watches.beyond} becomes {beyond}")
        heard_in(data, heard, f"bob/{ONE}/sub")
        (folder(data, "bob", TWO) / "file").touch()
        heard.wait(f"bob/{TWO}")
        assert (inotify_watches() or 0) - idle <= 1 + 2 + 8 + 3  # the top, both users, alice's share, bob's
        assert watches.beyond == beyond


@now_or_later
def test_a_chain_of_5000_directories_is_named_and_costs_no_more_than_its_share(
    data: Path, *, later: bool
) -> None:
    experiment = folder(data, "alice", ONE)
    folder(data, "bob", ONE)
    with ExitStack() as made:
        if not later:
            made.enter_context(chain(experiment, 5_000))
        with watching(data) as (watches, heard):
            if later:
                made.enter_context(chain(experiment, 5_000))
            until(lambda: watches.beyond == {b"alice/h2oai_experiment_one": TOO_DEEP}, "it is named")
            heard_in(data, heard, f"bob/{ONE}")


@now_or_later
def test_of_more_users_than_there_is_room_for_the_data_directory_is_named(data: Path, *, later: bool) -> None:
    if not later:
        many_users(data)
    with watching(data) as (watches, _):
        if later:
            many_users(data)
        until(lambda: watches.beyond == {b"": TOO_MANY}, "the data directory is beyond its bound")


def test_a_directory_beyond_the_bounds_is_told_of_once_made_and_not_what_happens_in_it(data: Path) -> None:
    top = folder(data, ONE, "1", "2")
    with watching(data) as (watches, heard):
        (top / "3").mkdir()
        heard.wait(f"{ONE}/1/2/3")
        (top / "3/unheard").touch()
        (top / "file").touch()
        heard.wait(f"{ONE}/1/2/file")
        assert heard.paths == [f"{ONE}/1/2/3", f"{ONE}/1/2/file"]
        assert watches.hears(os.fsencode(f"{ONE}/1/2/file"))
        assert not watches.hears(os.fsencode(f"{ONE}/1/2/3/unheard"))


def test_a_folder_that_keeps_its_bounds_again_is_no_longer_named_and_watched_whole(data: Path) -> None:
    many(data)
    deep(data)
    with watching(data) as (watches, heard):
        assert watches.beyond != {}
        shutil.rmtree(data / "alice" / ONE / "1")
        for number in range(4, 10):
            (data / "alice" / ONE / str(number)).rmdir()
        watches.look_again()
        until(lambda: watches.beyond == {}, "it is within its bounds")
        for number in (0, 2, 3):
            heard_in(data, heard, f"alice/{ONE}/{number}")


def test_a_folder_that_is_still_beyond_its_bounds_stays_named(data: Path) -> None:
    many(data)
    with watching(data) as (watches, heard):
        watches.look_again()
        folder(data, "alice", TWO)
        heard.wait(f"alice/{TWO}")  # one user's directories are looked at one after the other
        assert watches.beyond == {b"alice/h2oai_experiment_one": TOO_MANY}


@pytest.mark.parametrize("how", ["deleted", "moved out"])
def test_a_folder_that_is_gone_is_no_longer_named_and_its_share_is_free(
    how: str, data: Path, tmp_path: Path
) -> None:
    many(data)
    with watching(data) as (watches, heard):
        assert watches.beyond != {}
        if how == "deleted":
            shutil.rmtree(data / "alice" / ONE)
        else:
            (data / "alice" / ONE).rename(tmp_path / "out")
        until(lambda: watches.beyond == {}, "the folder is not named")
        for number in range(2):
            folder(data, "alice", f"{TWO}{number}", "a", "b")
            heard.wait(f"alice/{TWO}{number}")
            within = os.fsencode(f"alice/{TWO}{number}/a/b/file")
            until(partial(watches.hears, within), "there is room")
        assert watches.beyond == {}


def test_a_folder_that_is_renamed_again_and_again_costs_its_owner_no_more(data: Path) -> None:
    folder(data, "alice", ONE, "a", "b")
    with watching(data) as (watches, heard):
        names = [data / "alice" / ONE, data / "alice" / TWO]
        for turn in range(100):
            names[turn % 2].rename(names[(turn + 1) % 2])
        (data / "bob").mkdir()
        folder(data, "alice", "h2oai_experiment_last", "a", "b")
        heard.wait("alice/h2oai_experiment_last")
        for part in (ONE, "h2oai_experiment_last"):
            until(partial(watches.hears, os.fsencode(f"alice/{part}/a/b/file")), "it is watched")
        assert watches.beyond == {}


def test_a_survey_counts_as_the_watches_would_and_watches_nothing(data: Path) -> None:
    deep(data)
    many(data)
    many_experiments(data)
    folder(data, "bob", "dataset", "parts")
    before = inotify_watches()
    surveyed = survey(data, SMALL, frozenset())
    assert inotify_watches() == before
    with watching(data) as (watches, _):
        assert (len(watches), watches.beyond) == surveyed
    with pytest.raises(FileNotFoundError):
        survey(data / "missing", SMALL, frozenset())


def test_what_moves_away_while_it_waits_for_its_watch_is_counted_off_once(data: Path, tmp_path: Path) -> None:
    """The thread that adds is held twice: first until all are known, then when it has listed alice's."""
    for number in range(3):
        folder(tmp_path, "tree", str(number))
    folder(data, "alice")
    folder(data, "dave", ONE)
    gates = {"zoe": threading.Event(), "carol": threading.Event()}
    held = threading.Event()

    def hold(path: str) -> None:
        if path in gates:
            held.set()
            gates[path].wait(PATIENCE)

    with watching(data) as (watches, heard):
        heard.before_appeared = hold
        folder(data, "zoe")
        (tmp_path / "tree").rename(data / "alice" / ONE)
        folder(data, "carol")
        heard_in(data, heard, f"dave/{ONE}")  # events come in order: all of this is known
        assert held.wait(PATIENCE)
        held.clear()
        gates["zoe"].set()
        assert held.wait(PATIENCE)
        for number in range(3):
            (data / "alice" / ONE / str(number)).rename(tmp_path / str(number))
        (data / "dave" / ONE / "later").touch()
        heard.wait(f"dave/{ONE}/later")
        gates["carol"].set()
        heard.wait(f"alice/{ONE}")
        many(data)
        until(lambda: watches.beyond == {b"alice/h2oai_experiment_one": TOO_MANY}, "alice has her share")
        until(lambda: len(watches) == 1 + 4 + 1 + 4, "the top, four users, dave's, and alice's share")


# --- whose turn it is ---


def test_a_users_many_new_directories_do_not_delay_anothers_few(data: Path, tmp_path: Path) -> None:
    """While the thread that adds is held, alice moves in a large tree, then bob a small one."""
    for name in ("alice", "bob", f"dave/{ONE}"):
        folder(data, name)
    for number in range(300):
        folder(tmp_path, "large", str(number))
    small = folder(tmp_path, "small")
    gate = threading.Event()
    with watching(data, Bounds()) as (_, heard):
        heard.before_appeared = lambda path: gate.wait(PATIENCE) if path == "carol" else None
        folder(data, "carol")
        (tmp_path / "large").rename(data / "alice" / ONE)
        small.rename(data / "bob" / ONE)
        heard_in(data, heard, f"dave/{ONE}")  # events come in order: all of this is known
        gate.set()
        heard.wait(f"alice/{ONE}", f"bob/{ONE}")
        assert heard.paths.index(f"bob/{ONE}") < heard.paths.index(f"alice/{ONE}")


# --- whose files change too fast ---


def test_who_floods_loses_his_watches_for_a_while_and_is_looked_at_instead(data: Path) -> None:
    mallory = folder(data, "mallory", ONE)
    folder(mallory, "sub")
    folder(data, "bob", ONE)
    with watching(data, flooding=Flooding(most=10)) as (watches, heard):
        before = inotify_watches() or 0
        for number in range(20):
            (mallory / str(number)).touch()
        heard.wait("mallory")
        assert watches.beyond == {b"mallory": TOO_FAST}
        assert before - (inotify_watches() or 0) == 3  # his folder, the experiment's, and what is in it
        folder(data, "mallory", TWO)
        (mallory / "unheard").touch()
        heard_in(data, heard, f"bob/{ONE}")
        assert not {f"mallory/{TWO}", f"mallory/{ONE}/unheard"} & set(heard.paths)

        heard.paths.clear()
        now = time.monotonic()
        watches.tend(now + LOOK)
        watches.tend(now + LOOK)
        assert heard.paths == ["mallory"]

        heard.paths.clear()
        heard.before_appeared = lambda _path: folder(data, "mallory", TWO).joinpath("seen").touch()
        watches.tend(now + FIRST_TERM)
        heard.wait("mallory", f"mallory/{TWO}/seen")
        assert watches.beyond == {}
        heard_in(data, heard, f"mallory/{ONE}/sub")


def test_a_folder_that_is_made_anew_while_its_user_is_set_aside_gets_no_watch(data: Path) -> None:
    folder(data, "bob", ONE)
    mallory = folder(data, "mallory", ONE)
    with watching(data, flooding=Flooding(most=10)) as (watches, heard):
        for number in range(20):
            (mallory / str(number)).touch()
        heard.wait("mallory")
        shutil.rmtree(data / "mallory")
        folder(data, "mallory", ONE)
        folder(data, "bob", TWO)
        heard.wait(f"bob/{TWO}")  # events come in order, and walks take turns: his would have begun
        assert heard.paths.count("mallory") == 1
        assert len(watches) == 4  # the top, and bob's
        shutil.rmtree(data / "mallory")
        watches.tend(time.monotonic() + FIRST_TERM)
        until(lambda: watches.beyond == {}, "nobody is set aside")


# --- what is never watched ---


def test_a_link_is_not_watched(data: Path, tmp_path: Path) -> None:
    outside = folder(tmp_path, "outside", ONE)
    folder(data, ONE)
    (data / "alice").symlink_to(outside.parent)
    (data / ONE / "link").symlink_to(outside)
    (data / TWO).symlink_to(outside)
    with watching(data) as (watches, heard):
        (outside / "file").touch()
        heard_in(data, heard, ONE)
        assert heard.paths == [f"{ONE}/file"]
        assert watches.beyond == {}


def test_the_end_of_the_data_directory_ends_the_watching(data: Path) -> None:
    heard, complete = Heard(), threading.Event()
    kernel = InotifyFD()
    kernel.start()
    watches = Watches(data, SMALL, frozenset(), heard.touched, heard.appeared)
    thread = threading.Thread(target=watches.run, args=(kernel, complete.set))
    thread.start()
    assert complete.wait(PATIENCE)
    data.rmdir()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    kernel.stop()
    kernel.join()
