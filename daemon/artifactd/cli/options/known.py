"""A word of a closed list, as a person gives it to a command: a misspelling must not pass in silence."""

from collections.abc import Iterable

import typer

from artifactd.config.problem import nearest


def one_of(words: Iterable[str], known: Iterable[str], option: str) -> None:
    """End with the usage's exit code where one of `words`, given with `option`, is not `known`."""
    names = tuple(dict.fromkeys(known))
    for word in words:
        if word not in names:
            close = nearest(word, names)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(names)}"
            raise typer.BadParameter(f"{word!r} is unknown; {hint}", param_hint=option)
