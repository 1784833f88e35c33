"""A table that cuts nothing off where the terminal is narrow."""

from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_UNBOUND = 100_000
_INDENT = 2


class FittingTable(Table):
    """A table where the terminal has room for it; else a paragraph for each row, headed by its first cell.

    Rich would shorten the cells, and ids and addresses are there to be copied.
    """

    def __init__(self, *columns: str, title: str | None = None) -> None:
        super().__init__(*columns, title=title, title_justify="left")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if _fits(self, console, options):
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(str(self.title), style="table.title")
        names = [str(column.header) for column in self.columns]
        for row in zip(*(column.cells for column in self.columns), strict=True):
            first, *cells = map(_text, row)
            named = [
                Text.assemble((f"{name} ", "dim"), cell) for name, cell in zip(names[1:], cells, strict=True) if cell
            ]
            yield Text(first.plain, style="bold", overflow="fold")
            for line in _lines(named, between=" · ", width=options.max_width - _INDENT):
                yield Padding(line, (0, 0, 0, _INDENT))


class FittingGrid(Table):
    """A grid where the terminal has room for it; else the cells of each row, on as many lines as they take."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if _fits(self, console, options):
            yield from super().__rich_console__(console, options)
            return
        for row in zip(*(column.cells for column in self.columns), strict=True):
            cells = [_inline(cell, console, options) for cell in row]
            first, *others = _lines(filter(None, cells), between="  ", width=options.max_width - _INDENT)
            yield first
            for line in others:
                yield Padding(line, (0, 0, 0, _INDENT))


def _fits(table: Table, console: Console, options: ConsoleOptions) -> bool:
    return table.__rich_measure__(console, options.update(max_width=_UNBOUND)).maximum <= options.max_width


def _lines(cells: Iterable[Text], *, between: str, width: int) -> Iterator[Text]:
    """Yield lines with as many cells as each has room for; a cell that is longer is folded."""
    line = Text(overflow="fold")
    for cell in cells:
        if line and line.cell_len + len(between) + cell.cell_len > width:
            yield line
            line = Text(overflow="fold")
        line.append_text(Text(between, style="dim") if line else Text()).append_text(cell)
    if line:
        yield line


def _inline(cell: RenderableType, console: Console, options: ConsoleOptions) -> Text:
    """Return a cell of one line, such as a progress bar, as text."""
    if isinstance(cell, Text):
        return cell
    return Text.assemble(*((segment.text, segment.style or "") for segment in console.render(cell, options)), end="")


def _text(cell: RenderableType) -> Text:
    text = cell if isinstance(cell, Text) else Text(str(cell))
    return Text(", ").join(text.split("\n"))
