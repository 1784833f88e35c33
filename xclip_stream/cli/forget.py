"""`xclip-stream forget`: what sources and sinks that were removed have left in Redis."""

from collections.abc import Sequence
from typing import Annotated

import typer

from xclip_stream.cli.connection import queue_for
from xclip_stream.cli.options import ConfigFile, Namespace, RedisUrl
from xclip_stream.cli.output import emit
from xclip_stream.config import load_config
from xclip_stream.errors import QueueError
from xclip_stream.exits import FAILED, print_error
from xclip_stream.protocols import Overview


def forget(
    source: Annotated[list[str] | None, typer.Option("--source", metavar="ID", help="A source; repeatable.")] = None,
    sink: Annotated[list[str] | None, typer.Option("--sink", metavar="ID", help="A sink; repeatable.")] = None,
    config: ConfigFile = None,
    redis: RedisUrl = None,
    namespace: Namespace = "main",
) -> None:
    """Remove from Redis what sources and sinks have left that are no longer in the configuration.

    Of a source that is its state, its scores and its history; of a sink, the messages that wait for it. Events on the
    public stream stay. What is in the configuration, is being read or delivered, or has open events, is kept, with
    exit code 1 and a line that says why.

    [bold]Examples[/bold]

      xclip-stream forget --source old-yard --config site.yaml
      xclip-stream forget --sink pager --sink mail --redis redis://queue:6379
    """
    if not source and not sink:
        raise typer.BadParameter("give --source ID or --sink ID")
    known = None if config is None else load_config(config)
    source_ids = [] if known is None else [each.id for each in known.sources]
    sink_ids = [] if known is None else [each.id for each in known.sinks]
    with queue_for(config, redis, namespace=namespace) as queue:
        refusals = [
            *(refusal for name in source or () if (refusal := _forget_source(queue, name, source_ids))),
            *(refusal for name in sink or () if (refusal := _forget_sink(queue, name, sink_ids))),
        ]
    for refusal in refusals:
        print_error(refusal)
    if refusals:
        raise typer.Exit(FAILED)


def _forget_source(queue: Overview, name: str, configured: Sequence[str]) -> str | None:
    """Forget a source; return why it is kept, if it is."""
    rules = queue.rule_statuses().get(name)
    lease = queue.inspect().leases.get(f"source:{name}")
    if name in configured:
        return f"source {name}: it is in the configuration"
    if lease is not None:
        return f"source {name}: {lease.holder} reads it"
    if rules is not None and rules.open_events:
        return f"source {name}: events are open: {rules.open_events}; they end when the workers run without it"
    if rules is None and name not in queue.source_statuses():
        return f"source {name}: there is nothing of it"
    queue.forget_source(name)
    emit(f"source {name}: forgotten")
    return None


def _forget_sink(queue: Overview, name: str, configured: Sequence[str]) -> str | None:
    """Forget what waits for a sink; return why it is kept, if it is."""
    if name in configured:
        return f"sink {name}: it is in the configuration"
    try:
        count = queue.forget_sink(name)
    except QueueError as error:
        return str(error)
    emit(f"sink {name}: messages that were dropped: {count}")
    return None
