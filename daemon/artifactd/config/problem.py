"""What is wrong with a configuration, told so that a person can mend it. Pure."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from artifactd.artifact import printable

_CLOSE = 0.75
"""difflib's ratio from which a word is taken for another one misspelled, as "wach" is for "watch"."""

_START = 4
"""characters that are enough to name a word by its start: "mojo" for "mojo_pipeline" """


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. Its text is one line: `config.toml: watch.quiet_seconds: found -1; allowed: …`."""

    source: str
    """the file as it was named, or "environment" """
    key: str | None
    """the key or variable as it is spelled there; None where the whole source is meant"""
    mend: str
    """what is allowed, or what to do"""
    found: str | None = None
    """the value as it stands there; None where there is none or it may be a secret"""

    def __str__(self) -> str:
        said = self.mend if self.found is None else f"found {self.found}; {self.mend}"
        line = ": ".join(part for part in (self.source, self.key, said) if part is not None)
        return printable(line)


class ConfigError(Exception):
    """The configuration cannot be used. It holds every problem at once; nothing was changed anywhere."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        title = f"{count} problem{'' if count == 1 else 's'} in the configuration:"
        return "\n".join((title, *(f"  {problem}" for problem in self.problems)))


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` likely stands for, misspelled or cut short; None where none is close."""
    known = tuple(words)
    close = difflib.get_close_matches(word, known, n=1, cutoff=_CLOSE)
    longer = (other for other in known if len(word) >= _START and other.startswith(word))
    return next(iter((*close, *longer)), None)


def unexamined(seconds: float) -> str:
    """The reason where looking at a configuration's directories did not end in so many seconds."""
    return (
        f"the configuration cannot be examined: a directory that it names hangs, {seconds:g} s without an "
        "answer; is a mount dead?"
    )
