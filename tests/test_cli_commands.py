"""The list of the commands: at once, since none of them is imported for it, and true to what each says of itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from xclip_stream.cli.commands import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[1]
HELP = """\
import sys
from xclip_stream.cli import main
sys.argv = ["xclip-stream", "--help"]
try:
    main()
finally:
    sys.stderr.write(" ".join(sys.modules))
"""
OURS = {
    "",
    ".cli",
    ".cli.app",
    ".cli.commands",
    ".cli.standard_streams",
    ".cli.usage",
    ".errors",
    ".exits",
    ".redaction",
}
HEAVY = {"numpy", "torch", "av", "PIL", "redis", "pydantic", "yaml", "httpx", "structlog", "prometheus_client"}


def test_help_imports_no_command_and_nothing_that_one_needs() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True, cwd=ROOT)

    loaded = set(done.stderr.split())
    assert "dead-letters" in done.stdout
    assert {name for name in loaded if name.split(".")[0] == "xclip_stream"} == {f"xclip_stream{name}" for name in OURS}
    assert loaded & (HEAVY | {"asyncio", "opentelemetry", "workers"}) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says_first(name: str) -> None:
    assert load_command(name).help.split("\n\n")[0] == COMMANDS[name]
