"""Lines that are never wider than the terminal."""

import pytest
from rich.cells import cell_len

from artifactd.cli.terminal.columns import cut, fitted


@pytest.mark.parametrize(
    ("text", "width", "end", "middle"),
    [
        ("mojo.zip", 8, "mojo.zip", "mojo.zip"),
        ("h2oai_experiment_logs_one.zip", 12, "h2oai_exper…", "h2oai_…e.zip"),
        ("not there", 5, "not…", "no…re"),
        ("日本語.csv", 6, "日本…", "日…sv"),
        ("ab", 1, "…", "…"),
        ("", 3, "", ""),
    ],
)
def test_what_is_too_long_is_cut_and_shows_it(text: str, width: int, end: str, middle: str) -> None:
    assert cut(text, width) == end
    assert cut(text, width, middle=True) == middle


@pytest.mark.parametrize("width", [30, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_columns_stand_below_each_other(width: int) -> None:
    rows = [
        ("name", "state", "why"),
        ("日本語" * 20 + ".csv", "refused", "holds other bytes " * 20),
        ("mojo.zip", "proven", ""),
    ]
    lines = list(fitted(rows, (6, 9), width))
    assert all(sum(map(cell_len, cells)) <= width for cells in lines)
    assert len({tuple(map(cell_len, cells[:-1])) for cells in lines}) == 1


def test_a_column_is_no_wider_than_its_longest_cell_and_the_last_gets_what_is_left() -> None:
    assert list(fitted([("a", "ok", "x" * 80), ("bb", "ok", "")], (24, 9), 20)) == [
        ["a   ", "ok  ", "x" * 11 + "…"],
        ["bb  ", "ok  ", ""],
    ]


def test_where_the_terminal_is_narrow_a_row_takes_several_lines_and_none_is_too_wide() -> None:
    rows = [
        ("name", "state", "for", "whose", "why"),
        (
            "h2oai_experiment_logs_0123456789abcdef.zip",
            "refused",
            "3 min",
            "alice/one",
            "holds other bytes " * 4,
        ),
        ("mojo.zip", "proven", "1 h", "a_name_that_is_rather_long/one", "22 B"),
        ("bare", "", "", "", ""),
    ]
    shown = ["".join(cells).rstrip() for cells in fitted(rows, (24, 9, 6, 16), 40)]
    assert all(cell_len(line) <= 40 for row in shown for line in row.split("\n"))
    assert shown[1:] == [
        "h2oai_experiment_log…123456789abcdef.zip\n  refused  3 min  alice/one"
        + "\n  holds other bytes holds other bytes" * 2,
        "mojo.zip\n  proven  1 h  a_name_that_is_rather_lo…\n  22 B",
        "bare",
    ]
