"""The servers as fixtures: each is started when a test first asks for it, once for each worker of pytest."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers import s3
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3.rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3.seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


ProxyTo = Callable[[str], Proxy]


@pytest.fixture
def proxy_to() -> Iterator[ProxyTo]:
    """A proxy of the test's own in front of the server at a URL."""
    with ExitStack() as running:
        yield lambda upstream: running.enter_context(Proxy(upstream))
