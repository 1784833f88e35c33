"""The command line `xclip-stream`: one file a command."""

import sys

from xclip_stream.exits import INTERRUPTED

__all__ = ["main"]


def main() -> None:
    """Load the program and run it. Ctrl-C may come while it is loaded, too."""
    try:
        from xclip_stream.cli.app import main as run_command_line  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run_command_line()
