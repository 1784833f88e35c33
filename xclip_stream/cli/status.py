"""`xclip-stream status`: the state of a running system, read from its Redis alone."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live

from xclip_stream.cli.connection import NOT_RUNNING, queue_for
from xclip_stream.cli.options import ConfigFile, Namespace, RedisUrl
from xclip_stream.cli.output import emit, table_console
from xclip_stream.cli.status_tables import tables
from xclip_stream.config import load_config
from xclip_stream.errors import QueueUnavailable
from xclip_stream.exits import DONE, FAILED, INTERRUPTED, print_error
from xclip_stream.pipeline.attention import SystemView, concerns, look
from xclip_stream.pipeline.status_json import plain_view

REFRESH_S = 2.0


def status(
    config: ConfigFile = None,
    redis: RedisUrl = None,
    namespace: Namespace = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 seconds, until Ctrl-C.")] = False,
) -> None:
    """Show sources, queues, workers and what needs attention, as Redis knows them.

    Exit code 0: all is well. 1: something needs attention, and a line says what; or Redis does not answer. 2: misuse.
    With [bold]--config[/bold] it also knows which sources and sinks there should be. Ages are by the clock of Redis.

    [bold]Examples[/bold]

      xclip-stream status --config site.yaml
      xclip-stream status --config site.yaml --watch
      xclip-stream status --redis redis://queue:6379 --json | jq .attention
    """
    source_ids, sink_ids = _expected(config)
    with queue_for(config, redis, namespace=namespace, not_running=NOT_RUNNING) as queue:

        def look_once() -> SystemView:
            return look(queue, source_ids=source_ids, sink_ids=sink_ids)

        if watch:
            _watch(look_once, as_json=as_json)
        view = look_once()
    if as_json:
        emit(json.dumps(plain_view(view), indent=2, ensure_ascii=False))
    else:
        table_console().print(tables(view))
    raise typer.Exit(FAILED if concerns(view) else DONE)


def _expected(path: Path | None) -> tuple[Sequence[str] | None, Sequence[str] | None]:
    """Return the ids of the sources and sinks that there should be."""
    if path is None:
        return None, None
    config = load_config(path)
    return config.source_ids, config.sink_ids


def _watch(look_once: Callable[[], SystemView], *, as_json: bool) -> None:
    """Look again and again; an outage of the queue is shown and waited for."""
    try:
        if as_json or not sys.stdout.isatty():
            _watch_lines(look_once, as_json=as_json)
        else:
            _watch_screen(look_once)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _watch_lines(look_once: Callable[[], SystemView], *, as_json: bool) -> None:
    console = table_console()
    while True:
        try:
            view = look_once()
        except QueueUnavailable as error:
            print_error(error)
        else:
            if as_json:
                emit(json.dumps(plain_view(view), ensure_ascii=False))
            else:
                with console.capture() as captured:
                    console.print(tables(view))
                emit(captured.get())
        time.sleep(REFRESH_S)


def _watch_screen(look_once: Callable[[], SystemView]) -> None:
    with Live(console=table_console(), auto_refresh=False, screen=True) as live:
        while True:
            live.update(_shown(look_once), refresh=True)
            time.sleep(REFRESH_S)


def _shown(look_once: Callable[[], SystemView]) -> RenderableType:
    try:
        return tables(look_once())
    except QueueUnavailable as error:
        return f"error: {error}"
