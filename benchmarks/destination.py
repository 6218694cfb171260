"""Where to: a directory, a server that only answers, a real one. Each with those who copy there."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.answering import Told
from benchmarks.contender import SYNC, Artifactd, Contender, beside_python
from tests.servers.s3 import REGION
from tests.servers.seaweed import seaweed


@dataclass(frozen=True, slots=True)
class Opened:
    """A destination that can be copied to."""

    told: Mapping[str, str] = field(default_factory=dict)
    """for the command lines: the address, and so on"""
    environment: Mapping[str, str] = field(default_factory=dict)
    counted: Callable[[], Told | None] = lambda: None
    """what the server did so far; None where nobody counts"""


@dataclass(frozen=True, slots=True)
class Destination:
    """A kind of place to copy to."""

    name: str
    """before the names of its parts: `s3-small`"""
    title: str
    ours: Artifactd
    peers: tuple[Contender, ...]
    opened: Callable[[Path], AbstractContextManager[Opened]]
    """in a directory that exists"""
    served: bool = True
    """whether it is reached by requests"""
    lists: bool = True
    """whether a peer can find there what it copied before"""
    races: tuple[str, ...] = ("small", "medium", "large")
    rounds: int | None = None
    """how often a workload is raced there; None: as the workload wants it"""

    @property
    def everybody(self) -> tuple[Contender, ...]:
        """Who copies there, ourselves first."""
        return self.ours, *self.peers


# --- a directory ---

_CP = 'cp -r "$1" "$2" && find "$2" -type f -exec sha256sum {{}} + && sync --file-system "$2"'
_RCLONE = (beside_python("rclone"), "--config=", "copy")


@contextmanager
def _directory(_home: Path) -> Iterator[Opened]:
    yield Opened()


FILE_SYSTEM = Destination(
    "file-system",
    "to a directory",
    Artifactd("artifactd sync", SYNC),
    (
        Contender("rclone copy --checksum", (*_RCLONE, "--checksum", "{data}", "{directory}")),
        Contender("rclone copy", (*_RCLONE, "{data}", "{directory}")),
        Contender("rsync -a", (beside_python("rsync"), "-a", "{data}/", "{directory}")),
        Contender(
            "cp + sha256sum + sync", ("sh", "-c", _CP, "sh", "{data}", "{directory}/data"), again=False
        ),
    ),
    _directory,
    served=False,
)


# --- servers ---

_BUCKET = "shared"
_OUR_S3 = f"""\
artifacts_store = "s3"
artifacts_s3_bucket = "{_BUCKET}"
aws_s3_endpoint_url = "{{url}}"

[s3]
addressing_style = "path"
prefix = "{{name}}"
"""
_S3_PEERS = (
    Contender(
        "s5cmd cp",
        (beside_python("s5cmd"), "--endpoint-url", "{url}", "cp", "{data}/", f"s3://{_BUCKET}/{{name}}/"),
        again=False,
    ),
    Contender(
        "rclone copy",
        (*_RCLONE, "{data}", f":s3,provider=Other,env_auth,endpoint='{{url}}':{_BUCKET}/{{name}}"),
    ),
    Contender(
        "aws s3 sync",
        (
            beside_python("aws"),
            *("--endpoint-url", "{url}", "s3", "sync", "{data}", f"s3://{_BUCKET}/{{name}}"),
        ),
    ),
)


def _for_s3(access_key: str, secret_key: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def _answering(environment: Mapping[str, str]) -> Iterator[Opened]:
    """A server that only answers. It ends when its standard input does, as it does when we die."""
    command = [sys.executable, "-m", "benchmarks.answering"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None, "it was asked for"  # noqa: S101 - for mypy
        assert server.stdout is not None, "as above"  # noqa: S101 - as above
        questions, answers = server.stdin, server.stdout

        def counted() -> Told:
            print(file=questions, flush=True)
            return Told(**json.loads(answers.readline()))

        yield Opened({"url": f"http://127.0.0.1:{counted().port}"}, environment, counted)
        questions.close()


@contextmanager
def _seaweed(home: Path) -> Iterator[Opened]:
    with seaweed(home) as server:
        yield Opened({"url": server.url}, _for_s3(server.access_key, server.secret_key))


S3 = Destination(
    "s3",
    "to S3, where the server only answers",
    Artifactd("artifactd sync", SYNC, destination=_OUR_S3),
    _S3_PEERS,
    lambda _home: _answering(_for_s3("benchmark", "the-secret-of-benchmark")),
    lists=False,
)

_CONTAINER = "shared"
_ACCOUNT = "benchmark"
_ACCOUNT_KEY = b64encode(b"the key of the account").decode()
_OUR_AZURE = f"""\
artifacts_store = "azure"
artifacts_azure_blob_account_name = "{_ACCOUNT}"

[azure]
container = "{_CONTAINER}"
endpoint_url = "{{url}}/{_ACCOUNT}"
prefix = "{{name}}"
"""
_FOR_AZURE = {
    "DRIVERLESS_AI_ARTIFACTS_AZURE_BLOB_ACCOUNT_KEY": _ACCOUNT_KEY,
    "RCLONE_AZUREBLOB_ACCOUNT": _ACCOUNT,
    "RCLONE_AZUREBLOB_KEY": _ACCOUNT_KEY,
}

AZURE = Destination(
    "azure",
    "to Azure Blob Storage, where the server only answers",
    Artifactd("artifactd sync", SYNC, destination=_OUR_AZURE),
    (
        Contender(
            "rclone copy",
            (*_RCLONE, "{data}", f":azureblob,endpoint='{{url}}/{_ACCOUNT}':{_CONTAINER}/{{name}}"),
        ),
    ),
    lambda _home: _answering(_FOR_AZURE),
    lists=False,
)

SEAWEED = Destination(
    "seaweed",
    "to S3, as SeaweedFS serves it on the same machine",
    Artifactd("artifactd sync", SYNC, destination=_OUR_S3),
    _S3_PEERS,
    _seaweed,
    races=("small", "medium"),
    rounds=1,
)

DESTINATIONS = (FILE_SYSTEM, S3, AZURE, SEAWEED)
