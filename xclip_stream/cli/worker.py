"""`xclip-stream worker`: one of the workers, as the supervisor and the containers start them."""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from workers.main import HEALTH_VARIABLE, LISTEN_VARIABLE, Role, RunWorker, serve
from xclip_stream.cli.options import LogLevel


def worker(
    role: Annotated[Role, typer.Argument(help="Which of them.")],
    config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="The configuration file.")],
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to log.")] = LogLevel.INFO,
    health: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", envvar=HEALTH_VARIABLE, help="Serve /healthz, /readyz and /metrics there."),
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where `web` serves, instead of web.listen.")
    ] = None,
) -> None:
    """Run one worker against the Redis of the configuration.

    Run as many `score` workers as you have GPUs, and as many `ingest` workers as it takes to read the sources, which
    they share. One `alert` and one `deliver` are enough; a second one stands by. `web` serves the dashboard.

    [bold]Examples[/bold]

      xclip-stream worker score --config site.yaml
      xclip-stream worker score --config site.yaml --health 0.0.0.0:8080
      xclip-stream worker web --config site.yaml --listen 127.0.0.1:8080
      XCLIP_STREAM_REDIS_URL=redis://queue xclip-stream worker ingest -c site.yaml
    """
    if listen is not None:
        if role is not Role.WEB:
            raise typer.BadParameter("is for the worker web", param_hint="--listen")
        os.environ[LISTEN_VARIABLE] = listen
    run: RunWorker = import_module(f"workers.{role}").run
    raise typer.Exit(serve(role, run, config_path=config, log_level=log_level, health=health))
