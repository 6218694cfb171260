import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchdog.observers.inotify import InotifyEmitter
from watchdog.utils import BaseThread

from artifactd.decisions.flooding import FIRST_TERM, MOST, TOO_FAST
from artifactd.discovery.emitter import AT_ONCE, BoundedEmitter
from artifactd.discovery.watch import (
    LOOK_AGAIN,
    STEADY,
    TELL_AGAIN,
    UNDER_WAY,
    Appeared,
    Doubt,
    Hint,
    Touched,
    Watch,
)
from artifactd.linux.inotify import inotify_watches, limits
from tests.support.trees import chain, flood, remove

PATIENCE = 120.0
"""Seconds after which what is awaited will not come."""

ONE = "h2oai_experiment_one"
IN = b"h2oai_experiment_one/"


class Heard:
    """A sink that can be waited on."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self._changed = threading.Condition()

    def __call__(self, hint: Hint) -> None:
        with self._changed:
            self.hints.append(hint)
            self._changed.notify_all()

    def wait(self, *expected: Hint) -> None:
        self.wait_for(lambda: all(hint in self.hints for hint in expected))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            came = self._changed.wait_for(condition, PATIENCE)
        assert came, f"heard no more than {self.hints}"

    @property
    def paths(self) -> set[bytes]:
        return {hint.path for hint in self.hints if not isinstance(hint, Doubt)}

    @property
    def doubts(self) -> list[str]:
        return [hint.reason for hint in self.hints if isinstance(hint, Doubt)]


def until(condition: Callable[[], object], watch: Watch) -> None:
    """Check in real time, as the owner does but faster, until it is so."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} seconds; reason: {watch.reason}"
        watch.check(time.monotonic())
        pause.wait(0.01)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


@pytest.fixture
def experiment(data: Path) -> Path:
    """Its folder is there before anybody watches."""
    directory = data / ONE
    directory.mkdir()
    return directory


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    directory = tmp_path / "outside"
    directory.mkdir()
    return directory


@contextmanager
def watching(
    root: Path,
    sink: Callable[[Hint], None],
    *,
    beat: float = 1e9,
    patience: float = 1e6,
    wait: float = PATIENCE,
    ignored: frozenset[bytes] = frozenset(),
) -> Iterator[Watch]:
    """By default without a heartbeat that could fail, so that a test may invent the time."""
    watch = Watch(
        root, sink, beat_seconds=beat, patience_seconds=patience, wait_seconds=wait, ignored=ignored
    )
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


HINTS: dict[str, tuple[Callable[[Path, Path], object], Hint]] = {
    "a written file": (lambda e, _: (e / "old/new").write_bytes(b"x"), Touched(IN + b"old/new", closed=True)),
    "a file opened for writing": (lambda e, _: (e / "open").touch(), Touched(IN + b"open", closed=False)),
    "a second link": (
        lambda e, _: (e / "link").hardlink_to(e / "old/file"),
        Touched(IN + b"link", closed=False),
    ),
    "a renamed file": (lambda e, _: (e / "old/file").rename(e / "b"), Touched(IN + b"b", closed=True)),
    "a file moved in": (lambda e, o: (o / "file").rename(e / "in"), Touched(IN + b"in", closed=True)),
    "a new directory": (lambda e, _: (e / "made").mkdir(), Appeared(IN + b"made")),
    "a directory moved in": (lambda e, o: (o / "tree").rename(e / "tree"), Appeared(IN + b"tree")),
    "a renamed directory": (lambda e, _: (e / "old").rename(e / "young"), Appeared(IN + b"young")),
    "an experiment that moves to a user": (
        lambda e, _: e.rename(e.parent / "user" / ONE),
        Appeared(b"user/" + IN[:-1]),
    ),
    "a user's folder": (lambda e, _: (e.parent / "alice").mkdir(), Appeared(b"alice")),
    "a name that is no UTF-8": (
        lambda e, _: Path(os.fsdecode(os.fsencode(e) + b"/\xff\xfe")).touch(),
        Touched(IN + b"\xff\xfe", closed=True),
    ),
    "a directory whose name is no UTF-8": (
        lambda e, _: Path(os.fsdecode(os.fsencode(e) + b"/\xe4")).mkdir(),
        Appeared(IN + b"\xe4"),
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_what_happens_in_the_data_directory_becomes_a_hint(
    name: str, data: Path, experiment: Path, outside: Path
) -> None:
    (data / "user").mkdir()
    (experiment / "old").mkdir()
    (experiment / "old/file").touch()
    (outside / "tree/sub").mkdir(parents=True)
    (outside / "file").touch()
    act, hint = HINTS[name]
    heard = Heard()
    with watching(data, heard):
        act(experiment, outside)
        heard.wait(hint)


def test_a_file_written_later_into_a_directory_that_was_moved_in_is_heard(data: Path, outside: Path) -> None:
    (outside / "tree" / ONE / "sub").mkdir(parents=True)
    heard = Heard()
    with watching(data, heard):
        (outside / "tree").rename(data / "tree")
        heard.wait(Appeared(b"tree"))
        (data / "tree" / ONE / "sub/late").touch()
        heard.wait(Touched(b"tree/" + IN + b"sub/late", closed=True))


def test_a_file_written_later_into_a_directory_that_was_renamed_is_heard_under_its_new_path(
    data: Path, experiment: Path
) -> None:
    (experiment / "a/b").mkdir(parents=True)
    (experiment / "a/b/c").mkdir()
    heard = Heard()
    with watching(data, heard) as watch:
        (experiment / "a").rename(experiment / "z")
        heard.wait(Appeared(IN + b"z"))
        (experiment / "z/b/c/late").touch()
        heard.wait(Touched(IN + b"z/b/c/late", closed=True))
        assert watch.hears(IN + b"z/b/c/late")
        assert not watch.hears(IN + b"a/b/c/late")


def test_no_file_in_directories_made_a_moment_before_stays_unheard(data: Path) -> None:
    """It is told of, or it is there already when the caller is told to look."""
    found: set[str] = set()
    heard = Heard()

    def sink(hint: Hint) -> None:
        if isinstance(hint, Appeared):
            found.update(str(path) for path in (data / os.fsdecode(hint.path)).rglob("file"))
        elif isinstance(hint, Touched):
            found.add(str(data / os.fsdecode(hint.path)))
        heard(hint)

    with watching(data, sink):
        for number in range(50):
            (data / f"{number}/{ONE}/sub").mkdir(parents=True)
            (data / f"{number}/{ONE}/sub/file").touch()
        heard.wait_for(lambda: found == {str(data / f"{number}/{ONE}/sub/file") for number in range(50)})


def test_neighbours_of_experiments_get_no_watch_and_make_no_hint(data: Path, experiment: Path) -> None:
    for neighbour in ("user/dataset/parts", "uploads/a/b"):
        (data / neighbour).mkdir(parents=True)
    heard = Heard()
    with watching(data, heard) as watch:
        (data / "master.db").touch()
        (data / "user/notes.zip").touch()
        (data / "user/mli_experiment_one").mkdir()
        (data / "user/dataset/parts/one.csv").touch()
        (experiment / "last").touch()
        heard.wait(Touched(IN + b"last", closed=True))
        assert heard.paths == {IN + b"last"}
        assert not watch.hears(b"user/dataset/parts/one.csv")


def test_reading_listing_deleting_and_moving_out_make_no_hint(
    data: Path, experiment: Path, outside: Path
) -> None:
    (experiment / "sub").mkdir()
    for name in ("read", "deleted", "leaving"):
        (experiment / "sub" / name).write_bytes(b"x")
    heard = Heard()
    with watching(data, heard):
        (experiment / "sub/read").read_bytes()
        list((experiment / "sub").iterdir())
        (experiment / "sub/deleted").unlink()
        (experiment / "sub/leaving").rename(outside / "left")
        (experiment / "last").touch()
        heard.wait(Touched(IN + b"last", closed=True))
        assert heard.paths == {IN + b"last"}


def test_a_directory_that_was_moved_out_is_heard_no_more(data: Path, experiment: Path, outside: Path) -> None:
    (experiment / "sub/sub").mkdir(parents=True)
    heard = Heard()
    with watching(data, heard):
        (experiment / "sub").rename(outside / "left")
        (experiment / "then").touch()
        heard.wait(Touched(IN + b"then", closed=True))
        (outside / "left/sub/unheard").touch()
        (experiment / "last").touch()
        heard.wait(Touched(IN + b"last", closed=True))
        assert heard.paths == {IN + b"then", IN + b"last"}


def test_an_ignored_directory_gives_no_hint_and_its_namesake_does(data: Path) -> None:
    (data / "exports" / ONE).mkdir(parents=True)
    (data / "exports2" / ONE).mkdir(parents=True)
    heard = Heard()
    with watching(data, heard, ignored=frozenset({b"exports"})):
        (data / "exports" / ONE / "copy").touch()
        (data / "exports2" / ONE / "file").touch()
        heard.wait(Touched(b"exports2/" + IN + b"file", closed=True))
        assert Touched(b"exports/" + IN + b"copy", closed=True) not in heard.hints


def test_the_heartbeat_is_heard_again_and_again_and_adds_nothing_to_the_data_directory(data: Path) -> None:
    heard = Heard()
    with watching(data, heard, beat=0.01, patience=PATIENCE) as watch:
        until(lambda: watch.heartbeats >= 3, watch)
        assert watch.healthy
        assert watch.rebuilds == 0
    assert heard.hints == []
    assert list(data.iterdir()) == []


def test_a_heartbeat_directory_inside_the_data_directory_is_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="lies in the data directory"):
        Watch(data, Heard(), private=data)


def test_a_heartbeat_directory_that_somebody_cleaned_away_is_made_anew(data: Path, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    heard = Heard()
    watch = Watch(data, heard, private=private, beat_seconds=0.01, patience_seconds=PATIENCE)
    watch.start()
    for directory in private.iterdir():
        shutil.rmtree(directory)
    until(lambda: watch.rebuilds == 1 and watch.heartbeats >= 1, watch)
    assert watch.healthy
    watch.stop()
    assert list(private.iterdir()) == []


def renamed(data: Path) -> None:
    data.rename(data.with_name("away"))
    data.mkdir()


def removed_and_made_again(data: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()


def replaced(data: Path) -> None:
    other = data.with_name("other")
    other.mkdir()
    data.rename(data.with_name("away"))
    other.rename(data)


@pytest.mark.parametrize("change", [renamed, removed_and_made_again, replaced])
def test_a_data_directory_that_became_another_one_is_doubted_and_listened_to_anew(
    change: Callable[[Path], None], data: Path
) -> None:
    heard = Heard()
    with watching(data, heard) as watch:
        change(data)
        until(lambda: watch.rebuilds == 1, watch)
        assert watch.healthy
        assert len(heard.doubts) == 1
        (data / "user").mkdir()
        heard.wait(Appeared(b"user"))


def test_a_link_that_points_elsewhere_now_is_another_data_directory(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)
    other = tmp_path / "other"
    other.mkdir()
    heard = Heard()
    with watching(link, heard) as watch:
        link.unlink()
        link.symlink_to(other)
        until(lambda: watch.rebuilds == 1, watch)
        (other / "user").mkdir()
        heard.wait(Appeared(b"user"))


@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_missing_data_directory_is_told_once_and_heals_when_it_is_there_again(
    from_the_start: bool,  # noqa: FBT001 - a column of the table
    data: Path,
) -> None:
    if from_the_start:
        data.rmdir()
    heard = Heard()
    with watching(data, heard) as watch:
        if not from_the_start:
            data.rmdir()
        for now in range(5):
            watch.check(float(now))
        assert heard.doubts == ["the data directory cannot be read: No such file or directory"]
        assert not watch.healthy
        data.mkdir()
        watch.check(5.0)
        assert watch.healthy
        assert len(heard.doubts) == 2
        (data / "user").mkdir()
        heard.wait(Appeared(b"user"))


def test_a_data_directory_that_is_a_file_is_a_doubt(data: Path) -> None:
    data.rmdir()
    data.touch()
    heard = Heard()
    with watching(data, heard):
        assert heard.doubts == ["the data directory cannot be read: Not a directory"]


def test_directories_of_one_name_that_were_moved_out_and_deleted_leave_the_watch_sound(
    data: Path, outside: Path
) -> None:
    heard = Heard()
    with watching(data, heard) as watch:
        for turn in ("first", "second"):
            heard.hints.clear()
            (data / "same").mkdir()
            heard.wait(Appeared(b"same"))
            (data / "same").rename(outside / turn)
        (outside / "second").rmdir()
        (outside / "first").rmdir()
        (data / "user").mkdir()
        heard.wait(Appeared(b"user"))
        watch.check(0.0)
        assert watch.healthy
        assert heard.doubts == []


def test_a_sink_that_raises_costs_one_hint_and_brings_a_doubt(data: Path, experiment: Path) -> None:
    heard = Heard()

    def sink(hint: Hint) -> None:
        if hint == Touched(IN + b"bad", closed=True):
            raise RuntimeError("no room")
        heard(hint)

    with watching(data, sink) as watch:
        (experiment / "bad").touch()
        (experiment / "good").touch()
        heard.wait(Touched(IN + b"good", closed=True))
        watch.check(0.0)
        assert heard.doubts == ["listening anew, after: a hint could not be delivered: RuntimeError: no room"]


def end(kind: type[BaseThread]) -> None:
    [thread] = [thread for thread in threading.enumerate() if isinstance(thread, kind)]
    thread.stop()
    thread.join()


@pytest.mark.parametrize("kind", [BoundedEmitter, InotifyEmitter])
def test_the_end_of_an_emitter_is_noticed(kind: type[BaseThread], data: Path) -> None:
    heard = Heard()
    with watching(data, heard) as watch:
        end(kind)
        until(lambda: watch.rebuilds == 1, watch)
        assert heard.doubts == [f"listening anew, after: watchdog's thread {kind.__name__} has ended"]


dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@dies
def test_the_death_of_the_thread_that_reads_events_is_noticed(data: Path) -> None:
    heard = Heard()
    descriptors = Path("/proc/self/fd")
    directory = os.open(data, os.O_RDONLY)
    with watching(data, heard) as watch:
        for descriptor in descriptors.iterdir():
            if "inotify" in os.path.realpath(descriptor):
                os.dup2(directory, int(descriptor.name))  # a directory is not to be read
        (data / "deadly").mkdir()
        until(lambda: watch.rebuilds == 1, watch)
        assert heard.doubts == ["listening anew, after: watchdog's thread InotifyFD has ended"]
    os.close(directory)


@dies
def test_the_death_of_the_thread_that_tells_the_sink_is_noticed(data: Path, experiment: Path) -> None:
    heard = Heard()

    def sink(hint: Hint) -> None:
        heard(hint)
        if hint == Touched(IN + b"deadly", closed=False):
            raise SystemExit  # ends a thread without a word

    with watching(data, sink) as watch:
        (experiment / "deadly").touch()
        until(lambda: watch.rebuilds == 1, watch)
        assert heard.doubts == ["listening anew, after: watchdog's thread BaseObserver has ended"]


def test_more_events_than_are_kept_for_a_sink_that_blocks_are_a_doubt(data: Path) -> None:
    """Of many experiments, because nobody is listened to who alone makes so many."""
    heard = Heard()
    experiments = [data / f"{ONE}{number}" for number in range(2 * AT_ONCE // MOST)]
    for experiment in experiments:
        experiment.mkdir()
    release = threading.Event()

    def sink(hint: Hint) -> None:
        if not isinstance(hint, Doubt):
            release.wait(PATIENCE)
        heard(hint)

    with watching(data, sink, patience=0.1) as watch:
        for number in range(AT_ONCE // 2 + 1_000):  # two events each: created, closed
            folder = experiments[number % len(experiments)]
            os.close(os.open(folder / str(number), os.O_CREAT | os.O_WRONLY))
        until(lambda: watch.rebuilds == 1, watch)
        assert "were lost" in heard.doubts[0]
        release.set()


def test_a_heartbeat_that_is_not_heard_is_a_doubt_even_while_the_old_observer_cannot_stop(
    data: Path, experiment: Path
) -> None:
    heard = Heard()
    release = threading.Event()

    def sink(hint: Hint) -> None:
        if hint == Touched(IN + b"blocking", closed=True):
            release.wait(PATIENCE)
        heard(hint)

    with watching(data, sink, beat=0.01, patience=0.1) as watch:
        (experiment / "blocking").touch()
        until(lambda: watch.rebuilds >= 1, watch)
        assert any("the heartbeat was not heard" in reason for reason in heard.doubts)
        (data / "after").mkdir()
        heard.wait(Appeared(b"after"))
        release.set()


def test_a_warning_of_watchdog_is_a_doubt_and_goes_nowhere_else(
    data: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    with watching(data, heard) as watch:
        logging.getLogger("watchdog.observers.inotify").warning("something about %r", b"a")
        logging.getLogger("watchdog.observers.inotify").info("nothing of weight")
        watch.check(0.0)
        assert heard.doubts == ["listening anew, after: watchdog warns: something about b'a'"]
    assert capfd.readouterr().err == ""
    assert caplog.records == []


def test_rebuilds_keep_ever_longer_pauses_and_the_doubt_is_told_before_and_after(data: Path) -> None:
    heard = Heard()
    rebuilt = []
    with watching(data, heard) as watch:
        for now in range(1400):
            if watch.healthy:
                watch.doubt(f"found at {now}")
            before = watch.rebuilds
            watch.check(float(now))
            if watch.rebuilds > before:
                rebuilt.append(now)
    assert rebuilt == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023]
    assert heard.doubts[:4] == [
        "listening anew, after: found at 0",
        "listening anew, after: found at 1",
        "found at 2",
        "listening anew, after: found at 2",
    ]


def test_what_is_lost_in_a_pause_between_rebuilds_is_told_every_few_seconds_and_after_the_last(
    data: Path,
) -> None:
    heard = Heard()
    told = []
    with watching(data, heard) as watch:
        for now in range(31):
            if now < 23:
                watch.doubt("events were lost")
            before = len(heard.doubts)
            watch.check(float(now))
            if len(heard.doubts) > before:
                told.append(now)
    rebuilt = [0, 1, 3, 7, 15]
    assert told == sorted({*rebuilt, 2, 4, 8, 8 + TELL_AGAIN, 16, 16 + TELL_AGAIN, 16 + 2 * TELL_AGAIN})


def test_after_a_steady_while_the_pause_is_short_again(data: Path) -> None:
    with watching(data, Heard()) as watch:
        for now in (0.0, 1.0, 3.0):
            watch.doubt("shaky")
            watch.check(now)
        watch.check(3.0 + 4.0 + STEADY)
        for now in (100.0, 101.0):
            watch.doubt("shaky again")
            watch.check(now)
        assert watch.rebuilds == 5


def test_rebuilding_leaves_no_descriptor_thread_watch_or_directory_behind(data: Path, tmp_path: Path) -> None:
    (data / "a" / ONE).mkdir(parents=True)
    private = tmp_path / "private"
    private.mkdir()
    watch = Watch(
        data, Heard(), private=private, beat_seconds=1e9, patience_seconds=PATIENCE, wait_seconds=PATIENCE
    )

    def held() -> tuple[int, int, int | None, int]:
        return (
            len(list(Path("/proc/self/fd").iterdir())),
            threading.active_count(),
            inotify_watches(),
            len(list(private.iterdir())),
        )

    idle = held()
    watch.start()
    running = held()
    assert running[2] == (idle[2] or 0) + 4  # data, a, its experiment, heartbeat
    for now in (0.0, 10.0, 30.0):
        watch.doubt("on purpose")
        watch.check(now)
    assert watch.rebuilds == 3
    assert held() == running
    watch.stop()
    assert held() == idle


def test_nothing_is_heard_after_stop_and_all_is_heard_after_another_start(data: Path) -> None:
    heard = Heard()
    with watching(data, heard) as watch:
        watch.stop()
        (data / "unheard").mkdir()
        watch.doubt("unheard")
        watch.check(0.0)
        assert heard.hints == []
        watch.start()
        (data / "heard").mkdir()
        heard.wait(Appeared(b"heard"))
        assert Appeared(b"unheard") not in heard.hints


def test_while_watches_are_added_nobody_waits_and_it_says_so(data: Path) -> None:
    """The new observer waits for the end of the old one, which its sink holds."""
    heard = Heard()
    release = threading.Event()

    def sink(hint: Hint) -> None:
        heard(hint)
        if hint == Appeared(b"held"):
            release.wait(PATIENCE)

    with watching(data, sink, wait=0.0) as watch:
        until(lambda: watch.healthy, watch)
        heard.hints.clear()
        (data / "held").mkdir()
        heard.wait(Appeared(b"held"))
        watch.doubt("on purpose")
        watch.check(0.0)
        watch.check(0.5)
        assert (watch.reason, heard.doubts) == (UNDER_WAY, [])
        release.set()
        until(lambda: watch.healthy, watch)
        assert heard.doubts == ["listening anew, after: on purpose"]
        (data / "user").mkdir()
        heard.wait(Appeared(b"user"))


def test_a_chain_of_directories_without_an_end_leaves_the_watch_sound_and_is_named(data: Path) -> None:
    experiment = data / "alice" / ONE
    experiment.mkdir(parents=True)
    heard = Heard()
    with chain(experiment, 5_000) as first, watching(data, heard) as watch:
        assert watch.healthy
        assert watch.beyond == {b"alice/" + IN[:-1]: "deeper than 16 directories"}
        watch.doubt("on purpose")
        watch.check(0.0)
        assert watch.beyond.keys() == {b"alice/" + IN[:-1]}
        remove(first)
        watch.check(LOOK_AGAIN + 1.0)
        until(lambda: watch.beyond == {}, watch)
        assert heard.doubts == ["listening anew, after: on purpose"]


CHILD = """
import select, sys, time
from pathlib import Path
from artifactd.discovery.watch import UNDER_WAY, Watch
watch = Watch(Path(sys.argv[1]), lambda hint: print(repr(hint), flush=True), beat_seconds=0.05)
watch.start()
while watch.reason == UNDER_WAY:
    watch.check(time.monotonic())
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.02)[0]:
    watch.check(time.monotonic())
print("overflows", watch.overflows, "healthy", watch.healthy, flush=True)
"""


class Child:
    """A process that watches `root` and prints its hints."""

    def __init__(self, root: Path, *launcher: str, script: str = CHILD) -> None:
        self.process = subprocess.Popen(
            [*launcher, sys.executable, "-c", script, str(root)],
            env={**os.environ, "TMPDIR": str(root.parent)},  # a killed child cleans nothing up
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read_until(self, text: str) -> list[str]:
        """Lines up to the one with `text`; pytest's timeout is the deadline."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if text in line:
                return lines
        raise AssertionError(f"the child ended without {text!r}: {lines[-5:]}")

    def finish(self) -> str:
        return self.process.communicate("end\n", timeout=PATIENCE)[0]


@contextmanager
def child(root: Path, *launcher: str) -> Iterator[Child]:
    started = Child(root, *launcher)
    try:
        started.read_until("ready")
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def test_more_events_than_the_kernel_keeps_are_a_doubt_and_are_counted(data: Path, experiment: Path) -> None:
    with child(data) as watcher:
        watcher.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, watcher.process.pid, os.WSTOPPED | os.WNOWAIT)
        for number in range(limits().queued_events // 2 + 100):  # two events each: created, closed
            os.close(os.open(experiment / str(number), os.O_CREAT | os.O_WRONLY))
        watcher.process.send_signal(signal.SIGCONT)
        watcher.read_until("filesystem events were lost")
        (data / "after").mkdir()
        watcher.read_until("Appeared(path=b'after')")
        assert "overflows 1 healthy True" in watcher.finish()


def test_a_flood_of_one_users_events_takes_no_event_from_another(data: Path) -> None:
    mallory, bob = data / "mallory" / ONE, data / "bob" / ONE
    for experiment in (mallory, bob):
        experiment.mkdir(parents=True)
    heard = Heard()
    with watching(data, heard) as watch:
        for number in range(2 * MOST):  # the kernel keeps all of these
            os.close(os.open(mallory / str(number), os.O_CREAT | os.O_WRONLY))
        heard.wait(Appeared(b"mallory"))
        with flood(mallory):
            until(lambda: (mallory / "new1").exists() and (mallory / "new2").exists(), watch)
            for number in range(100):
                (bob / str(number)).touch()
                heard.wait(Touched(b"bob/" + IN + b"%d" % number, closed=True))
        assert watch.beyond == {b"mallory": TOO_FAST}
        assert not watch.hears(b"mallory/" + IN + b"new1")
        assert Touched(b"mallory/" + IN + b"new1", closed=True) not in heard.hints
        heard.hints.clear()
        watch.check(time.monotonic() + FIRST_TERM)
        heard.wait(Appeared(b"mallory"))
        (mallory / "last").touch()
        heard.wait(Touched(b"mallory/" + IN + b"last", closed=True))
        assert (watch.beyond, watch.healthy, watch.overflows, watch.rebuilds) == ({}, True, 0, 0)


def test_who_is_set_aside_stays_so_when_the_watcher_is_replaced(data: Path) -> None:
    (data / "mallory" / ONE).mkdir(parents=True)
    heard = Heard()
    with watching(data, heard) as watch:
        for number in range(2 * MOST):
            os.close(os.open(data / "mallory" / ONE / str(number), os.O_CREAT | os.O_WRONLY))
        heard.wait(Appeared(b"mallory"))
        watch.doubt("on purpose")
        watch.check(0.0)
        assert watch.beyond == {b"mallory": TOO_FAST}
        assert not watch.hears(b"mallory/" + IN + b"file")


def test_a_reached_limit_of_watches_is_a_doubt_though_watchdog_is_silent(data: Path) -> None:
    """The limit is the new user namespace's own: the machine's stays as it is."""
    for number in range(20):
        (data / str(number)).mkdir()
    limited = ("unshare", "-Ur", "sh", "-c", 'echo 12 >/proc/sys/user/max_inotify_watches; exec "$@"', "sh")
    started = Child(data, *limited)
    try:
        lines = started.read_until("ready")
        assert any("the limit of inotify watches is reached" in line for line in lines), lines
        assert "healthy False" in started.finish()
    finally:
        started.process.kill()
        started.process.communicate()


UNREADABLE = """
import os, sys
from pathlib import Path
from artifactd.discovery.watch import Watch
root = Path(sys.argv[1])
watch = Watch(
    root, lambda hint: print(repr(hint), flush=True), beat_seconds=1e9, patience_seconds=1e6, wait_seconds=60
)
root.chmod(0)
privileged = os.geteuid() == 0
if privileged:
    os.seteuid(65534)  # root may read everything
watch.start()
watch.check(0.0)
if privileged:
    os.seteuid(0)
root.chmod(0o755)
watch.check(1.0)
print("healthy", watch.healthy, flush=True)
watch.stop()
"""


def test_an_unreadable_data_directory_is_told_once_and_heals_when_it_can_be_read(data: Path) -> None:
    lines = Child(data, script=UNREADABLE).finish().splitlines()
    assert lines == [
        "Doubt(reason='the data directory cannot be read: Permission denied')",
        "Doubt(reason='listening anew, after: the data directory cannot be read: Permission denied')",
        "healthy True",
    ]
