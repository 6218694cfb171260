"""Ceph's RGW on a cluster of its own: one monitor, one OSD in memory, nobody else.

It comes from Debian's packages and takes a quarter of a minute to start: for `make conformance` alone.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from tests.servers.child import running
from tests.servers.ports import LOCALHOST, free_ports
from tests.servers.s3 import ADMIN, S3Server

_PROGRAMS: Final = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
_PORTS_OF_OSD: Final = 8
"""It listens for clients, for other OSDs and for their heartbeats."""

_STARTS_OF_OSD: Final = 10
"""Version 16 crashes now and then before it takes part."""

_ADMIN: Final = (
    "--uid", "admin", "--display-name", "admin",
    "--access-key", ADMIN.access_key, "--secret-key", ADMIN.secret_key,
)  # fmt: skip


@contextmanager
def ceph(folder: Path) -> Iterator[S3Server]:
    """Ceph RGW 16: made for production. Completes uploads whatever the condition, and compares bare ETags."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    assert not missing, (
        f"{', '.join(missing)} cannot be found: as root, apt-get install --no-install-recommends "
        "radosgw ceph-mon ceph-osd ceph-common"
    )
    monitor, osd, gateway = free_ports(3)
    cluster, member = str(uuid4()), str(uuid4())
    places = {name: folder / name for name in ("mon", "osd", "rgw")}
    for place in places.values():
        place.mkdir()
    settings, map_ = folder / "ceph.conf", folder / "monmap"
    settings.write_text(_settings(folder, cluster, monitor, osd, gateway))
    configured = ("--conf", str(settings))

    def make(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, timeout=120, cwd=folder
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"

    with ExitStack() as started:

        def start(name: str, port: int, program: str, *arguments: str) -> subprocess.Popen[bytes]:
            command = [program, "-f", *configured, *arguments]
            return started.enter_context(running(command, port=port, folder=places[name]))

        address = f"[v1:{LOCALHOST}:{monitor}]"
        release = ("--set-min-mon-release", "pacific")
        make("monmaptool", "--create", "--addv", "a", address, "--fsid", cluster, *release, str(map_))
        make("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(map_), *configured)
        start("mon", monitor, "ceph-mon", "-i", "a", "--public-addr", f"{LOCALHOST}:{monitor}")
        make("ceph", *configured, "osd", "new", member)
        make("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", member, *configured)
        for _ in range(_STARTS_OF_OSD):
            if _up(start("osd", osd, "ceph-osd", "-i", "0"), settings):
                break
        make("radosgw-admin", *configured, "user", "create", *_ADMIN)
        start("rgw", gateway, "radosgw", "-n", "client.admin", "--rgw-data", str(places["rgw"]))
        yield S3Server(
            name="ceph",
            url=f"http://{LOCALHOST}:{gateway}",
            honours_conditions=True,
            matches_bare=True,
            creates_on_completion=False,
            replaces_on_completion=False,
            verifies_sha256=False,
            verifies_md5=True,
            verifies_payloads=True,
            verifies_signatures=True,
        ).opened()


def _up(osd: subprocess.Popen[bytes], settings: Path) -> bool:
    """Whether the OSD takes part, as soon as it does or has ended."""
    dump = ["ceph", "--conf", str(settings), "--format", "json", "osd", "dump"]
    while osd.poll() is None:
        done = subprocess.run(dump, capture_output=True, check=False, timeout=60)
        if done.returncode == 0 and [one["up"] for one in json.loads(done.stdout)["osds"]] == [1]:
            return True
    return False


def _settings(folder: Path, cluster: str, monitor: int, osd: int, gateway: int) -> str:
    return f"""
[global]
fsid = {cluster}
mon_host = [v1:{LOCALHOST}:{monitor}]
ms_bind_msgr2 = false
ms_bind_port_min = {osd}
ms_bind_port_max = {osd + _PORTS_OF_OSD - 1}
public_network = 127.0.0.0/8
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 0
mon_data_avail_crit = 0
osd_class_update_on_start = false
osd_objectstore = memstore
memstore_device_bytes = {4 << 30}
mon_data = {folder / "mon"}
osd_data = {folder / "osd"}
run_dir = {folder}
admin_socket =
log_to_file = false
log_to_stderr = true
debug_mon = 0
debug_paxos = 0
debug_rocksdb = 0
rgw_frontends = beast endpoint={LOCALHOST}:{gateway}
"""
