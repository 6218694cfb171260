"""What is looked at next: a slice at a time, each user in turn, and nothing that a scan finds is lost."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from artifactd.artifact import Sighting
from artifactd.clock import SYSTEM
from artifactd.discovery.scan import DIRECTORIES, Unobservable
from artifactd.mirror.scanning import Scan, Scanning


@dataclass
class Everything:
    """A visitor that writes down what it is shown, in order."""

    full: set[str] = field(default_factory=set)
    """users of whom no more files can be waited for"""
    seen: list[str] = field(default_factory=list)
    hinted: set[str] = field(default_factory=set)
    looked_at: list[dict[bytes, bool]] = field(default_factory=list)
    hidden: list[Unobservable] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    largest: int = 0

    def sight(self, sightings: Sequence[Sighting], under: Scan | None, *, hinted: bool = False) -> int:
        names = [os.fsdecode(one.path) for one in sightings]
        self.seen += names
        self.hinted |= set(names) if hinted else set()
        self.largest = max(self.largest, len(names))
        if under is not None:
            under.files += len(names)
        return len(names)

    def look_at(self, paths: Mapping[bytes, bool]) -> None:
        self.looked_at.append(dict(paths))

    def blind(self, found: Unobservable, under: Scan) -> None:
        under.unobservable += 1
        self.hidden.append(found)

    def scanned(self, under: Scan) -> None:
        self.scans.append(under)

    def room(self, user: str, *, reserve: bool = False) -> bool:
        return user not in self.full or reserve

    def users(self) -> list[str]:
        """Whose files were seen, in the order in which they first were."""
        return list(dict.fromkeys(name.partition("/")[0] for name in self.seen))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def visitor() -> Everything:
    return Everything()


@pytest.fixture
def scanning(data: Path, visitor: Everything) -> Scanning:
    return Scanning(data, frozenset(), lambda path: os.fsdecode(path.partition(b"/")[0]), visitor, SYSTEM)


def fill(data: Path, user: str, count: int, experiment: str = "one") -> None:
    folder = data / user / f"h2oai_experiment_{experiment}"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number}.csv").touch()


def run(scanning: Scanning) -> int:
    """Steps until there is nothing more to look at now."""
    count = 0
    while scanning.step():
        count += 1
    return count


# --- a scan ---


def test_a_scan_sees_every_file_once_and_ends(data: Path, scanning: Scanning, visitor: Everything) -> None:
    fill(data, "alice", 300)
    fill(data, "bob", 5, "two")
    (data / "h2oai_experiment_old").mkdir()
    (data / "h2oai_experiment_old" / "a.csv").touch()
    scanning.rescan("test")
    run(scanning)
    assert len(visitor.seen) == len(set(visitor.seen)) == 306
    (scan,) = visitor.scans
    assert (scan.reason, scan.files, scanning.last) == ("test", 306, scan)
    assert scanning.idle
    assert not scanning.scanning


def test_the_user_with_few_files_need_not_wait_for_the_one_with_many(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 5000)
    fill(data, "zoe", 1)
    scanning.rescan("test")
    steps = 0
    while "zoe" not in visitor.users():
        assert scanning.step()
        steps += 1
    assert steps < 12
    assert visitor.largest <= 128


def test_empty_directories_of_one_user_keep_nobody_waiting(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    folder = data / "alice" / "h2oai_experiment_one"
    for number in range(3000):
        (folder / str(number % 50) / str(number)).mkdir(parents=True)
    fill(data, "zoe", 1)
    scanning.rescan("test")
    steps = 0
    while "zoe" not in visitor.users():
        assert scanning.step()
        steps += 1
    assert steps < 12
    run(scanning)
    assert len(visitor.scans) == 1


def test_where_a_user_has_too_many_waiting_his_part_pauses_and_the_others_go_on(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 10)
    fill(data, "bob", 10)
    visitor.full.add("alice")
    scanning.rescan("test")
    run(scanning)
    assert visitor.users() == ["bob"]
    assert scanning.scanning
    visitor.full.clear()
    run(scanning)
    assert visitor.users() == ["bob", "alice"]
    assert len(visitor.scans) == 1


def test_another_scan_that_is_asked_for_meanwhile_follows(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 1)
    scanning.rescan("first")
    scanning.rescan("second")
    scanning.rescan("third")
    run(scanning)
    assert [one.reason for one in visitor.scans] == ["first", "third"]


def test_what_cannot_be_looked_at_is_told_and_the_scan_ends(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 1)
    (data / "bob").mkdir()
    (data / "bob" / "h2oai_experiment_x").symlink_to(data)
    scanning.rescan("test")
    run(scanning)
    assert [one.path for one in visitor.hidden] == [b"bob/h2oai_experiment_x"]
    assert len(visitor.seen) == 1
    assert len(visitor.scans) == 1


def test_a_data_directory_that_is_not_there_ends_the_scan_at_once(tmp_path: Path) -> None:
    visitor = Everything()
    scanning = Scanning(tmp_path / "gone", frozenset(), os.fsdecode, visitor, SYSTEM)
    scanning.rescan("test")
    assert [one.path for one in visitor.hidden] == [b""]
    assert len(visitor.scans) == 1
    scanning.rescan("again")
    assert len(visitor.scans) == 2


def test_the_folder_that_costs_most_is_known(data: Path, scanning: Scanning) -> None:
    folder = data / "alice" / "h2oai_experiment_costly"
    for number in range(DIRECTORIES // 5):
        (folder / str(number)).mkdir(parents=True)
    fill(data, "bob", 1)
    scanning.rescan("test")
    run(scanning)
    assert max(scanning.costs, key=lambda path: scanning.costs[path]) == b"alice/h2oai_experiment_costly"
    scan = scanning.last
    assert scan is not None
    assert scan.seconds is not None
    assert 0 < scan.spent <= scan.seconds


# --- while a scan waits for somebody ---


def test_what_is_new_is_found_while_a_scan_waits_for_a_user(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 10)
    fill(data, "bob", 1)
    scanning.rescan("test")
    while not visitor.seen:
        scanning.step()
    visitor.full.add("alice")
    fill(data, "alice", 300, "large")
    run(scanning)
    visitor.seen.clear()
    fill(data, "bob", 2, "new")
    fill(data, "alice", 1, "new")
    scanning.refresh(0.0)
    run(scanning)
    assert {name for name in visitor.seen if "experiment_new" in name} == {
        "bob/h2oai_experiment_new/0.csv",
        "bob/h2oai_experiment_new/1.csv",
        "alice/h2oai_experiment_new/0.csv",
    }


def test_nothing_is_refreshed_before_its_time_nor_after_the_scan(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 1)
    visitor.full.add("alice")
    scanning.rescan("test")
    run(scanning)
    scanning.refresh(3600.0)
    assert run(scanning) == 0
    visitor.full.clear()
    run(scanning)
    scanning.refresh(0.0)
    assert run(scanning) == 0


def test_to_look_at_what_is_new_costs_what_it_takes_and_not_what_the_scan_does(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 3_000)
    scanning.rescan("test")
    while not visitor.seen:
        scanning.step()
    visitor.full.add("alice")
    run(scanning)
    assert scanning.scan is not None
    before = scanning.scan.spent
    fill(data, "bob", 300, "new")
    scanning.refresh(0.0)
    run(scanning)
    assert 0 < scanning.scan.refreshing <= scanning.scan.spent - before
    scanning.refresh(0.0)
    scanning.refresh(0.0)
    run(scanning)
    assert len(visitor.seen) == 128 + 300 + 300, "one at a time"
    assert 0 < scanning.scan.refreshing <= scanning.scan.spent - before


def test_a_doubt_while_a_scan_waits_for_a_user_finds_what_is_new_of_the_others_at_once(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 300)
    fill(data, "bob", 1)
    scanning.rescan("test")
    while not visitor.seen:
        scanning.step()
    visitor.full.add("alice")
    run(scanning)
    fill(data, "bob", 1, "new")
    scanning.rescan("doubt")
    run(scanning)
    assert "bob/h2oai_experiment_new/0.csv" in visitor.seen
    assert scanning.scanning


def test_what_the_user_that_a_scan_waits_for_makes_meanwhile_puts_off_no_look_at_the_others(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 300)
    scanning.rescan("test")
    while not visitor.seen:
        scanning.step()
    visitor.full.add("alice")
    run(scanning)
    fill(data, "alice", 3_000, "new")
    scanning.refresh(0.0)
    assert scanning.scan is not None
    before = scanning.scan.spent
    run(scanning)
    assert len([name for name in visitor.seen if "experiment_new" in name]) == 3_000
    assert scanning.scan.refreshing < (scanning.scan.spent - before) / 2


# --- events and hints ---


def test_files_that_something_happened_to_are_looked_at_in_portions_each_users_in_turn(
    scanning: Scanning, visitor: Everything
) -> None:
    scanning.touched({b"alice/h2oai_experiment_one/%d" % number: True for number in range(300)})
    scanning.touched({b"bob/h2oai_experiment_one/a": False})
    run(scanning)
    assert [len(one) for one in visitor.looked_at] == [64, 1, 64, 64, 64, 44]
    assert visitor.looked_at[1] == {b"bob/h2oai_experiment_one/a": False}


def test_that_a_file_was_closed_is_not_forgotten_by_what_comes_after(
    scanning: Scanning, visitor: Everything
) -> None:
    for closed in (False, True, False):
        scanning.touched({b"alice/a": closed})
    run(scanning)
    assert visitor.looked_at == [{b"alice/a": True}]


def test_wishes_for_one_folder_become_one_visit_and_everybody_hears_of_it(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 3)
    counts: list[int] = []
    for hinted in (False, True, False):
        scanning.appeared(b"alice/h2oai_experiment_one", hinted=hinted, done=counts.append)
    run(scanning)
    assert counts == [3, 3, 3]
    assert len(visitor.seen) == len(visitor.hinted) == 3


def test_a_flood_of_wishes_of_one_user_leaves_another_his_turn(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    for number in range(200):
        fill(data, "alice", 1, str(number))
        scanning.appeared(b"alice/h2oai_experiment_%d" % number)
    fill(data, "bob", 1)
    scanning.appeared(b"bob/h2oai_experiment_one")
    for _ in range(6):
        scanning.step()
    assert "bob" in visitor.users()


def test_what_is_too_much_is_left_to_a_scan_and_said(scanning: Scanning) -> None:
    assert scanning.touched({b"alice/%d" % number: True for number in range(5000)})
    assert not scanning.touched({b"alice/more": True})
    assert scanning.touched({b"bob/a": True})
    answers = Counter(scanning.appeared(b"alice/h2oai_experiment_%d" % number) for number in range(1100))
    assert answers == {True: 1000, False: 100}


def test_events_of_a_user_who_has_too_many_waiting_are_looked_at_all_the_same(
    scanning: Scanning, visitor: Everything
) -> None:
    visitor.full.add("alice")
    scanning.touched({b"alice/a": True})
    run(scanning)
    assert visitor.looked_at == [{b"alice/a": True}]


def test_closing_in_the_middle_lets_go_of_everything(data: Path, scanning: Scanning) -> None:
    fill(data, "alice", 1000)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a directory of the kernel's
    scanning.rescan("test")
    for _ in range(4):
        scanning.step()
    scanning.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def test_hints_without_a_whole_look_are_handed_over_and_other_wishes_are_left_to_the_next_scan(
    data: Path, scanning: Scanning, visitor: Everything
) -> None:
    fill(data, "alice", 500)
    counts: list[int] = []
    scanning.appeared(b"alice/h2oai_experiment_one", hinted=True, done=counts.append)
    scanning.step()
    scanning.appeared(b"bob/h2oai_experiment_two", hinted=True, done=counts.append)
    scanning.appeared(b"bob/h2oai_experiment_three", done=counts.append)
    assert 0 < len(visitor.seen) < 500
    assert [folder for folder, _ in scanning.hand_over()] == [
        b"alice/h2oai_experiment_one",
        b"bob/h2oai_experiment_two",
    ]
    assert counts == []
