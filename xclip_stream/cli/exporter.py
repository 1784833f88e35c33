"""`xclip-stream exporter`: what Redis knows of a running system, for Prometheus."""

from contextlib import ExitStack
from functools import partial
from typing import Annotated

import typer

from xclip_stream import __version__
from xclip_stream.cli.connection import NOT_RUNNING, queue_for
from xclip_stream.cli.options import ConfigFile, LogLevel, Namespace, RedisUrl
from xclip_stream.config import ConfigWatch, load_config
from xclip_stream.errors import QueueError
from xclip_stream.logs import set_up_logging
from xclip_stream.metrics import Expected, QueueCollector, expose, process_registry
from xclip_stream.pipeline.lifecycle import StopFlag, stop_on_signals
from xclip_stream.queues.redis import RedisQueue
from xclip_stream.web.health import HealthServer

LOOK_EVERY_S = 0.5


def exporter(
    config: ConfigFile = None,
    redis: RedisUrl = None,
    namespace: Namespace = "main",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to serve /metrics, /healthz and /readyz.")
    ] = "127.0.0.1:9475",
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to log.")] = LogLevel.INFO,
) -> None:
    """Serve what Redis knows of a running system to Prometheus: queues, ages, outboxes, dead letters, sources.

    One for each system, beside the workers, which serve their own metrics with --health. It looks at Redis once for
    each scrape and changes nothing; it runs until Ctrl-C.

    [bold]Examples[/bold]

      xclip-stream exporter --config site.yaml
      xclip-stream exporter --redis redis://queue:6379 --listen 0.0.0.0:9475
    """
    log = set_up_logging(worker="exporter", level=log_level, secrets=())
    stop = StopFlag()
    with ExitStack() as stack:
        stack.enter_context(stop_on_signals(stop))
        queue = stack.enter_context(queue_for(config, redis, namespace=namespace, not_running=NOT_RUNNING))
        registry = process_registry("exporter", version=__version__, is_ready=lambda: _trouble(queue) is None)
        watch = None if config is None else ConfigWatch(config, load_config(config), quiet=True)
        registry.register(QueueCollector(queue, expected=partial(_expected, watch)))
        server = HealthServer(
            listen, alive=lambda: None, ready=partial(_trouble, queue), metrics=partial(expose, registry)
        )
        log.info("metrics_served", address=stack.enter_context(server).address)
        while not stop.wait(LOOK_EVERY_S):
            if watch is not None:
                watch.poll()


def _trouble(queue: RedisQueue) -> str | None:
    """Return why the queue cannot be looked at."""
    try:
        queue.ping()
    except QueueError as error:
        return str(error)
    return None


def _expected(watch: ConfigWatch | None) -> Expected | None:
    if watch is None:
        return None
    return Expected(watch.config.source_ids, watch.config.sink_ids)
