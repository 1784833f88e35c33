"""`xclip-stream watch`: one source and a few prompts, without a configuration file."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from xclip_stream.cli.ids import rule_ids, source_name
from xclip_stream.cli.options import LogLevel
from xclip_stream.cli.run import DrainTimeout
from xclip_stream.cli.run_folder import run_folder
from xclip_stream.cli.running import run_config
from xclip_stream.config import Config, literal, load_config
from xclip_stream.errors import ConfigError
from xclip_stream.network_url import lacks_scheme

_PLACE = re.compile(r"^.*?:\d+:\d+: ", re.MULTILINE)
_OPTIONS = {
    "sources[0].url": "SOURCE",
    "sources[0].window.span_s": "--span",
    "sources[0].window.stride_s": "--stride",
    "model.checkpoint": "--checkpoint",
    "model.device": "--device",
}
_RULE_OPTIONS = {"prompts": "PROMPT", "background": "--background", "enter": "--enter", "exit": "--exit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What the command line asks for: the arguments and options of `watch`."""

    source: str
    prompts: Sequence[str]
    background: Sequence[str]
    enter: float
    exit: float | None
    span_s: float
    stride_s: float
    checkpoint: str | None
    device: str
    as_json: bool


def watch(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A video file; an rtsp, rtsps, http or https URL; or /dev/video0.")
    ],
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT", help="What to look for, in plain words.")],
    *,
    background: Annotated[
        list[str] | None,
        typer.Option(
            "--background",
            "-b",
            metavar="PROMPT",
            help="What is ordinary here; may be given more than once, also group:street, group:indoors, …",
        ),
    ] = None,
    enter: Annotated[float, typer.Option(help="The score at which an event starts, 0 to 1.")] = 0.6,
    leave: Annotated[
        float | None,
        typer.Option("--exit", help="The score below which it ends.", show_default="2/3 of --enter"),
    ] = None,
    span: Annotated[float, typer.Option(metavar="SECONDS", help="How much time a window covers.")] = 4.0,
    stride: Annotated[float, typer.Option(metavar="SECONDS", help="The time between two windows.")] = 1.0,
    checkpoint: Annotated[
        str | None, typer.Option(help="`demo`, a folder or a hub id.", show_default="microsoft/xclip-base-patch32")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print events as CloudEvents JSON, one a line.")] = False,
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to log.")] = LogLevel.INFO,
    drain_timeout: DrainTimeout = 30.0,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="How long a camera may take to give its first frame.")
    ] = 30.0,
) -> None:
    """Watch one file or camera for actions described in plain words. Each prompt gives events of its own.

    A camera that gives no first frame is given up; one that is lost later is connected to again.

    [bold]Examples[/bold]

      xclip-stream watch yard.mp4 "a person climbing a fence" -b "an empty yard"
      xclip-stream watch rtsp://me:secret@10.0.0.5/s1 "a fight" -b group:street
      xclip-stream watch demo.mp4 "a person falling down" --checkpoint demo --json
    """
    options = WatchOptions(
        source=source,
        prompts=prompts,
        background=background or (),
        enter=enter,
        exit=leave,
        span_s=span,
        stride_s=stride,
        checkpoint=checkpoint,
        device=device,
        as_json=as_json,
    )
    with run_folder() as folder:
        path = write_config(options, folder)
        loaded = load_written(path)
        code = run_config(
            loaded, path, again=False, log_level=log_level, drain_timeout_s=drain_timeout, patience_s=patience
        )
    raise typer.Exit(code)


def write_config(options: WatchOptions, folder: Path) -> Path:
    """Write the configuration that the workers read; for its owner alone, since the URL may have a password."""
    path = folder / "watch.yaml"
    text = yaml.safe_dump(_escaped(config_values(options)), allow_unicode=True, sort_keys=False)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def load_written(path: Path) -> Config:
    """Load what `write_config` wrote.

    Raises:
        ConfigError: in terms of the command line, since the user never saw the file.
    """
    try:
        return load_config(path)
    except ConfigError as error:
        lines = dict.fromkeys(_as_option(line) for line in _PLACE.sub("", str(error)).splitlines())
        raise ConfigError("\n".join(lines)) from None


def config_values(options: WatchOptions) -> dict[str, Any]:
    """Return the configuration of a command line: a rule for each prompt, and the console."""
    # `group:x` alone is a background too; no background at all means the built-in default.
    background = {"background": list(options.background)} if options.background else {}
    rules = [
        {"id": rule_id, "prompts": [prompt], "enter": options.enter, **_leave(options), **background}
        for rule_id, prompt in zip(rule_ids(options.prompts), options.prompts, strict=True)
    ]
    # What begins with ~ is replaced when the configuration is read, and an address without a scheme is refused.
    is_as_meant = "://" in options.source or options.source.startswith("~") or lacks_scheme(options.source)
    source = options.source if is_as_meant else str(Path(options.source).absolute())
    window = {"span_s": options.span_s, "stride_s": options.stride_s}
    return {
        "model": {"device": options.device, **_checkpoint(options.checkpoint)},
        "redis": {"dir": "redis"},
        "sources": [{"id": source_name(options.source), "url": source, "window": window}],
        "rules": rules,
        "sinks": [{"id": "console", "type": "console", "format": "json" if options.as_json else "text"}],
    }


def _leave(options: WatchOptions) -> dict[str, float]:
    """Return `exit`; without it where there is none, so that only `enter` is complained of."""
    if options.exit is not None:
        return {"exit": options.exit}
    return {"exit": round(options.enter * 2 / 3, 4)} if 0 < options.enter <= 1 else {}


def _checkpoint(name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    folder = Path(name)
    is_path = folder.is_dir() or name.startswith(".")
    return {"checkpoint": str(folder.absolute()) if is_path else name}


def _escaped(value: Any) -> Any:
    """Keep a `${` of the command line from being taken for a reference: the shell has replaced what was one."""
    match value:
        case str():
            return literal(value)
        case dict():
            return {key: _escaped(item) for key, item in value.items()}
        case list():
            return [_escaped(item) for item in value]
    return value


def _as_option(line: str) -> str:
    key, separator, text = line.partition(": ")
    rule_key = re.sub(r"^rules\[\d+\]\.(\w+).*$", r"\1", key)
    return f"{_OPTIONS.get(key) or _RULE_OPTIONS.get(rule_key, key)}{separator}{text}"
