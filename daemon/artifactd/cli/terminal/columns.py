"""Lines of columns that are never wider than the terminal: what is too long is cut, and shows it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from textwrap import wrap
from typing import Final

from rich.cells import cell_len, set_cell_size

_LOOKED_AT: Final = 200
"""Rows whose longest cells say how wide a column is: a list of a million is shown while it is read."""

_GAP: Final = 2

_LEAST: Final = 10
"""Columns for the last cell, below which it gets a line of its own."""


def fitted(rows: Iterable[Sequence[str]], most: Sequence[int], width: int) -> Iterator[list[str]]:
    """The cells of each row, as wide as their column. Together with the gaps between they fill `width`.

    Where the terminal is too narrow for that, a row takes several lines: its name, then the other cells, and
    the last one, broken where the line ends.

    `most`: of each column but the last, which gets what is left. The first has names, whose ends tell as much
    as their beginnings.
    """
    rows = iter(rows)
    first = list(islice(rows, _LOOKED_AT))
    columns = zip(*(row[:-1] for row in first), strict=True)
    widths = [min(limit, max(map(cell_len, cells))) for limit, cells in zip(most, columns, strict=True)]
    narrow = width - sum(widths) - _GAP * len(widths) < _LEAST
    for row in chain(first, rows):
        yield _block(row, width) if narrow else _line(row, widths, width)


def _block(row: Sequence[str], width: int) -> list[str]:
    """The cells of a row on several lines, all but the first further in."""
    name, *cells, last = row
    margin = " " * _GAP
    shown, left = [f"{cut(name, width, middle=True)}\n"], width
    for cell in cells:
        shown.append(cut(f"{margin}{cell}", max(left, 1)) if cell else "")
        left -= cell_len(shown[-1])
    lines = wrap(last, max(width - _GAP, 1), break_on_hyphens=False)
    return [*shown, "".join(f"\n{margin}{line}" for line in lines)]


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
