"""`xclip-stream dead-letters`: what was given up, and what shall become of it."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from xclip_stream.cli.connection import queue_for
from xclip_stream.cli.fitting_table import FittingTable
from xclip_stream.cli.options import ConfigFile, Namespace, RedisUrl
from xclip_stream.cli.output import emit, table_console
from xclip_stream.errors import QueueError, XclipStreamError
from xclip_stream.exits import FAILED, print_error
from xclip_stream.protocols import DeadLetters
from xclip_stream.types import DeadLetter

MAX_LETTERS = 100_000

dead_letters = typer.Typer(
    name="dead-letters",
    help="Look at windows and messages that were given up.",
    no_args_is_help=True,
    add_completion=False,
)
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids, as `list` prints them.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@dead_letters.command("list")
def list_letters(
    config: ConfigFile = None,
    redis: RedisUrl = None,
    namespace: Namespace = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """List what was given up, the oldest first, with the reason.

    [bold]Examples[/bold]

      xclip-stream dead-letters list --config site.yaml
      xclip-stream dead-letters list --config site.yaml --json | jq .reason
    """
    with queue_for(config, redis, namespace=namespace) as queue:
        letters = queue.list_dead(max_count=MAX_LETTERS)
    if as_json:
        for letter in letters:
            emit(json.dumps(_plain(letter), ensure_ascii=False))
    elif letters:
        table_console().print(_table(letters))
    else:
        emit("no dead letters")


@dead_letters.command()
def replay(
    ids: Ids = None,
    config: ConfigFile = None,
    redis: RedisUrl = None,
    namespace: Namespace = "main",
    everything: All = False,
) -> None:
    """Put dead letters back where they died, to be tried again.

    A message is delivered after those that overtook it. The scores of a window come too late to make events: its place
    in the order has passed. Replaying one shows whether it can be scored now.

    [bold]Examples[/bold]

      xclip-stream dead-letters replay 1718000000000-0 --config site.yaml
      xclip-stream dead-letters replay --all --config site.yaml
    """
    with queue_for(config, redis, namespace=namespace) as queue:
        _each(queue, ids, everything=everything, act=queue.replay_dead, done="replayed")


@dead_letters.command()
def drop(
    ids: Ids = None,
    config: ConfigFile = None,
    redis: RedisUrl = None,
    namespace: Namespace = "main",
    everything: All = False,
) -> None:
    """Forget dead letters.

    [bold]Examples[/bold]

      xclip-stream dead-letters drop 1718000000000-0 --config site.yaml
      xclip-stream dead-letters drop --all --redis redis://queue:6379
    """
    with queue_for(config, redis, namespace=namespace) as queue:
        _each(queue, ids, everything=everything, act=queue.drop_dead, done="dropped")


def _each(
    queue: DeadLetters, ids: Sequence[str] | None, *, everything: bool, act: Callable[[str], bool], done: str
) -> None:
    """Do something with each letter that was asked for; exit code 1 when one of them is not there or refuses."""
    if bool(ids) == everything:
        raise typer.BadParameter("give ids, or --all")
    wanted = [letter.id for letter in queue.list_dead(max_count=MAX_LETTERS)] if everything else list(ids or ())
    failures = [failure for letter_id in wanted if (failure := _failure(act, letter_id)) is not None]
    emit(f"{len(wanted) - len(failures)} {done}")
    for failure in failures:
        print_error(failure)
    if failures:
        raise typer.Exit(FAILED)


def _failure(act: Callable[[str], bool], letter_id: str) -> XclipStreamError | str | None:
    try:
        return None if act(letter_id) else f"there is no dead letter {letter_id}"
    except QueueError as error:
        return error


def _plain(letter: DeadLetter) -> dict[str, str | int]:
    return {
        "id": letter.id,
        "origin": letter.origin,
        "subject": letter.subject,
        "reason": letter.reason,
        "deliveries": letter.deliveries,
        "died_at": datetime.fromtimestamp(letter.died_at, UTC).isoformat(timespec="seconds"),
        "bytes": len(letter.payload),
    }


def _table(letters: Sequence[DeadLetter]) -> FittingTable:
    table = FittingTable("id", "died at", "origin", "subject", "deliveries", "reason")
    for letter in letters:
        plain = _plain(letter)
        cells = (plain[key] for key in ("id", "died_at", "origin", "subject", "deliveries", "reason"))
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
