"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LogLevel(StrEnum):
    """How important a log line must be."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration file of the running system.")
]
RedisUrl = Annotated[
    str | None, typer.Option("--redis", metavar="URL", help="The Redis itself, instead of a configuration file.")
]
Namespace = Annotated[str, typer.Option(help="With --redis: the namespace of the queue.")]
