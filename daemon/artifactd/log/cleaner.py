"""What may stand in a line of the log: no secret, and nothing that breaks or drives what shows it."""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import quote

from artifactd.artifact import printable

_SHORTEST_SECRET: Final = 4  # characters: masking a shorter one would tear holes into everything else


class Cleaner:
    """Makes every value fit to be shown: nothing breaks a line, hides, drives a terminal, or is a secret.

    Names come from users, and messages of errors from anywhere. `secrets` are masked.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        hidden = {
            form
            for secret in secrets
            if len(secret) >= _SHORTEST_SECRET
            for form in (secret, quote(secret, ""))
        }
        longest_first = sorted(hidden, key=len, reverse=True)
        self._secret = re.compile("|".join(map(re.escape, longest_first))) if hidden else None

    def __call__(
        self, _logger: object, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """The line, cleaned in place. One of structlog's processors."""
        for field, value in line.items():
            line[field] = self._text(value) if type(value) is str else self._clean(value)
        return line

    def finds_nothing(self, text: str) -> bool:
        """Whether no secret stands in `text`."""
        return self._secret is None or self._secret.search(text) is None

    def _clean(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, Mapping):
            return {self._text(str(name)): self._clean(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        return self._text(str(value))

    def _text(self, text: str) -> str:
        if self._secret is not None:
            text = self._secret.sub("***", text)
        try:
            return printable(text)
        except UnicodeEncodeError:  # surrogates that stand for no byte of a name
            return printable(text.encode("utf-8", "backslashreplace").decode())
