"""giftless, an LFS server, in an environment of its own: it needs older versions than we do."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SERVE = """
import sys
from giftless.app import init_app
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server

app = init_app()
app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1)
make_server("127.0.0.1", 0, app, threaded=True, fd=int(sys.argv[1])).serve_forever()
"""

_CONFIG = """
LEGACY_ENDPOINTS: false
AUTH_PROVIDERS:
  - giftless.auth.allow_anon:read_write
PRE_AUTHORIZED_ACTION_PROVIDER:
  options:
    private_key: a-key-of-the-tests-that-is-long-enough-for-hs256
TRANSFER_ADAPTERS:
  basic:
    options:
      storage_options:
        path: {storage}
"""


@dataclass(frozen=True, slots=True)
class Giftless:
    """The server; `storage` is where its files lie."""

    port: int
    storage: Path

    def files(self) -> dict[str, Path]:
        """By their digest."""
        return {path.name: path for path in self.storage.rglob("*") if path.is_file()}


def interpreter() -> Path:
    found = Path(sys.prefix) / "giftless" / "bin" / "python"
    if not found.exists():
        pytest.fail("the tests of LFS need a server of their own: make .venv/giftless/installed")
    return found


@contextmanager
def giftless(storage: Path) -> Iterator[Giftless]:
    """A server for as long as the block takes. It listens before this returns."""
    storage.mkdir()
    with (storage.parent / "giftless.log").open("wb") as log, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        env = {"PATH": os.environ["PATH"], "GIFTLESS_CONFIG_STR": _CONFIG.format(storage=storage)}
        command = [str(interpreter()), "-W", "ignore", "-c", _SERVE, str(listener.fileno())]
        process = subprocess.Popen(
            command, env=env, pass_fds=[listener.fileno()], stderr=log, cwd=storage.parent
        )
        port = listener.getsockname()[1]
        listener.close()  # from here on only the server listens: where it ends, connections are refused
        try:
            yield Giftless(port, storage)
        finally:
            process.terminate()
            process.wait(timeout=30)
