from pathlib import Path

import pytest

from artifactd.linux.inotify import file_system, limits, remote_file_system


def test_the_limits_are_those_of_this_machine() -> None:
    found = limits()
    assert found.queued_events == int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    assert 0 < found.watches <= int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    assert 0 < found.instances <= int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())


MOUNTS = rb"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /srv rw - nfs4 server:/export rw
24 23 0:22 / /srv/local\040disk rw - xfs /dev/vdb rw
25 22 0:23 / /covered rw - ext4 /dev/vdc rw
26 25 0:24 / /covered rw - fuse.sshfs host: rw
27 22 0:25 / /block rw - fuseblk /dev/vdd rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"/", b"ext4"),
        (b"/home/data", b"ext4"),
        (b"/srv", b"nfs4"),
        (b"/srv/data", b"nfs4"),
        (b"/srvdata", b"ext4"),
        (b"/srv/local disk/data", b"xfs"),
        (b"/covered/data", b"fuse.sshfs"),
        (b"/block/data", b"fuseblk"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount_and_of_the_latest_there(
    path: bytes, kind: bytes
) -> None:
    assert file_system(MOUNTS, path) == kind


def test_a_directory_on_this_machines_own_disk_is_not_remote(tmp_path: Path) -> None:
    assert remote_file_system(tmp_path) is None
