"""Standard output of the commands: it may be a terminal, or a pipe that is closed at any time."""

import os
import sys
import threading

import typer
from rich.console import Console

from xclip_stream.exits import INTERRUPTED


def emit(text: str) -> None:
    """Write a line to standard output at once; end quietly when nobody reads it any more."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        forget_output()
        raise typer.Exit(INTERRUPTED) from None


def forget_output() -> None:
    """Lead standard output nowhere, so that the interpreter's own last flush does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Output:
    """Standard output, shared by threads. When nobody reads it any more, `stop` is set."""

    def __init__(self, *, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self.closed = False
        """True when the reader went away."""

    def write(self, line: str) -> None:
        with self._lock:
            if self.closed:
                return
            try:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                self.closed = True
                forget_output()
                self._stop.set()


def table_console() -> Console:
    """Return the console for tables: as wide as the terminal, wide enough not to cut anything in a pipe."""
    return Console() if sys.stdout.isatty() else Console(width=200)
