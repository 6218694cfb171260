"""Secrets from files: `X_file = "/path"` beside any secret key X, and systemd's $CREDENTIALS_DIRECTORY/X."""

import os
from collections.abc import Mapping
from functools import reduce
from pathlib import Path

from artifactd.config.document import SECRETS
from artifactd.config.layer import Layer, Origin, Setting
from artifactd.config.problem import Problem

FILE_KEYS = {f"{key}_file": key for key in sorted(SECRETS)}
"""The keys that name a secret's file, each with the secret's own."""

OTHERS = 0o077
"""Permission bits that let someone other than the owner in."""

_STORED = "artifactd."
"""What a credential's file begins with in systemd's store, which all services share; see the unit."""

_OF_THE_SERVICE = ("/run/credentials/artifactd.service", "/etc/credstore")

_LONGEST = 64 * 1024
"""bytes; more than any password, key or connection string has"""


def opened(layer: Layer) -> Layer:
    """`layer` with each `X_file` replaced by the X that stands in the file.

    A problem is added for a file that cannot be read or holds nothing, and where X stands beside it; a
    warning for a file that others can read.
    """
    plain = {key: setting for key, setting in layer.settings.items() if key not in FILE_KEYS}
    pointers = [
        setting for key, setting in layer.settings.items() if key in FILE_KEYS and setting.value != ""
    ]
    found = [_opened(pointer, beside=plain.get(FILE_KEYS[pointer.key])) for pointer in pointers]
    return reduce(Layer.under, found, Layer(plain, layer.problems, layer.warnings))


def given(environ: Mapping[str, str]) -> Layer:
    """The secrets in the directory that systemd's LoadCredential= fills (systemd.exec(5)), if any."""
    if not environ.get("CREDENTIALS_DIRECTORY"):
        return Layer()
    directory = Path(environ["CREDENTIALS_DIRECTORY"])
    origin = Origin("$CREDENTIALS_DIRECTORY", directory)
    try:
        found = {path.name.removeprefix(_STORED): path for path in directory.iterdir()}
    except OSError as error:
        return Layer(
            problems=(Problem(origin.name, None, f"{directory} cannot be listed: {error.strerror}"),)
        )
    known = sorted(SECRETS & found.keys())
    return reduce(Layer.under, (_read(key, found[key], origin, key) for key in known), Layer())


def beside_the_service(environ: Mapping[str, str]) -> Mapping[str, str]:
    """`environ` with the secrets that systemd gives to the service, as far as this account may read them.

    For the commands of whoever looks after the service: what the service has, or will have at its next start.
    """
    if environ.get("CREDENTIALS_DIRECTORY"):
        return environ
    readable = (directory for directory in _OF_THE_SERVICE if os.access(directory, os.R_OK | os.X_OK))
    directory = next(readable, None)
    return environ if directory is None else {**environ, "CREDENTIALS_DIRECTORY": directory}


def exposed(path: Path) -> tuple[str, ...]:
    """The warning that others can read the file at `path`, which holds a secret; nothing if they cannot."""
    if path.stat().st_mode & OTHERS:
        return (f"{path} holds a secret and others can read it; mend: chmod 600",)
    return ()


def _opened(pointer: Setting, beside: Setting | None) -> Layer:
    key = FILE_KEYS[pointer.key]
    if beside is not None and beside.value:
        return Layer(problems=(pointer.problem(f"{key} is set as well; one of the two is enough"),))
    if not isinstance(pointer.value, str) or "\0" in pointer.value:
        return Layer(problems=(pointer.problem("allowed: the path of a file that holds the secret"),))
    path = pointer.origin.directory / pointer.value
    layer = _read(key, path, pointer.origin, pointer.name)
    return layer.under(Layer(warnings=exposed(path))) if layer.settings else layer


def _read(key: str, path: Path, origin: Origin, name: str) -> Layer:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        return Layer(problems=(Problem(origin.name, name, f"{path} cannot be read: {error.strerror}"),))
    except UnicodeDecodeError:
        return Layer(problems=(Problem(origin.name, name, f"{path} is not a text in UTF-8"),))
    if not secret or len(content) > _LONGEST:
        wrong = "is empty" if not secret else f"is longer than {_LONGEST} bytes"
        return Layer(
            problems=(Problem(origin.name, name, f"{path} {wrong}; it should hold the secret and no more"),)
        )
    return Layer({key: Setting.of(key, secret, origin, name)})
