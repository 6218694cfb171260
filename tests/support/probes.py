"""Asking a listener over HTTP, as a probe does and as nobody should."""

import http.client
import json
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

PATIENCE = 120.0
"""Seconds after which an answer never comes."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - it is JSON
        return json.loads(self.body)


def connect(where: str, timeout: float = PATIENCE) -> socket.socket:
    """A connection to an address as it is configured."""
    if where.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout)
        client.connect(where.removeprefix("unix:"))
        return client
    host, _, port = where.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


def get(where: str, path: str, method: str = "GET", timeout: float = PATIENCE) -> Answer:
    """One request of a well-behaved client."""
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    with closing(connection):
        connection.sock = connect(where, timeout)
        connection.request(method, path)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


def say(where: str, said: bytes, timeout: float = PATIENCE) -> bytes:
    """Everything that is answered to these bytes."""
    with connect(where, timeout) as client:
        client.sendall(said)
        return client.makefile("rb").read()


def samples(where: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What /metrics says, as Prometheus' own parser reads it: by name and labels."""
    return parsed(get(where, "/metrics").body)


def parsed(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for one in families for s in one.samples}


def value(where: str, name: str, **labels: str) -> float:
    """One sample."""
    return samples(where)[f"artifactd_{name}", frozenset(labels.items())]


def unix(directory: Path) -> str:
    return f"unix:{directory / 'health.sock'}"
