"""`xclip-stream check`: say everything that is wrong with a configuration, or show what it means."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from xclip_stream.cli.fitting_table import FittingTable
from xclip_stream.cli.output import emit, table_console
from xclip_stream.config import Config, RuleConfig, check_geometry, load_config
from xclip_stream.model import clip_geometry
from xclip_stream.model.locate import is_at_hand
from xclip_stream.sinks.extras import missing_extra


def check(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Find every mistake of a configuration, with line and column; exit code 2 when there is one.

    Nothing is started or connected. Secrets are read, so that a missing one is found, and never shown.

    [bold]Examples[/bold]

      xclip-stream check site.yaml
      xclip-stream check site.yaml --json | jq .rules
    """
    loaded = load_config(config)
    _check_windows(loaded)
    notes = list(_notes(loaded))
    if as_json:
        emit(json.dumps({**_plain(loaded), "notes": notes}, indent=2, ensure_ascii=False))
        return
    table_console().print(Group(_sources(loaded), _rules(loaded), _sinks(loaded)))
    for note in notes:
        emit(f"note: {note}")
    emit(f"{config}: ok")


def _check_windows(config: Config) -> None:
    """Check the strides where the number of frames can be told without a network."""
    checkpoint, revision = config.model.checkpoint, config.model.revision
    if Path(checkpoint).is_absolute() or is_at_hand(checkpoint, revision=revision):
        check_geometry(config, clip_geometry(checkpoint, revision=revision).num_frames)


def _notes(config: Config) -> Iterator[str]:
    """Yield what is allowed and yet seldom meant."""
    for source in config.sources:
        if not config.rules_of(source.id):
            yield f"no rule watches source {source.id}"
        if not source.live and not Path(source.url.get_secret_value()).is_file():
            yield f"source {source.id}: there is no file {source.shown_url} now"
    for sink in config.sinks:
        if problem := missing_extra(sink.type):
            yield f"sink {sink.id}: {problem}"
    if not config.sinks:
        yield "there is no sink: events are on the public event stream only"


def _sources(config: Config) -> FittingTable:
    table = FittingTable("source", "url", "span / stride", "regions", "rules", title="Sources")
    for source in config.sources:
        window = f"{source.window.span_s:g} s / {source.window.stride_s:g} s"
        rules = ", ".join(rule.id for rule in config.rules_of(source.id)) or "–"
        table.add_row(*map(Text, (source.id, source.shown_url, window, ", ".join(source.regions) or "–", rules)))
    return table


def _rules(config: Config) -> FittingTable:
    columns = ("rule", "prompts", "background", "enter / exit", "awake", "severity", "sinks")
    table = FittingTable(*columns, title="Rules")
    for rule in config.rules:
        levels = f"{rule.enter:g} / {rule.exit:g}"
        sinks = ", ".join(config.sinks_of(rule)) or "–"
        background = f"{len(rule.background)} prompts"
        row = (rule.id, "\n".join(rule.prompts), background, levels, _awake(rule), rule.severity, sinks)
        table.add_row(*map(Text, row))
    return table


def _awake(rule: RuleConfig) -> str:
    if rule.schedule is None:
        return "always"
    schedule = rule.schedule
    days = schedule.days if isinstance(schedule.days, str) else ",".join(schedule.days)
    return f"{days} {schedule.opens}–{schedule.closes} {schedule.timezone}"


def _sinks(config: Config) -> FittingTable:
    table = FittingTable("sink", "type", "where", title="Sinks")
    for sink in config.sinks:
        table.add_row(*map(Text, (sink.id, sink.type, sink.place)))
    return table


def _plain(config: Config) -> dict[str, Any]:
    """Return the configuration as JSON values, secrets masked and URLs redacted."""
    plain = config.model_dump(mode="json", by_alias=True)
    for source, shown in zip(config.sources, plain["sources"], strict=True):
        shown["url"] = source.shown_url
    for sink, shown in zip(config.sinks, plain["sinks"], strict=True):
        if sink.type == "webhook":
            shown["url"] = sink.place
    return {**plain, "config_hash": config.config_hash}
