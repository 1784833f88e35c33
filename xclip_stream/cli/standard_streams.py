"""The standard streams as the commands need them, whatever the program was started with."""

import io
import os
import sys
from pathlib import Path


def mend_streams() -> None:
    """Lead the standard streams that were closed nowhere, and let the others stand `?` for what they cannot encode."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # for as long as the program runs
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
