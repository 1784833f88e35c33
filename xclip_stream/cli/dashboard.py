"""`xclip-stream dashboard`: the pages of a configuration, without the workers that fill them."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.main import LISTEN_VARIABLE, REDIS_URL_VARIABLE, serve
from xclip_stream.cli.connection import redis_of
from xclip_stream.cli.options import LogLevel
from xclip_stream.cli.run_dashboard import choose_address
from xclip_stream.config import literal, load_config
from xclip_stream.web.address import address_url, bound


def dashboard(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")],
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where it is served, instead of web.listen.")
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to log.")] = LogLevel.WARNING,
) -> None:
    """Look at what a run has told: its dashboard, when the run is over.

    It is served until Ctrl-C, and nothing is watched meanwhile. Events, their pictures and clips, and the scores are
    those that the run has left; while a run of this configuration goes on, its own dashboard shows the same.

    [bold]Examples[/bold]

      xclip-stream dashboard recordings.yaml
      xclip-stream dashboard recordings.yaml --listen 127.0.0.1:9000
    """
    from workers.web import place_of, run  # noqa: PLC0415  # no other command needs the server

    loaded = load_config(config)
    address = os.environ[LISTEN_VARIABLE] = listen or choose_address(loaded.web)
    with bound(*place_of(loaded.web)):
        pass  # what is wrong with it is told before a log begins
    with redis_of(loaded, config) as redis_url:
        os.environ[REDIS_URL_VARIABLE] = literal(redis_url)
        sys.stderr.write(f"dashboard: {address_url(address)}#/events\n")
        raise typer.Exit(serve("web", run, config_path=config, log_level=log_level))
