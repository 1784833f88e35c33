"""What becomes of a command line that is wrong: one line, and where the help is."""

from typing import Any

import typer

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for one; the versions of typer have it in different places."""


def usage_line(error: Any) -> str:
    """Return the line for a UsageError; empty where the help was shown instead."""
    message = " ".join(error.format_message().removeprefix("Invalid value: ").replace("Value error, ", "").split())
    if not message:
        return ""
    command = "xclip-stream" if error.ctx is None else error.ctx.command_path
    ending = "" if message.endswith((".", "?")) else "."
    return f"{message[0].lower()}{message[1:]}{ending} See {command} --help"
