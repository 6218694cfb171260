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

from artifactd.discovery.watch import STEADY, Appeared, Doubt, Hint, Touched, Watch
from artifactd.linux.inotify import inotify_watches, limits

PATIENCE = 20.0
"""Seconds after which what is awaited will not come."""


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
    ignored: frozenset[bytes] = frozenset(),
) -> Iterator[Watch]:
    """By default without a heartbeat that could fail, so that a test may invent the time."""
    watch = Watch(root, sink, beat_seconds=beat, patience_seconds=patience, ignored=ignored)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


HINTS: dict[str, tuple[Callable[[Path, Path], object], Hint]] = {
    "a written file": (lambda d, _: (d / "old/new").write_bytes(b"x"), Touched(b"old/new", closed=True)),
    "a file opened for writing": (lambda d, _: (d / "open").touch(), Touched(b"open", closed=False)),
    "a second link": (lambda d, _: (d / "link").hardlink_to(d / "old/file"), Touched(b"link", closed=False)),
    "a renamed file": (lambda d, _: (d / "old/file").rename(d / "b"), Touched(b"b", closed=True)),
    "a file moved in": (lambda d, o: (o / "file").rename(d / "in"), Touched(b"in", closed=True)),
    "a new directory": (lambda d, _: (d / "made").mkdir(), Appeared(b"made")),
    "a directory moved in": (lambda d, o: (o / "tree").rename(d / "tree"), Appeared(b"tree")),
    "a renamed directory": (lambda d, _: (d / "old").rename(d / "young"), Appeared(b"young")),
    "a name that is no UTF-8": (
        lambda d, _: Path(os.fsdecode(os.fsencode(d) + b"/\xff\xfe")).touch(),
        Touched(b"\xff\xfe", closed=True),
    ),
    "a directory whose name is no UTF-8": (
        lambda d, _: Path(os.fsdecode(os.fsencode(d) + b"/\xe4")).mkdir(),
        Appeared(b"\xe4"),
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_what_happens_in_the_data_directory_becomes_a_hint(name: str, data: Path, outside: Path) -> None:
    (data / "old").mkdir()
    (data / "old/file").touch()
    (outside / "tree/sub").mkdir(parents=True)
    (outside / "file").touch()
    act, hint = HINTS[name]
    heard = Heard()
    with watching(data, heard):
        act(data, outside)
        heard.wait(hint)


def test_a_file_written_later_into_a_directory_that_was_moved_in_is_heard(data: Path, outside: Path) -> None:
    (outside / "tree/sub").mkdir(parents=True)
    heard = Heard()
    with watching(data, heard):
        (outside / "tree").rename(data / "tree")
        heard.wait(Appeared(b"tree"))
        (data / "tree/sub/late").touch()
        heard.wait(Touched(b"tree/sub/late", closed=True))


def test_no_file_in_directories_made_a_moment_before_stays_unheard(data: Path) -> None:
    """Its closing may: the file can be older than its directory's watch."""
    heard = Heard()
    with watching(data, heard):
        for number in range(50):
            (data / f"{number}/sub").mkdir(parents=True)
            (data / f"{number}/sub/file").touch()
        heard.wait_for(
            lambda: (
                {h.path for h in heard.hints if isinstance(h, Touched)}
                == {b"%d/sub/file" % number for number in range(50)}
            )
        )


def test_reading_listing_deleting_and_moving_out_make_no_hint(data: Path, outside: Path) -> None:
    (data / "sub").mkdir()
    for name in ("read", "deleted", "leaving"):
        (data / "sub" / name).write_bytes(b"x")
    heard = Heard()
    with watching(data, heard):
        (data / "sub/read").read_bytes()
        list((data / "sub").iterdir())
        (data / "sub/deleted").unlink()
        (data / "sub/leaving").rename(outside / "left")
        (data / "last").touch()
        heard.wait(Touched(b"last", closed=True))
        assert {hint.path for hint in heard.hints if not isinstance(hint, Doubt)} == {b"last"}


def test_an_ignored_directory_gives_no_hint_and_its_namesake_does(data: Path) -> None:
    (data / "exports").mkdir()
    (data / "exports2").mkdir()
    heard = Heard()
    with watching(data, heard, ignored=frozenset({b"exports"})):
        (data / "exports/copy").touch()
        (data / "exports2/file").touch()
        heard.wait(Touched(b"exports2/file", closed=True))
        assert Touched(b"exports/copy", closed=True) not in heard.hints


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
        (data / "file").touch()
        heard.wait(Touched(b"file", closed=True))


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
        (other / "file").touch()
        heard.wait(Touched(b"file", closed=True))


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
        (data / "file").touch()
        heard.wait(Touched(b"file", closed=True))


def test_a_data_directory_that_is_a_file_is_a_doubt(data: Path) -> None:
    data.rmdir()
    data.touch()
    heard = Heard()
    with watching(data, heard):
        assert heard.doubts == ["the data directory cannot be read: Not a directory"]


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # the death that is tested
def test_directories_of_one_name_that_were_moved_out_and_deleted_end_in_a_doubt_not_in_silence(
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
        until(lambda: watch.rebuilds == 1, watch)
        assert "InotifyFD has ended" in heard.doubts[-1]
        (data / "file").touch()
        heard.wait(Touched(b"file", closed=True))


def test_a_sink_that_raises_costs_one_hint_and_brings_a_doubt(data: Path) -> None:
    heard = Heard()

    def sink(hint: Hint) -> None:
        if hint == Touched(b"bad", closed=True):
            raise RuntimeError("no room")
        heard(hint)

    with watching(data, sink) as watch:
        (data / "bad").touch()
        (data / "good").touch()
        heard.wait(Touched(b"good", closed=True))
        watch.check(0.0)
        assert heard.doubts == [
            "listening anew, after: a hint could not be delivered: RuntimeError('no room')"
        ]


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # the death that is tested
def test_the_death_of_a_thread_of_watchdog_is_noticed(data: Path) -> None:
    heard = Heard()

    def sink(hint: Hint) -> None:
        heard(hint)
        if hint == Touched(b"deadly", closed=True):
            raise SystemExit  # ends a thread without a word

    with watching(data, sink) as watch:
        (data / "deadly").touch()
        until(lambda: watch.rebuilds == 1, watch)
        assert heard.doubts == ["listening anew, after: watchdog's thread InotifyObserver has ended"]


def test_a_heartbeat_that_is_not_heard_is_a_doubt_even_while_the_old_observer_cannot_stop(data: Path) -> None:
    heard = Heard()
    release = threading.Event()

    def sink(hint: Hint) -> None:
        if hint == Touched(b"blocking", closed=True):
            release.wait(PATIENCE)
        heard(hint)

    with watching(data, sink, beat=0.01, patience=0.1) as watch:
        (data / "blocking").touch()
        until(lambda: watch.rebuilds >= 1, watch)
        assert any("the heartbeat was not heard" in reason for reason in heard.doubts)
        (data / "after").touch()
        heard.wait(Touched(b"after", closed=True))
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
    (data / "a/b").mkdir(parents=True)
    private = tmp_path / "private"
    private.mkdir()
    watch = Watch(data, Heard(), private=private, beat_seconds=1e9, patience_seconds=PATIENCE)

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
    assert running[2] == (idle[2] or 0) + 4  # data, a, b, heartbeat
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
        (data / "unheard").touch()
        watch.doubt("unheard")
        watch.check(0.0)
        assert heard.hints == []
        watch.start()
        (data / "heard").touch()
        heard.wait(Touched(b"heard", closed=True))
        assert Touched(b"unheard", closed=True) not in heard.hints


CHILD = """
import select, sys, time
from pathlib import Path
from artifactd.discovery.watch import Watch
watch = Watch(Path(sys.argv[1]), lambda hint: print(repr(hint), flush=True), beat_seconds=0.05)
watch.start()
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


def test_more_events_than_the_kernel_keeps_are_a_doubt_and_are_counted(data: Path) -> None:
    with child(data) as watcher:
        watcher.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, watcher.process.pid, os.WSTOPPED | os.WNOWAIT)
        for number in range(limits().queued_events // 2 + 100):  # two events each: created, closed
            os.close(os.open(data / str(number), os.O_CREAT | os.O_WRONLY))
        watcher.process.send_signal(signal.SIGCONT)
        watcher.read_until("filesystem events were lost")
        (data / "after").touch()
        watcher.read_until("Touched(path=b'after', closed=True)")
        assert "overflows 1 healthy True" in watcher.finish()


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
watch = Watch(root, lambda hint: print(repr(hint), flush=True), beat_seconds=1e9, patience_seconds=1e6)
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
