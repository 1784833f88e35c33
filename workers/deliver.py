"""The deliver worker: events from the outboxes to the sinks, each sink in a thread of its own."""

import sys
import threading
from contextlib import closing
from functools import partial
from typing import TextIO

import structlog
from prometheus_client import CollectorRegistry

from xclip_stream.config import (
    Config,
    ConfigWatch,
    ConsoleSinkConfig,
    JsonlSinkConfig,
    RedisSinkConfig,
    SinkConfig,
    WebhookSinkConfig,
)
from xclip_stream.meters import DeliverMeters
from xclip_stream.metrics import DeliveryMetrics
from xclip_stream.pipeline.deliver import DeliverLoop, RetryPolicy
from xclip_stream.pipeline.lifecycle import StopFlag, SystemClock
from xclip_stream.pipeline.sink_threads import SinkThreads
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.protocols import Sink
from xclip_stream.queues.redis import open_queue
from xclip_stream.queues.redis_client import open_client
from xclip_stream.sinks.console import ConsoleSink
from xclip_stream.sinks.jsonl import JsonlSink
from xclip_stream.sinks.redis_stream import RedisStreamSink
from xclip_stream.sinks.webhook import WebhookSink
from xclip_stream.worker_main import worker_main

LEASE_S = 5.0
"""How long a sink waits when its worker was killed, unless its deliveries may take long."""
REDIS_TIMEOUT_S = 3.0
SILENCE_S = 60.0
"""How long a sink's thread may say nothing, unless its deliveries may take longer: a disk can be slow."""
LOOK_EVERY_S = 0.5
GRACE_S = 8.0
"""How long a stop waits for deliveries in hand. What takes longer is delivered again by the next worker."""


def run(
    config: Config,
    *,
    stop: threading.Event,
    redis_url: str,
    watch: ConfigWatch,
    vitals: Vitals,
    registry: CollectorRegistry | None = None,
) -> None:
    """Deliver for every sink of the configuration until `stop` is set.

    Raises:
        XclipStreamError: a sink's loop cannot go on. What a sink itself refuses is no such case.
    """
    metrics = None if registry is None else DeliveryMetrics(registry)

    def work(sink: SinkConfig, stop: StopFlag) -> None:
        meters = None if metrics is None else metrics.of(sink.id)
        deliver(config, sink, stop=stop, redis_url=redis_url, vitals=vitals, meters=meters)

    threads = SinkThreads(work, log=structlog.get_logger())
    with vitals.pulse("deliver", within_s=SILENCE_S) as pulse:
        try:
            while not stop.is_set():
                watch.poll()
                threads.follow(watch.config.sinks)
                pulse.ready()
                stop.wait(LOOK_EVERY_S)
        finally:
            threads.leave(grace_s=GRACE_S)


def deliver(
    config: Config,
    sink: SinkConfig,
    *,
    stop: threading.Event,
    redis_url: str,
    vitals: Vitals,
    meters: DeliverMeters | None = None,
) -> None:
    """Deliver for one sink until `stop` is set, over a queue connection of its own."""
    with (
        closing(open_queue(redis_url, namespace=config.redis.namespace)) as queue,
        vitals.pulse(f"sink {sink.id}", within_s=max(SILENCE_S, 2 * lease_s(sink))) as pulse,
    ):
        DeliverLoop(
            sink_id=sink.id,
            sink=build_sink(sink, redis_url=redis_url, console=sys.stdout),
            queue=queue,
            clock=SystemClock(stop),
            stopping=stop.is_set,
            log=structlog.get_logger(),
            retry=RetryPolicy(
                first_delay_s=sink.first_delay_s,
                max_delay_s=sink.max_delay_s,
                max_attempts=sink.max_attempts,
                max_age_s=sink.max_age_s,
            ),
            lease_s=lease_s(sink),
            pulse=pulse,
            meters=meters,
        ).run()


def build_sink(sink: SinkConfig, *, redis_url: str, console: TextIO) -> Sink:
    """Return the sink that a configuration describes; nothing is opened yet."""
    match sink:
        case ConsoleSinkConfig():
            return ConsoleSink(stream=console, format=sink.format)
        case JsonlSinkConfig():
            return JsonlSink(path=sink.path)
        case RedisSinkConfig():
            url = redis_url if sink.url is None else sink.url.get_secret_value()
            open_it = partial(
                open_client, url, key=sink.stream, connect_timeout_s=REDIS_TIMEOUT_S, reply_timeout_s=REDIS_TIMEOUT_S
            )
            return RedisStreamSink(open_client=open_it, stream=sink.stream, maxlen=sink.maxlen)
        case WebhookSinkConfig():
            return WebhookSink(
                url=sink.url.get_secret_value(),
                secret=None if sink.secret is None else sink.secret.get_secret_value(),
                headers={name: value.get_secret_value() for name, value in sink.headers.items()},
                timeout_s=sink.timeout_s,
            )


def lease_s(sink: SinkConfig) -> float:
    """Return how long the sink's lease lasts: longer than its longest delivery, or another worker would take over."""
    match sink:
        case WebhookSinkConfig():
            return max(LEASE_S, 1.5 * sink.timeout_s)
        case RedisSinkConfig():
            return max(LEASE_S, 1.5 * 2 * REDIS_TIMEOUT_S)  # it connects, and it sends
    return LEASE_S


def main() -> int:
    return worker_main("deliver", run)


if __name__ == "__main__":
    sys.exit(main())
