"""`xclip-stream events`: the public event stream, as a consumer reads it."""

from collections.abc import Iterator
from typing import Annotated

import typer

from xclip_stream.cli.connection import NOT_RUNNING, queue_for
from xclip_stream.cli.options import ConfigFile, Namespace, RedisUrl
from xclip_stream.cli.output import emit
from xclip_stream.errors import DecodeError
from xclip_stream.events import is_entry_id, parse_event
from xclip_stream.protocols import EventLog
from xclip_stream.sinks.wording import event_line

OLDEST = "0"
BLOCK_S = 1.0
PAGE = 200
NOT_RUNNING_TO_FOLLOW = f"{NOT_RUNNING}; --no-follow prints what is retained"

events = typer.Typer(name="events", help="Read the public event stream.", no_args_is_help=True, add_completion=False)


@events.callback()
def _group() -> None:
    """Read the public event stream."""


@events.command()
def tail(
    config: ConfigFile = None,
    redis: RedisUrl = None,
    namespace: Namespace = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as CloudEvents JSON.")] = False,
    after: Annotated[
        str | None, typer.Option("--from", metavar="ID", help="Print what came after this id; 0 for all there is.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Wait for new events, or end after the newest.")] = True,
) -> None:
    """Print events as they happen.

    Without [bold]--from[/bold] it begins with the next event, or with --no-follow prints all that are retained.

    [bold]Examples[/bold]

      xclip-stream events tail --config site.yaml
      xclip-stream events tail --config site.yaml --from 0 --no-follow
      xclip-stream events tail --redis redis://queue --json | jq .data.rule_id
    """
    if after is not None and not is_entry_id(after):
        raise typer.BadParameter("--from takes an id, such as 1718000000000-0")
    with queue_for(config, redis, namespace=namespace, not_running=NOT_RUNNING_TO_FOLLOW if follow else None) as queue:
        start = after or (queue.last_event_id() if follow else OLDEST)
        for body in _read(queue, after_id=start, follow=follow):
            emit(body.decode() if as_json else _line(body))


def _read(log: EventLog, *, after_id: str, follow: bool) -> Iterator[bytes]:
    while True:
        page = log.read_events(after_id=after_id, max_count=PAGE, block_s=BLOCK_S if follow else 0.0)
        for event_id, body in page:
            after_id = event_id
            yield body
        if not page and not follow:
            return


def _line(body: bytes) -> str:
    try:
        return event_line(parse_event(body))
    except DecodeError as error:
        return f"(an event that this version cannot read: {error})"
