"""Structured logs on standard error: for people on a terminal, JSON lines otherwise, and never a secret."""

import logging
import os
import sys
from collections.abc import Iterable
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from xclip_stream.errors import ConfigError
from xclip_stream.redaction import redact_text

Style = Literal["json", "pretty"]

STYLE_VARIABLE = "XCLIP_STREAM_LOG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MIN_SECRET_CHARS = 4
"""A shorter secret is not searched for in other text: it would blacken half of every line."""

_CHATTY_LIBRARIES = ("httpx", "httpcore", "urllib3", "huggingface_hub", "filelock", "asyncio", "uvicorn")


def set_up_logging(
    *, worker: str, level: str = "info", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> FilteringBoundLogger:
    """Send structlog and the standard library's logging to `stream` (standard error) and return a logger.

    Every line has a UTC time, the level, the worker and its pid. URLs lose user, password and query wherever they
    stand, and each of `secrets` is masked.

    Raises:
        ConfigError: the environment variable XCLIP_STREAM_LOG is neither json nor pretty.
    """
    stream = stream or sys.stderr
    style = chosen_style(stream)
    _redaction.forget()
    _redaction.hide(secrets)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Origin(worker),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _redaction,
    ]
    renderer = make_renderer(style, stream)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    _route_standard_library(shared, renderer, level=LEVELS[level], stream=stream)
    return cast(FilteringBoundLogger, structlog.get_logger())


def hide_secrets(secrets: Iterable[str]) -> None:
    """Mask these too from now on, in every line of this process."""
    _redaction.hide(secrets)


def hidden(text: str) -> str:
    """Return `text` as it would stand in a line of the log: without a secret."""
    return _redaction.text(text)


def chosen_style(stream: TextIO) -> Style:
    """Return the style that the environment asks for, else what suits the stream."""
    asked = os.environ.get(STYLE_VARIABLE, "")
    if asked in {"json", "pretty"}:
        return cast(Style, asked)
    if asked:
        raise ConfigError(f"the environment variable {STYLE_VARIABLE} must be json or pretty")
    return "pretty" if stream.isatty() else "json"


def make_renderer(style: Style, stream: TextIO) -> Processor:
    """Return the last processor of a style."""
    if style == "json":
        return structlog.processors.JSONRenderer(default=str)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
    )


class _Origin:
    """Adds who speaks. The pid is asked for each time: a process may have forked since."""

    def __init__(self, worker: str) -> None:
        self._worker = worker

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        event.setdefault("worker", self._worker)
        event.setdefault("pid", os.getpid())
        return event


class Redaction:
    """Masks URLs' secrets and known secret values in every text of a log line."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self.hide(secrets)

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {key: self._clean(value) for key, value in event.items()}

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these as well."""
        found = {*self._secrets, *(text for text in secrets if len(text) >= MIN_SECRET_CHARS)}
        self._secrets = sorted(found, key=len, reverse=True)

    def forget(self) -> None:
        """Mask no values any more, only what is secret in URLs."""
        self._secrets = []

    def _clean(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case dict():
                return {str(key): self._clean(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._clean(item) for item in value]
        return self.text(str(value))

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redact_text(text)


_redaction = Redaction()
"""The one in use: shared by all loggers, so that a secret that comes later is hidden by those that exist already."""


def _route_standard_library(shared: list[Processor], renderer: Processor, *, level: int, stream: TextIO) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
