"""Standard output of the commands: it may be a terminal, or a pipe that is closed at any time."""

import io
import os
import sys
from pathlib import Path

import typer
from rich.console import Console

from xclip_stream.exits import INTERRUPTED


def mend_streams() -> None:
    """Lead the standard streams that were closed nowhere, and let the others stand `?` for what they cannot encode."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # for as long as the program runs
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


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


def table_console() -> Console:
    """Return the console for tables: as wide as the terminal, wide enough not to cut anything in a pipe."""
    return Console() if sys.stdout.isatty() else Console(width=200)
