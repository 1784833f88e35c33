"""The program as a user starts it: a process of its own, with its own state folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = (sys.executable, "-P", "-c", "from xclip_stream.cli import main; main()")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nothing of this machine's user takes part."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XCLIP_STREAM_")}
    folders = {"XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache")}
    return {**kept, **folders, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **more}


def start(*arguments: str, home: Path, **more: str) -> subprocess.Popen[str]:
    """Start the program in the folder `home`."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(home, **more),
    )


def run(*arguments: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    process = start(*arguments, home=home, **more)
    output, errors = process.communicate(timeout=240)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)
