"""Which Redis a command talks to: one that was named, or the embedded one of a configuration."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.main import REDIS_URL_VARIABLE, redis_url_of_environment
from xclip_stream.config import Config, load_config
from xclip_stream.errors import ConfigError, QueueError
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.queues.server import EmbeddedRedis

NOT_RUNNING = "nothing runs with this configuration now"


def state_dir(config: Config, config_path: Path) -> Path:
    """Return the folder in which the embedded Redis of a configuration file keeps its data.

    Raises:
        ConfigError: the configuration names none, and the user has no home folder.
    """
    if config.redis.dir is not None:
        return config.redis.dir
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        raise ConfigError("this user has no home folder: set redis.dir in the configuration, or HOME") from None
    path = config_path.resolve()
    mark = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return home / "xclip-stream" / f"{path.stem}-{mark}"


class OwnRedis:
    """The embedded Redis of one run: nobody else's, and started again when it dies.

    Entering raises QueueError where another process works in the same folder already.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server = EmbeddedRedis(directory)

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        if self._server.joined:
            raise QueueError(
                f"another xclip-stream works in {self._directory} already: a run of the same configuration, or "
                "`dashboard`, `events tail` or the like"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def revive(self) -> None:
        """Start the server again on what it has written; to be called when it does not answer any more.

        Raises:
            QueueError: it cannot be started.
        """
        self._server.__exit__(None, None, None)
        self._server = EmbeddedRedis(self._directory)
        self._server.__enter__()


class NamedRedis:
    """A Redis that somebody else looks after."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def revive(self) -> None:
        """Leave it to those who look after it."""


def redis_of_run(config: Config, config_path: Path) -> OwnRedis | NamedRedis:
    """Return the Redis that a run works on: the one that was named, else one of its own."""
    url = _named_url(config)
    return OwnRedis(state_dir(config, config_path)) if url is None else NamedRedis(url)


@contextmanager
def queue_for(
    config_path: Path | None, redis_url: str | None, *, namespace: str, not_running: str | None = None
) -> Iterator[RedisQueue]:
    """Yield the queue that a command line asks for: by `--config`, by `--redis`, or by the environment.

    The embedded Redis of a configuration is started for as long as this lasts, unless it runs; where
    `not_running` is given it has to run, and that is what is said otherwise.

    Raises:
        ConfigError: the command line does not say which.
        XclipStreamError: the queue cannot be reached.
    """
    redis_url = redis_url or (None if config_path else redis_url_of_environment())
    max_bytes = None
    with ExitStack() as stack:
        if redis_url is None:
            if config_path is None:
                raise ConfigError(f"which queue? give --config FILE or --redis URL, or set {REDIS_URL_VARIABLE}")
            config = load_config(config_path)
            namespace, max_bytes = config.redis.namespace, config.queue.max_bytes
            redis_url = stack.enter_context(redis_of(config, config_path, not_running=not_running))
        queue = stack.enter_context(open_queue(redis_url, namespace=namespace, max_bytes=max_bytes))
        queue.ping()
        yield queue


@contextmanager
def redis_of(config: Config, config_path: Path, *, not_running: str | None = None) -> Iterator[str]:
    """Yield the URL of the Redis that a configuration works on, started as `queue_for` starts it.

    Raises:
        QueueError: nothing was run with this configuration yet, or nothing runs now and has to.
    """
    with ExitStack() as stack:
        yield _named_url(config) or _join(stack, state_dir(config, config_path), not_running=not_running)


def _named_url(config: Config) -> str | None:
    return config.redis.address(instead=redis_url_of_environment())


def _join(stack: ExitStack, directory: Path, *, not_running: str | None) -> str:
    server = EmbeddedRedis(directory)
    if not directory.is_dir():
        raise QueueError(f"nothing was run with this configuration yet: {directory} is not there")
    stack.enter_context(server)
    if not_running is not None and not server.joined:
        raise QueueError(not_running)
    return server.url
