"""SeaweedFS, an S3 server made for production: conditions, checksums, accounts with limited rights."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.servers.child import installed, running
from tests.servers.ports import LOCALHOST, free_ports
from tests.servers.s3 import ADMIN, Credentials, S3Server

LEAST: Final = Credentials("AKIALEAST", "the-secret-of-least")
WRITER: Final = Credentials("AKIAWRITER", "the-secret-of-writer")

LEAST_ACTIONS: Final = (
    "s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
)  # fmt: skip


@contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS: made for production. Honours conditions, verifies SHA-256, limits what an account may do."""
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    (folder / "s3.json").write_text(json.dumps(_ACCOUNTS))
    (folder / "volume").mkdir()
    with ExitStack() as started:
        started.callback(_remove_sockets, ports.values())
        gateway = running(
            _gateway(ports), port=ports["s3.port"], folder=folder, environment=_ONE_VOLUME_A_BUCKET
        )
        started.enter_context(gateway)
        # Started with the others it would often ask for a master before there is one, and again after 5 s.
        started.enter_context(running(_volume(ports), port=ports["volume.port"], folder=folder / "volume"))
        yield S3Server(
            name="seaweed",
            url=f"http://{LOCALHOST}:{ports['s3.port']}",
            honours_conditions=True,
            creates_on_completion=True,
            replaces_on_completion=True,
            verifies_sha256=True,
            verifies_md5=True,
            verifies_payloads=False,
            verifies_signatures=True,
            least=LEAST,
            limited=WRITER,
        ).opened()


_PORTS: Final = (
    "s3.port", "s3.port.grpc", "filer.port", "filer.port.grpc",
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
)  # fmt: skip

_ONE_VOLUME_A_BUCKET: Final = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}  # not seven: each is a file

_HERE: Final = (f"-ip={LOCALHOST}", f"-ip.bind={LOCALHOST}", "-dir=.")


def _gateway(ports: Mapping[str, int]) -> list[str | Path]:
    return [
        installed("weed"), "-logtostderr", "server", *_HERE, "-volume=false", "-s3", "-s3.config=s3.json",
        "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock", "-master.telemetry=false", "-master.volumeSizeLimitMB=1024",
        *(f"-{name}={port}" for name, port in ports.items() if not name.startswith("volume")),
    ]  # fmt: skip


def _volume(ports: Mapping[str, int]) -> list[str | Path]:
    return [
        installed("weed"), "-logtostderr", "volume", *_HERE, "-max=1000",
        f"-mserver={LOCALHOST}:{ports['master.port']}.{ports['master.port.grpc']}",
        f"-port={ports['volume.port']}", f"-port.grpc={ports['volume.port.grpc']}",
    ]  # fmt: skip


def _remove_sockets(ports: Collection[int]) -> None:
    """What SeaweedFS leaves in the one place that it knows."""
    for socket in Path("/tmp").glob("seaweedfs-*-grpc-*.sock"):  # noqa: S108 - as said
        if int(socket.stem.rpartition("-")[2]) in ports:
            socket.unlink(missing_ok=True)


def _account(name: str, account: Credentials, **rights: list[str]) -> dict[str, object]:
    keys = {"accessKey": account.access_key, "secretKey": account.secret_key}
    return {"name": name, "credentials": [keys], **rights}


def _policy(name: str, actions: Sequence[str]) -> dict[str, str]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "arn:aws:s3:::*/*"}
    return {"name": name, "content": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}


_ACCOUNTS: Final = {
    "identities": [
        _account("admin", ADMIN, actions=["Admin", "Read", "List", "Tagging", "Write"]),
        _account("least", LEAST, policyNames=["least"]),
        _account("writer", WRITER, policyNames=["writer"]),
    ],
    "policies": [_policy("least", LEAST_ACTIONS), _policy("writer", ["s3:PutObject"])],
}
