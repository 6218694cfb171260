"""Where to: a directory, a server that only answers, a real one. Each with those who copy there."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.answering import CA_FILE, Told
from benchmarks.contender import SYNC, Artifactd, Contender, beside_python, python_of
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
    """as `--only` has it"""
    title: str
    ours: Artifactd
    peers: tuple[Contender, ...]
    opened: Callable[[Path], AbstractContextManager[Opened]]
    """in a directory that exists"""
    setting: str = ""
    """what it differs in from others of its name, after a comma"""
    served: bool = True
    """whether it is reached by requests"""
    lists: bool = True
    """whether a peer can find there what it copied before"""
    sizes: str = "SML"
    """of the workloads that are raced there"""
    rounds: int | None = None
    """how often a workload is raced there; None: as the workload wants it"""

    @property
    def everybody(self) -> tuple[Contender, ...]:
        """Who copies there, ourselves first."""
        return self.ours, *self.peers


# --- a directory ---

_CHECKED = '"$1" --config= copy --checksum "$2" "$3" && sync --file-system "$3"'
_CP = 'cp -r "$1" "$2" && find "$2" -type f -exec sha256sum {{}} + && sync --file-system "$2"'
_RCLONE = (beside_python("rclone"), "--config=", "copy")


@contextmanager
def _directory(_home: Path) -> Iterator[Opened]:
    yield Opened()


FILE_SYSTEM = Destination(
    "directory",
    "to a directory",
    Artifactd("artifactd sync", SYNC),
    (
        Contender(
            "rclone copy --checksum + sync",
            ("sh", "-c", _CHECKED, "sh", beside_python("rclone"), "{data}", "{directory}"),
        ),
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

_MANY = (*_RCLONE, "--transfers=64", "--checkers=64", "--buffer-size=0")
"""rclone where answers take their time: with 16 transfers it waits, with 256 it is slower again."""
_OBSTORE = (python_of("obstore"), str(Path(__file__).with_name("obstore_copy.py")))

_BUCKET = "shared"
_OUR_S3 = f"""\
artifacts_store = "s3"
artifacts_s3_bucket = "{_BUCKET}"
aws_s3_endpoint_url = "{{url}}"
s3_connector_cert_location = "{{ca}}"

[s3]
addressing_style = "path"
prefix = "{{name}}"
"""
_RCLONE_S3 = ("--s3-no-head", "--s3-no-check-bucket", "--s3-upload-concurrency=8", "--s3-chunk-size=16M")
_S3_PEERS = (
    Contender(
        "s5cmd cp",
        (beside_python("s5cmd"), "--endpoint-url", "{url}", "cp", "{data}/", f"s3://{_BUCKET}/{{name}}/"),
        again=False,
    ),
    Contender(
        "rclone copy, 64 transfers",
        (*_MANY, *_RCLONE_S3, "{data}", f":s3,provider=Other,env_auth,endpoint='{{url}}':{_BUCKET}/{{name}}"),
    ),
    Contender(
        "aws s3 sync",
        (
            beside_python("aws"),
            *("--endpoint-url", "{url}", "s3", "sync", "{data}", f"s3://{_BUCKET}/{{name}}"),
        ),
    ),
    Contender("obstore", (*_OBSTORE, "s3", "{data}", "{url}", _BUCKET, "{name}"), again=False),
)

_CONTAINER = "shared"
_ACCOUNT = "benchmark"
_ACCOUNT_KEY = b64encode(b"the key of the account").decode()
_SIGNED = "sv=2024-11-04&ss=b&srt=sco&sp=rwl&se=2099-01-01T00:00:00Z&sig=c2lnbmVk"
_OUR_AZURE = f"""\
artifacts_store = "azure"
artifacts_azure_blob_account_name = "{_ACCOUNT}"

[azure]
container = "{_CONTAINER}"
endpoint_url = "{{url}}/{_ACCOUNT}"
cert_location = "{{ca}}"
prefix = "{{name}}"
"""
_AZURE_PEERS = (
    Contender(
        "rclone copy, 64 transfers",
        (
            *(*_MANY, "--azureblob-no-check-container", "{data}"),
            f":azureblob,endpoint='{{url}}/{_ACCOUNT}':{_CONTAINER}/{{name}}",
        ),
    ),
    Contender(
        "azcopy copy",
        (
            *(beside_python("azcopy"), "copy", "--recursive", "--from-to=LocalBlob", "--log-level=NONE"),
            *("{data}/*", f"{{url}}/{_ACCOUNT}/{_CONTAINER}/{{name}}?{_SIGNED}"),
        ),
    ),
    Contender(
        "obstore",
        (*_OBSTORE, "azure", "{data}", f"{{url}}/{_ACCOUNT}", _CONTAINER, "{name}"),
        again=False,
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


def _for_azure(home: Path) -> dict[str, str]:
    return {
        "DRIVERLESS_AI_ARTIFACTS_AZURE_BLOB_ACCOUNT_KEY": _ACCOUNT_KEY,
        "RCLONE_AZUREBLOB_ACCOUNT": _ACCOUNT,
        "RCLONE_AZUREBLOB_KEY": _ACCOUNT_KEY,
        "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": _ACCOUNT_KEY,
        "AZCOPY_CONCURRENCY_VALUE": "64",
        "AZCOPY_DISABLE_SYSLOG": "true",
        "AZCOPY_JOB_PLAN_LOCATION": str(home / "azcopy"),
        "AZCOPY_LOG_LOCATION": str(home / "azcopy"),
    }


@contextmanager
def _answering(home: Path, *, delay: float, secure: bool) -> Iterator[Opened]:
    """A server that only answers. It ends when its standard input does, as it does when we die."""
    command = [sys.executable, "-m", "benchmarks.answering", "--delay", str(delay)]
    ca = str(home / CA_FILE) if secure else ""
    environment = _for_s3("benchmark", "the-secret-of-benchmark") | _for_azure(home)
    if secure:
        command += ["--tls", str(home)]
        environment |= {"AWS_CA_BUNDLE": ca, "SSL_CERT_FILE": ca}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None, "it was asked for"  # noqa: S101 - for mypy
        assert server.stdout is not None, "as above"  # noqa: S101 - as above
        questions, answers = server.stdin, server.stdout

        def counted() -> Told:
            print(file=questions, flush=True)
            return Told(**json.loads(answers.readline()))

        url = f"{'https' if secure else 'http'}://127.0.0.1:{counted().port}"
        yield Opened({"url": url, "ca": ca}, environment, counted)
        questions.close()


@contextmanager
def _seaweed(home: Path) -> Iterator[Opened]:
    with seaweed(home) as server:
        yield Opened({"url": server.url, "ca": ""}, _for_s3(server.access_key, server.secret_key))


def s3(delay: float, *, secure: bool) -> Destination:
    """A server of S3 that only answers, after so many milliseconds."""
    return Destination(
        "s3",
        "to S3, where the server only answers",
        Artifactd("artifactd sync", SYNC, destination=_OUR_S3),
        _S3_PEERS,
        partial(_answering, delay=delay, secure=secure),
        setting=_setting(delay, secure=secure),
        lists=False,
        rounds=2,
    )


def azure(delay: float, *, secure: bool) -> Destination:
    """A server of Azure Blob Storage that only answers, after so many milliseconds."""
    return Destination(
        "azure",
        "to Azure Blob Storage, where the server only answers",
        Artifactd("artifactd sync", SYNC, destination=_OUR_AZURE),
        _AZURE_PEERS,
        partial(_answering, delay=delay, secure=secure),
        setting=_setting(delay, secure=secure),
        lists=False,
        rounds=2,
    )


def _setting(delay: float, *, secure: bool) -> str:
    return f", {f'after {delay:g} ms' if delay else 'at once'}, {'TLS' if secure else 'http'}"


SEAWEED = Destination(
    "seaweed",
    "to S3, as SeaweedFS serves it on the same machine",
    Artifactd("artifactd sync", SYNC, destination=_OUR_S3),
    _S3_PEERS,
    _seaweed,
    sizes="SM",
    rounds=2,
)


def destinations(delays: Sequence[float], secure: Sequence[bool]) -> Sequence[Destination]:
    """All of them; those that only answer so, and so."""
    settings = [(delay, tls) for delay in delays for tls in secure]
    return [
        FILE_SYSTEM,
        *(s3(delay, secure=tls) for delay, tls in settings),
        *(azure(delay, secure=tls) for delay, tls in settings),
        SEAWEED,
    ]
