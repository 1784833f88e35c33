"""The program: its commands, and what becomes of an error that leaves one of them."""

import errno
import sys
from typing import Annotated

import typer

import xclip_stream
from xclip_stream.cli.commands import MARKUP, CommandGroup, list_commands
from xclip_stream.cli.standard_streams import mend_streams
from xclip_stream.cli.usage import UsageError, usage_line
from xclip_stream.errors import XclipStreamError
from xclip_stream.exits import DEBUG_VARIABLE, FAILED, INTERRUPTED, MISCONFIGURED, debugging, exit_code_of, print_error
from xclip_stream.redaction import redact_text

app = typer.Typer(
    cls=CommandGroup,
    name="xclip-stream",
    help="Spot actions in live video from plain-text prompts.",
    epilog='Start with: xclip-stream init, or xclip-stream watch yard.mp4 "a person climbing over a fence"',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
)
list_commands(app)


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
    mend_streams()
    try:
        # Not standalone, it raises what is wrong instead of drawing a box around it.
        code = app(prog_name="xclip-stream", standalone_mode=False)
    except UsageError as error:
        print_error(redact_text(usage_line(error)))
        sys.exit(MISCONFIGURED)
    except typer.Abort:  # Ctrl-C, or the end of the input, where a question was asked
        print_error("ended before the question was answered")
        sys.exit(INTERRUPTED)
    except XclipStreamError as error:
        if debugging():
            raise
        print_error(error)
        sys.exit(exit_code_of(error))
    # The top of the program: a defect shall be told in a line too, with the way to its traceback.
    except Exception as error:
        if debugging():
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            print_error(f"{error.filename or 'the output'}: no space is left on the device")
            sys.exit(FAILED)
        print_error(redact_text(f"{type(error).__name__}: {error}".replace("\n", " ")))
        print_error(f"this is a defect of xclip-stream; set {DEBUG_VARIABLE}=1 to see where it happened")
        sys.exit(FAILED)
    sys.exit(code)
