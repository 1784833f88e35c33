"""A table that cuts nothing off where the terminal is narrow."""

from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_UNBOUND = 100_000
_BETWEEN = " · "
_INDENT = 2


class FittingTable(Table):
    """A table where the terminal has room for it; else a paragraph for each row, headed by its first cell.

    Rich would shorten the cells, and ids and addresses are there to be copied.
    """

    def __init__(self, *columns: str, title: str | None = None) -> None:
        super().__init__(*columns, title=title, title_justify="left")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.__rich_measure__(console, options.update(max_width=_UNBOUND)).maximum <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(str(self.title), style="table.title")
        names = [str(column.header) for column in self.columns]
        for row in zip(*(column.cells for column in self.columns), strict=True):
            first, *cells = map(_text, row)
            yield Text(first.plain, style="bold", overflow="fold")
            for line in _lines(zip(names[1:], cells, strict=True), width=options.max_width - _INDENT):
                yield Padding(line, (0, 0, 0, _INDENT))


def _lines(cells: Iterable[tuple[str, Text]], *, width: int) -> Iterator[Text]:
    """Yield lines of named cells, each with as many as it has room for; empty cells are left out."""
    line = Text(overflow="fold")
    for name, cell in cells:
        if not cell.plain:
            continue
        named = Text.assemble((f"{name} ", "dim"), cell)
        if line and line.cell_len + len(_BETWEEN) + named.cell_len > width:
            yield line
            line = Text(overflow="fold")
        line.append_text(Text(_BETWEEN, style="dim") if line else Text()).append_text(named)
    if line:
        yield line


def _text(cell: RenderableType) -> Text:
    text = cell if isinstance(cell, Text) else Text(str(cell))
    return Text(", ").join(text.split("\n"))
