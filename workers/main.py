"""What the `main` of every worker does around its `run`: arguments, logging, signals, and errors as exit codes."""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from xclip_stream import __version__
from xclip_stream.config import Config, ConfigWatch, check_geometry, expand, load_config
from xclip_stream.errors import CheckpointError, ConfigError, HubUnreachable, QueueUnavailable, XclipStreamError
from xclip_stream.exits import DONE, FAILED, MISCONFIGURED, NEEDS_THE_USER, debugging, print_error
from xclip_stream.logs import LEVELS, set_up_logging
from xclip_stream.metrics import expose, process_registry
from xclip_stream.model.checkpoint_files import clip_geometry
from xclip_stream.model.locate import is_at_hand
from xclip_stream.pipeline.lifecycle import StopFlag, die_with_supervisor, stop_on_signals
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.pipeline.watchdog import Watchdog
from xclip_stream.queues.redis import open_queue
from xclip_stream.tracing import Tracing, open_tracing
from xclip_stream.web.health import HealthServer

REDIS_URL_VARIABLE = "XCLIP_STREAM_REDIS_URL"
HEALTH_VARIABLE = "XCLIP_STREAM_HEALTH"
LISTEN_VARIABLE = "XCLIP_STREAM_LISTEN"
"""Where the web worker serves, instead of the configuration's `web.listen`."""
WORKERS_VARIABLE = "XCLIP_STREAM_WORKERS"
"""The folder in which the workers of a run serve; the web worker shows their metrics with its own."""
REACH_WITHIN_S = 15.0


class Role(StrEnum):
    """The four workers that the work flows through, and the dashboard."""

    INGEST = "ingest"
    SCORE = "score"
    ALERT = "alert"
    DELIVER = "deliver"
    WEB = "web"


class RunWorker(Protocol):
    """The `run` of a worker: works until `stop` is set or, where that is possible, until all is done.

    It starts with `config`, looks at `watch` for what changes, lets `vitals` hear of its loops, and counts what
    it does in `registry` and makes spans with `tracing` where there are these.
    """

    def __call__(
        self,
        config: Config,
        *,
        stop: threading.Event,
        redis_url: str,
        watch: ConfigWatch,
        vitals: Vitals,
        registry: CollectorRegistry | None = None,
        tracing: Tracing | None = None,
    ) -> None: ...


def worker_main(name: str, run: RunWorker, arguments: Sequence[str] | None = None) -> int:
    """Run a worker as a program; return its exit code: 0 done or stopped, 1 failed, 2 wrong usage or configuration."""
    parser = argparse.ArgumentParser(
        prog=f"python -m workers.{name}", description=f"The {name} worker of xclip-stream."
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration file")
    parser.add_argument("--log-level", choices=list(LEVELS), default="info")
    parser.add_argument(
        "--health",
        metavar="HOST:PORT",
        default=os.environ.get(HEALTH_VARIABLE),
        help=f"serve /healthz, /readyz and /metrics there (default: {HEALTH_VARIABLE}, else nowhere)",
    )
    options = parser.parse_args(arguments)
    return serve(name, run, config_path=options.config, log_level=options.log_level, health=options.health)


def serve(name: str, run: RunWorker, *, config_path: Path, log_level: str = "info", health: str | None = None) -> int:
    """Run a worker until it is done or asked to stop, and return its exit code.

    Args:
        health: the address of `HealthServer`, where it serves /healthz, /readyz and /metrics; None or an empty text
            for nowhere.
    """
    is_supervised = die_with_supervisor()
    stop, vitals, registry = StopFlag(), Vitals(), None
    with ExitStack() as stack:
        stack.enter_context(stop_on_signals(stop))
        try:
            config = load_config(config_path)
            log = set_up_logging(worker=name, level=log_level, secrets=config.secret_values())
            redis_url = queue_url(config, role=f"the {name} worker")
            if health:
                registry = process_registry(name, version=__version__, is_ready=lambda: vitals.obstacle() is None)
                served = stack.enter_context(
                    HealthServer(health, alive=vitals.silence, ready=vitals.obstacle, metrics=partial(expose, registry))
                )
                log.info("health_served", address=served.address)
        except XclipStreamError as error:
            print_error(error)
            return MISCONFIGURED
        stack.enter_context(Watchdog(vitals.silence))
        watch = ConfigWatch(config_path, config, check=check_windows, quiet=is_supervised)
        tracing = open_tracing(name, version=__version__, log=log)
        if tracing is not None:
            stack.callback(tracing.close)
        work = partial(
            run,
            config,
            stop=stop,
            redis_url=redis_url,
            watch=watch,
            vitals=vitals,
            registry=registry,
            tracing=tracing,
        )
        return _guarded(work, redis_url, stop=stop, config=config, watch=watch, log=log)


def check_windows(config: Config) -> None:
    """Check the strides against the frames of the checkpoint, where it is at hand.

    A checkpoint that cannot be read is told by those who need it.

    Raises:
        ConfigError: one does not fit.
    """
    with suppress(CheckpointError):
        if is_at_hand(config.model.checkpoint, revision=config.model.revision):
            geometry = clip_geometry(config.model.checkpoint, revision=config.model.revision)
            check_geometry(config, geometry.num_frames)


def redis_url_of_environment() -> str | None:
    """Return the URL that the environment names, with the secrets that it refers to; None where it names none.

    Raises:
        ConfigError: it refers to a secret that is not there.
    """
    url = os.environ.get(REDIS_URL_VARIABLE)
    try:
        return url and expand(url)
    except ConfigError as error:
        raise ConfigError(f"{REDIS_URL_VARIABLE}: {error}") from None


def queue_url(config: Config, *, role: str) -> str:
    """Return the URL of the Redis that everybody works on; the environment wins over the configuration.

    Raises:
        ConfigError: neither has one, or it is not one of a Redis.
    """
    url = config.redis.address(instead=redis_url_of_environment())
    if url is None:
        raise ConfigError(
            f"{role} needs a Redis: set redis.url in the configuration, or {REDIS_URL_VARIABLE}; "
            "only `xclip-stream run` and `watch` bring their own"
        )
    return url


def reach_queue(redis_url: str, *, stop: threading.Event, log: FilteringBoundLogger) -> None:
    """Wait until the queue answers, for as long as a server may take to start.

    Once a worker runs it outlasts any outage; one that never saw its queue more likely has the wrong address.

    Raises:
        QueueUnavailable: it did not answer within `REACH_WITHIN_S`.
    """
    give_up_at = time.monotonic() + REACH_WITHIN_S
    with open_queue(redis_url) as queue:
        while not stop.is_set():
            try:
                queue.ping()
            except QueueUnavailable as error:
                if time.monotonic() >= give_up_at:
                    raise
                log.debug("queue_unavailable", error=str(error))
                stop.wait(0.5)
            else:
                return


def _guarded(
    work: Callable[[], None],
    redis_url: str,
    *,
    stop: threading.Event,
    config: Config,
    watch: ConfigWatch,
    log: FilteringBoundLogger,
) -> int:
    log.info("worker_started", config_hash=config.config_hash)
    try:
        reach_queue(redis_url, stop=stop, log=log)
        work()
    except HubUnreachable as error:  # a machine may boot before its network is there
        log.error("worker_failed", error=str(error), exc_info=debugging())
        return FAILED
    except NEEDS_THE_USER as error:
        log.error("worker_misconfigured", error=str(error), exc_info=debugging())
        # What it was started with was right, if it has followed a change since: it worked, and is to be started again.
        return MISCONFIGURED if watch.config is config else FAILED
    except XclipStreamError as error:
        log.error("worker_failed", error=str(error), exc_info=debugging())
        return FAILED
    # The top of the process: what nobody expected shall end it with a line in the log, as everything else does.
    except Exception as error:
        log.error("worker_crashed", error=f"{type(error).__name__}: {error}", exc_info=debugging() or _is_collected())
        return FAILED
    log.info("worker_stopped")
    return DONE


def _is_collected() -> bool:
    """Logs that a machine collects keep the traceback of a defect; a person on a terminal has to ask for it."""
    return not sys.stderr.isatty()
