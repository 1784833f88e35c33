"""How a program of this package ends: with an exit code that means something, and a line for each error."""

import os
import sys

from xclip_stream.errors import CheckpointError, ConfigError, NoSuchAddress, PromptError, XclipStreamError

DONE = 0
FAILED = 1
MISCONFIGURED = 2
INTERRUPTED = 130
DEBUG_VARIABLE = "XCLIP_STREAM_DEBUG"

NEEDS_THE_USER = (ConfigError, CheckpointError, NoSuchAddress, PromptError)
"""Starting again does not help against these."""


def exit_code_of(error: XclipStreamError) -> int:
    """Return the exit code of a program that ends with this error."""
    return MISCONFIGURED if isinstance(error, NEEDS_THE_USER) else FAILED


def print_error(error: XclipStreamError | str) -> None:
    """Print `error: …` to standard error, a line for each problem."""
    sys.stderr.write("".join(f"error: {line}\n" for line in str(error).splitlines()))
    sys.stderr.flush()


def debugging() -> bool:
    """Tell whether the user asked for tracebacks."""
    return os.environ.get(DEBUG_VARIABLE, "") not in {"", "0"}
