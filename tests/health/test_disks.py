"""How much room there is, found out without waiting for a mount."""

import os

from artifactd.config.assemble import load
from artifactd.health.disks import Disks
from artifactd.health.verdict import DiskFacts
from tests.support.faults import ManualClock
from tests.support.process import Site, until


def known(disks: Disks) -> dict[str, DiskFacts]:
    return {one.name: one for one in disks.facts()}


def test_the_room_of_state_and_directories_is_looked_at_once_a_minute_and_a_lost_one_is_not_known(
    site: Site,
) -> None:
    site.state.mkdir()
    time = ManualClock(0.0)
    disks = Disks(load(site.config, site.environment), time.clock)
    until(lambda: known(disks).keys() == {"state", "file_system"}, "both were looked at")
    found, size = known(disks)["file_system"], os.statvfs(site.exports)
    assert found.size == size.f_blocks * size.f_frsize
    assert 0 < found.free <= found.size
    site.exports.rmdir()
    time.advance(59.0)
    assert known(disks)["file_system"] == found, "no other look is due"
    time.advance(2.0)
    until(lambda: known(disks).keys() == {"state"}, "the destination is gone")
