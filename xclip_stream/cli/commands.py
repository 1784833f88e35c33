"""The commands by name. The module of one is imported when it is called: `--help` does not wait for all of them."""

import inspect
import re
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

MARKUP: Final = "rich"

COMMANDS = {
    "init": "Write a configuration for your cameras: asks for them, tests them, and asks what to look for.",
    "run": "Watch the sources of a configuration: all workers, with an embedded Redis where it names none.",
    "watch": "Watch one file or camera for actions described in plain words. Each prompt gives events of its own.",
    "dashboard": "Look at what a run has told: its dashboard, when the run is over.",
    "check": "Find every mistake of a configuration, with line and column; exit code 2 when there is one.",
    "probe": "Test a source: what it is, how steadily it comes, and what should be changed in the camera.",
    "discover": "Find cameras in this network that speak ONVIF, and with --user the addresses of their streams.",
    "quantize": (
        "Make the model several times faster on a CPU, in eight bits, if it says the same about your own recordings."
    ),
    "worker": "Run one worker against the Redis of the configuration.",
    "status": "Show sources, queues, workers and what needs attention, as Redis knows them.",
    "exporter": (
        "Serve what Redis knows of a running system to Prometheus: queues, ages, outboxes, dead letters, sources."
    ),
    "forget": "Remove from Redis what sources and sinks have left that are no longer in the configuration.",
    "events": "Read the public event stream.",
    "dead-letters": "Look at windows and messages that were given up.",
}
"""What the list of the commands says of each: the first paragraph of its help."""


class CommandGroup(TyperGroup):
    """Lists commands by their summaries, and loads the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, None if found is None else load_command(str(name)), rest


def list_commands(app: typer.Typer) -> None:
    """Let `app`, whose class is CommandGroup, know the commands."""

    def is_loaded_when_called() -> None:
        """Stands in the list for a command."""

    for name, summary in COMMANDS.items():
        app.command(name, help=summary)(is_loaded_when_called)


def load_command(name: str) -> Any:
    """Import the command or the group of commands of this name, and return it as typer's own kind of command."""
    attribute = name.replace("-", "_")
    found = getattr(import_module(f"xclip_stream.cli.{attribute}"), attribute)
    if isinstance(found, typer.Typer):
        app = found
    else:
        app = typer.Typer(rich_markup_mode=MARKUP, add_completion=False)
        app.command()(found)
    for command in app.registered_commands:
        command.help = flowing(inspect.getdoc(command.callback) or "")
    return get_command(app)


def flowing(text: str) -> str:
    """Return a docstring whose paragraphs fill the terminal; lines that are set off, as those of examples, stay."""
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(part if part.startswith("  ") else " ".join(part.split()) for part in paragraphs)
