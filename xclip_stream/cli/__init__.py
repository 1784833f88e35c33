"""The command line `xclip-stream`: one file a command."""

from xclip_stream.cli.app import main

__all__ = ["main"]
