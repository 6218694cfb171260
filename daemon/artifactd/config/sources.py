"""Reads every source of settings and merges them, the lowest first.

1. built-in defaults
2. Driverless AI's own file: `driverless_ai_config` of `[artifactd]`, else $DRIVERLESS_AI_CONFIG_FILE if it
   exists
3. every *.toml in `user_config_directory`, whoever sets that, in the order of their names
4. our `config.toml`
5. systemd's $CREDENTIALS_DIRECTORY, for secrets
6. environment: `DRIVERLESS_AI_<KEY>`
7. environment: `ARTIFACTD_<TABLE>__<KEY>`

Driverless AI's files and variables have hundreds of keys that are none of ours: they are passed over. A
relative path means relative to the file it stands in, and to our `config.toml` where it stands in no file.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path

import tomli

from artifactd.config import secrets, unknown
from artifactd.config.document import FIELDS, FLAT, PLACES, TABLES
from artifactd.config.layer import Layer, Origin, Setting
from artifactd.config.problem import Problem
from artifactd.config.syntax import Broken, broken
from artifactd.config.values import Hidden, place, unquoted

_BASE = "artifactd.driverless_ai_config"
_MORE = "user_config_directory"


def gather(path: Path, environ: Mapping[str, str]) -> Layer:
    """What all sources say together, with `path` as our `config.toml`. A file that fails is a problem."""
    home = path.absolute().parent
    upper = reduce(
        Layer.under,
        (
            _our_file(path),
            secrets.given(environ),
            _their_variables(environ, home),
            _our_variables(environ, home),
        ),
    )
    if (named := _named(upper, environ, home)) is not None:
        upper = upper.under(Layer({_BASE: named}))
    return _defaults(home).under(_their_files(named, upper)).under(upper)


def _defaults(home: Path) -> Layer:
    """The default paths: the other defaults need no place to start from, so they stay with their fields."""
    origin = Origin("default", home)
    places = {key: FIELDS[key].default for key in PLACES if FIELDS[key].default is not None}
    return Layer({key: Setting.of(key, str(place), origin) for key, place in places.items()})


def _named(upper: Layer, environ: Mapping[str, str], home: Path) -> Setting | None:
    """What names Driverless AI's own file; None where nothing does."""
    if _path(ours := upper.settings.get(_BASE)) is not None:
        return ours
    variable = "DRIVERLESS_AI_CONFIG_FILE"
    theirs = Setting.of(_BASE, unquoted(environ.get(variable, "")), Origin("environment", home), variable)
    path = _path(theirs)
    return theirs if path is not None and path.exists() else None


def _their_files(named: Setting | None, upper: Layer) -> Layer:
    base = Layer() if named is None else _their_file(place(named.value), upper)
    more = base.under(upper).settings.get(_MORE)
    directory = _path(more)
    if more is None or directory is None:
        return base
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".toml")
    except OSError as error:
        return base.under(Layer(problems=(more.problem(f"{directory} cannot be listed: {error.strerror}"),)))
    return reduce(Layer.under, (_their_file(path, upper) for path in paths), base)


def _path(setting: Setting | None) -> Path | None:
    """The path that is set; None where there is none. That a value is no path is told elsewhere."""
    try:
        return None if setting is None or not setting.value else place(setting.value)
    except ValueError:
        return None


def _their_file(path: Path, upper: Layer) -> Layer:
    content = _toml(path)
    if isinstance(content, Problem):
        return Layer(problems=(content,))
    origin = Origin(str(path), path.parent)
    known = {key: Setting.of(key, value, origin) for key, value in content.items() if key in FLAT}
    relative = (
        key
        for key in ("artifacts_file_system_directory", "data_directory")
        if key not in upper.settings
        and isinstance(value := content.get(key), str)
        and not Path(value).is_absolute()
    )
    return Layer(known, warnings=tuple(_relative(known[key]) for key in relative))


def _relative(setting: Setting) -> str:
    return (
        f"{setting.origin.name}: {setting.key} is relative and taken as {setting.value}, but Driverless AI "
        "starts from its own working directory; set an absolute path"
    )


def _our_file(path: Path) -> Layer:
    content = _toml(path)
    if isinstance(content, Problem):
        return Layer(problems=(content,))
    origin = Origin(str(path), path.absolute().parent)
    if unknown.is_theirs(content):
        return Layer(problems=(Problem(origin.name, None, unknown.THEIR_FILE),))
    settings = [Setting.of(key, value, origin) for key, value in _flattened(content)]
    known = {setting.key: setting for setting in settings if setting.key in unknown.KNOWN}
    problems = tuple(s.problem(unknown.mend(s.key, s.value)) for s in settings if s.key not in unknown.KNOWN)
    holds_secret = any(isinstance(s.value, Hidden) and s.value.text for s in settings)
    return secrets.opened(Layer(known, problems, secrets.exposed(path) if holds_secret else ()))


def _flattened(content: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if name in TABLES and isinstance(value, dict):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


def _their_variables(environ: Mapping[str, str], home: Path) -> Layer:
    close = ((name, unknown.near_theirs(name)) for name in sorted(environ))
    doubts = tuple(
        f"{name}: it sets nothing of artifactd's; did you mean {meant}?" for name, meant in close if meant
    )
    return secrets.opened(_variables(environ, home, unknown.THEIR_VARIABLES)).under(Layer(warnings=doubts))


def _our_variables(environ: Mapping[str, str], home: Path) -> Layer:
    strangers = (name for name in environ if unknown.is_ours(name) and name not in unknown.VARIABLES)
    problems = tuple(Problem("environment", name, unknown.variable_mend(name)) for name in strangers)
    return Layer(problems=problems).under(_variables(environ, home, unknown.VARIABLES))


def _variables(environ: Mapping[str, str], home: Path, known: Mapping[str, str]) -> Layer:
    origin = Origin("environment", home)
    return Layer(
        {
            key: Setting.of(key, unquoted(environ[name]), origin, name)
            for name, key in known.items()
            if name in environ
        }
    )


def _toml(path: Path) -> dict[str, object] | Problem:
    """What stands in the file at `path`, or why it cannot be used."""
    text = ""
    try:
        text = path.read_bytes().decode()
        return tomli.loads(text)
    except OSError as error:
        found = Broken(None, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        found = Broken(None, f"is not a text in UTF-8 (byte {error.start}): save it as one")
    except tomli.TOMLDecodeError as error:
        found = broken(text, error)
    return Problem(str(path), found.key, found.reason)
