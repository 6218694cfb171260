"""Lines of columns that are never wider than the terminal: what is too long is cut, and shows it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from rich.cells import cell_len, set_cell_size

_LOOKED_AT: Final = 200
"""Rows whose longest cells say how wide a column is: a list of a million is shown while it is read."""

_GAP: Final = 2


def fitted(rows: Iterable[Sequence[str]], most: Sequence[int], width: int) -> Iterator[list[str]]:
    """The cells of each row, as wide as their column. Together with the gaps between they fill `width`.

    `most`: of each column but the last, which gets what is left. The first has names, whose ends tell as much
    as their beginnings.
    """
    rows = iter(rows)
    first = list(islice(rows, _LOOKED_AT))
    columns = zip(*(row[:-1] for row in first), strict=True)
    widths = [min(limit, max(map(cell_len, cells))) for limit, cells in zip(most, columns, strict=True)]
    for row in chain(first, rows):
        yield _line(row, widths, width)


def _line(row: Sequence[str], widths: Sequence[int], width: int) -> list[str]:
    *cells, last = row
    rest = max(width - sum(widths) - _GAP * len(widths), 1)
    shown = (
        set_cell_size(cut(cell, size, middle=place == 0), size + _GAP)
        for place, (cell, size) in enumerate(zip(cells, widths, strict=True))
    )
    return [*shown, cut(last, rest)]


def cut(text: str, width: int, *, middle: bool = False) -> str:
    """`text` on at most `width` columns; "…" stands for what is left out at the end, or in the middle."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2 if middle else 0
    head = set_cell_size(text, width - 1 - tail).rstrip()
    return f"{head}…{set_cell_size(text[::-1], tail)[::-1].lstrip() if tail else ''}"
