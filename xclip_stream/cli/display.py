"""What a person sees of a run on standard error: live status lines on a terminal, plain logs everywhere else."""

import json
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text
from structlog.typing import EventDict

from xclip_stream.cli.output import Output
from xclip_stream.cli.status_lines import StatusBoard
from xclip_stream.config import SourceConfig
from xclip_stream.logs import LEVELS, chosen_style, make_renderer
from xclip_stream.pipeline.progress import Snapshot

LOUD = LEVELS["warning"]


class Display(Protocol):
    """Where the lines of the workers go, and the state of the run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def log_line(self, worker: str, line: str) -> None:
        """Take a line of a worker's log: JSON, or whatever a crash printed."""

    def output_line(self, worker: str, line: str) -> None:
        """Take a line that the console sink wrote."""

    def update(self, snapshot: Snapshot) -> None:
        """Take the newest state of the run."""

    def follow(self, sources: Sequence[SourceConfig]) -> None:
        """Take the sources of a changed configuration."""


class PlainDisplay:
    """Passes everything through: logs to standard error, events to standard output."""

    def __init__(self, *, output: Output, stream: TextIO) -> None:
        self._output = output
        self._stream = stream
        self._lines = LogLines(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def log_line(self, worker: str, line: str) -> None:
        self._stream.write(self._lines.rendered(worker, line) + "\n")
        self._stream.flush()

    def output_line(self, _worker: str, line: str) -> None:
        self._output.write(line)

    def update(self, snapshot: Snapshot) -> None:
        pass

    def follow(self, sources: Sequence[SourceConfig]) -> None:
        pass


class LiveDisplay:
    """Status lines at the bottom of a terminal; events, and log lines from warning up, scroll by above them."""

    def __init__(self, *, output: Output, stream: TextIO, sources: Sequence[SourceConfig]) -> None:
        self._output = output
        self._console = Console(file=stream)
        self._lines = LogLines(stream)
        self._board = StatusBoard(sources)
        self._live = Live(
            get_renderable=self._board.table,
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def log_line(self, worker: str, line: str) -> None:
        if self._lines.is_loud(line):
            self._console.print(Text.from_ansi(self._lines.rendered(worker, line, traceback=False)), soft_wrap=True)

    def output_line(self, _worker: str, line: str) -> None:
        if sys.stdout.isatty():
            # The same terminal: written past the status lines it would be torn.
            self._console.print(Text(line), soft_wrap=True)
        else:
            self._output.write(line)

    def update(self, snapshot: Snapshot) -> None:
        self._board.update(snapshot)

    def follow(self, sources: Sequence[SourceConfig]) -> None:
        self._board.follow(sources)


class LogLines:
    """Renders the JSON lines of the workers in the style that suits the stream."""

    def __init__(self, stream: TextIO) -> None:
        self._style = chosen_style(stream)
        self._render = make_renderer("pretty", stream)

    def is_loud(self, line: str) -> bool:
        """Tell whether a line is a warning or worse; what is no log line comes from a crash and is."""
        entry = _entry(line)
        if entry is None:
            return bool(line.strip())
        return LEVELS.get(str(entry.get("level")), LOUD) >= LOUD

    def rendered(self, worker: str, line: str, *, traceback: bool = True) -> str:
        entry = _entry(line)
        if entry is None:
            return f"{worker}: {line}"
        if self._style == "json":
            return line
        if not traceback:
            entry.pop("exception", None)
        return str(self._render(None, "", entry))


def choose_display(sources: Sequence[SourceConfig], *, stop: threading.Event) -> tuple[Display, Output]:
    """Return the display that suits standard error, and the output that it writes to."""
    output = Output(stop=stop)
    if sys.stderr.isatty() and chosen_style(sys.stderr) == "pretty":
        return LiveDisplay(output=output, stream=sys.stderr, sources=sources), output
    return PlainDisplay(output=output, stream=sys.stderr), output


def _entry(line: str) -> EventDict | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
