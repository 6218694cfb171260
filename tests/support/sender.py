"""A process of its own that puts one file, as the daemon does: to be killed, and to be measured.

Its argument is a JSON object with url, bucket, prefix, key, file, upload_log, part_size. It prints "ready"
and, when all is sent, a line of JSON: the outcome, and by how many bytes its largest size in memory grew.
"""

import json
import sys
from pathlib import Path

from artifactd import checksum
from artifactd.artifact import Key
from artifactd.config.destinations.s3 import AddressingStyle, S3Access, S3Endpoint, S3Table
from artifactd.stores.base import Put, Receipt, Source
from artifactd.stores.objects.store import ObjectStore
from artifactd.stores.s3.bucket import Bucket
from tests.servers.s3 import ADMIN, REGION
from tests.support.buckets import CLOCK
from tests.support.harness import a_put
from tests.support.upload_logs import Written


def peak() -> int:
    """The largest size in memory so far, in bytes (proc_pid_status(5), VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (told,) = (line for line in lines if line.startswith("VmHWM"))
    return int(told.split()[1]) * 1024


def main(told: dict[str, str], part_size: int) -> None:
    store = ObjectStore(
        "s3",
        Bucket(
            S3Endpoint(told["bucket"], REGION, told["url"], AddressingStyle.PATH),
            S3Access(ADMIN.access_key, ADMIN.secret_key),
            S3Table(),
            CLOCK,
            probe_key="probes/" + told["prefix"] + "probe",
        ),
        prefix=told["prefix"].rstrip("/"),
        part_size=part_size,
        connections=4,
        abandon_after=86400.0,
        upload_log=Written(Path(told["upload_log"])),
        clock=CLOCK,
    )
    store.put([a_put("first", b"small")])
    with Path(told["file"]).open("rb") as file:
        digest, size = checksum.of_file(file.fileno())
        before = peak()
        print("ready", flush=True)  # noqa: T201 - what the test waits for
        (result,) = store.put([Put(Key(told["key"]), Source(size, fd=file.fileno()), digest)])
    said = {"ok": isinstance(result, Receipt), "said": str(result), "grown": peak() - before}
    print(json.dumps(said), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    main(arguments, int(arguments["part_size"]))
