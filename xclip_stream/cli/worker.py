"""`xclip-stream worker`: one of the four workers, as the supervisor and the containers start them."""

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from xclip_stream.cli.options import LogLevel
from xclip_stream.worker_main import HEALTH_VARIABLE, RunWorker, serve


class Role(StrEnum):
    """The four workers."""

    INGEST = "ingest"
    SCORE = "score"
    ALERT = "alert"
    DELIVER = "deliver"


def worker(
    role: Annotated[Role, typer.Argument(help="Which of the four.")],
    config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration file.")],
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to log.")] = LogLevel.INFO,
    health: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", envvar=HEALTH_VARIABLE, help="Serve /healthz, /readyz and /metrics there."),
    ] = None,
) -> None:
    """Run one worker against the Redis of the configuration.

    Run one `ingest`, one `alert` (others stand by) and one `deliver`, and as many `score` workers as you have GPUs.

    [bold]Examples[/bold]

      xclip-stream worker score --config site.yaml
      xclip-stream worker score --config site.yaml --health 0.0.0.0:8080
      XCLIP_STREAM_REDIS_URL=redis://queue:6379 xclip-stream worker ingest -c site.yaml
    """
    run: RunWorker = import_module(f"workers.{role}").run
    raise typer.Exit(serve(role, run, config_path=config, log_level=log_level, health=health))
