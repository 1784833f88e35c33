"""Tables on narrow terminals: nothing that is to be read or copied is cut off."""

import io

import pytest
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.text import Text

from xclip_stream.cli.fitting_table import FittingGrid, FittingTable

LETTER_ID = "1796095872518-0"
REASON = "given up after 1 attempt: exec /usr/local/bin/siren: ended with exit code 1"


def printed(table: FittingTable, *, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above


def letters() -> FittingTable:
    table = FittingTable("id", "origin", "error", "reason", title="Letters")
    table.add_row(LETTER_ID, "outbox:siren", "", Text(REASON))
    return table


def test_a_table_that_fits_is_a_table() -> None:
    text = printed(letters(), width=200)

    assert "┃ id " in text
    assert REASON in text


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_where_it_does_not_fit_ids_are_whole_and_no_line_is_too_long(width: int) -> None:
    text = printed(letters(), width=width)

    assert LETTER_ID in text.splitlines()
    assert "…" not in text
    assert " ".join(text.split()).endswith(f"reason {REASON}")
    assert max(map(len, text.splitlines())) <= width


def test_cells_of_several_lines_and_empty_ones_take_no_line_of_their_own() -> None:
    table = FittingTable("rule", "prompts", "error")
    table.add_row("climbing", "a person climbing over a fence\na person jumping over a gate", "")

    text = printed(table, width=40)

    assert [line.strip() for line in text.splitlines()] == [
        "climbing",
        "prompts a person climbing over a",
        "fence, a person jumping over a gate",
    ]


def test_a_grid_keeps_its_bars_and_breaks_its_rows_between_cells() -> None:
    grid = FittingGrid.grid(padding=(0, 2))
    grid.add_row(
        Text("monday"), Text("running"), ProgressBar(total=2, completed=1, width=10), Text("a-person-climbing")
    )
    console = Console(file=io.StringIO(), width=30)

    console.print(grid)

    text = console.file.getvalue()  # type: ignore[attr-defined]  # as above
    assert [line.rstrip() for line in text.splitlines()] == [f"monday  running  {'━' * 5}", "  a-person-climbing"]
