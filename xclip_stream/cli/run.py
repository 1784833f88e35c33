"""`xclip-stream run`: everything that a configuration describes, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from xclip_stream.cli.options import LogLevel
from xclip_stream.cli.running import run_config
from xclip_stream.config import load_config
from xclip_stream.sinks.extras import require_extras

DrainTimeout = Annotated[
    float, typer.Option("--drain-timeout", min=0.0, metavar="SECONDS", help="How long Ctrl-C lets the rest flow out.")
]


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")],
    again: Annotated[bool, typer.Option("--again", help="Play files from their start, also unfinished ones.")] = False,
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to log.")] = LogLevel.INFO,
    drain_timeout: DrainTimeout = 30.0,
    web: Annotated[bool, typer.Option("--web/--no-web", help="Serve the dashboard on this machine.")] = True,
) -> None:
    """Watch the sources of a configuration: all workers, with an embedded Redis where it names none.

    With files alone it ends when all is delivered; cameras are watched until Ctrl-C, which lets what is under way flow
    out. A second Ctrl-C ends at once. A file that was watched to its end before is played again, an unfinished one
    goes on. Exit code 1 when a source could not be read or something went to the dead letters.

    [bold]Examples[/bold]

      xclip-stream run site.yaml
      xclip-stream run recordings.yaml --again
    """
    loaded = load_config(config)
    require_extras({sink.id: sink.type for sink in loaded.sinks})
    raise typer.Exit(
        run_config(loaded, config, again=again, log_level=log_level, drain_timeout_s=drain_timeout, web=web)
    )
