"""The program: its commands, and what becomes of an error that leaves one of them."""

import inspect
import re
import sys
from typing import Annotated

import typer

import xclip_stream
from xclip_stream.cli.check import check
from xclip_stream.cli.dead_letters import dead_letters
from xclip_stream.cli.discover import discover
from xclip_stream.cli.events import events
from xclip_stream.cli.exporter import exporter
from xclip_stream.cli.forget import forget
from xclip_stream.cli.init import init
from xclip_stream.cli.overview import status
from xclip_stream.cli.probe import probe
from xclip_stream.cli.run import run
from xclip_stream.cli.watch import watch
from xclip_stream.cli.worker import worker
from xclip_stream.errors import ConfigError, XclipStreamError
from xclip_stream.redaction import redact_text
from xclip_stream.worker_main import DEBUG_VARIABLE, FAILED, MISCONFIGURED, debugging, print_error


def flowing(text: str) -> str:
    """Return a docstring whose paragraphs fill the terminal; lines that are set off, as those of examples, stay."""
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(part if part.startswith("  ") else " ".join(part.split()) for part in paragraphs)


app = typer.Typer(
    name="xclip-stream",
    help="Spot actions in live video from plain-text prompts.",
    epilog='Start with: xclip-stream init, or xclip-stream watch yard.mp4 "a person climbing over a fence"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(init)
app.command()(run)
app.command()(watch)
app.command()(check)
app.command()(probe)
app.command()(discover)
app.command()(worker)
app.command()(status)
app.command()(exporter)
app.command()(forget)
app.add_typer(events)
app.add_typer(dead_letters)
for group in (app, events, dead_letters):
    for command in group.registered_commands:
        command.help = flowing(inspect.getdoc(command.callback) or "")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"xclip-stream {xclip_stream.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Spot actions in live video from plain-text prompts."""


def main() -> None:
    """Run the command line. Exit codes: 0 ok, 1 failed at run time, 2 usage or configuration, 130 interrupted."""
    try:
        app(prog_name="xclip-stream")
    except XclipStreamError as error:
        if debugging():
            raise
        print_error(error)
        sys.exit(MISCONFIGURED if isinstance(error, ConfigError) else FAILED)
    # The top of the program: a defect shall be told in a line too, with the way to its traceback.
    except Exception as error:
        if debugging():
            raise
        print_error(redact_text(f"{type(error).__name__}: {error}".replace("\n", " ")))
        print_error(f"this is a defect of xclip-stream; set {DEBUG_VARIABLE}=1 to see where it happened")
        sys.exit(FAILED)
