"""The deliver worker: events from the outboxes to the sinks, each sink in a thread of its own."""

import sys
import threading
from contextlib import closing

import structlog
from prometheus_client import CollectorRegistry

from workers.main import worker_main
from workers.sinks import SinkPlan, build_sink, lease_s, plan_sinks
from xclip_stream.config import Config, ConfigWatch
from xclip_stream.meters import DeliverMeters
from xclip_stream.metrics import DeliveryMetrics
from xclip_stream.pipeline.deliver import DeliverLoop
from xclip_stream.pipeline.lifecycle import StopFlag, SystemClock
from xclip_stream.pipeline.retry import RetryPolicy
from xclip_stream.pipeline.sink_threads import SinkThreads
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.queues.redis import open_queue
from xclip_stream.sinks.extras import missing_extra, require_extras
from xclip_stream.tracing import TracedSink, Tracing

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
    tracing: Tracing | None = None,
) -> None:
    """Deliver for every sink of the configuration until `stop` is set.

    Raises:
        ConfigError: the library of a sink is not installed.
        XclipStreamError: a sink's loop cannot go on. What a sink itself refuses is no such case.
    """
    require_extras({sink.id: sink.type for sink in config.sinks})
    metrics = None if registry is None else DeliveryMetrics(registry)

    def work(plan: SinkPlan, stop: StopFlag) -> None:
        meters = DeliverMeters() if metrics is None else metrics.of(plan.id)
        if tracing is not None:
            meters = TracedSink(meters, tracing, sink_id=plan.id)
        deliver(config, plan, stop=stop, redis_url=redis_url, vitals=vitals, meters=meters)

    threads = SinkThreads(work, log=structlog.get_logger())
    with vitals.pulse("deliver", within_s=SILENCE_S) as pulse:
        try:
            while not stop.is_set():
                if (changed := watch.poll()) is not None and metrics is not None:
                    metrics.configured(sink_ids=changed.sink_ids)
                threads.follow(plan_sinks(watch.config))
                pulse.ready()
                stop.wait(LOOK_EVERY_S)
        finally:
            threads.leave(grace_s=GRACE_S)


def deliver(
    config: Config,
    plan: SinkPlan,
    *,
    stop: threading.Event,
    redis_url: str,
    vitals: Vitals,
    meters: DeliverMeters | None = None,
) -> None:
    """Deliver for one sink until `stop` is set, over a queue connection of its own."""
    sink = plan.sink
    if problem := missing_extra(sink.type):
        # It was added while we run: the others go on, and its messages wait.
        structlog.get_logger().error("sink_unusable", sink=sink.id, reason=problem)
        stop.wait()
        return
    with (
        closing(open_queue(redis_url, namespace=config.redis.namespace)) as queue,
        vitals.pulse(f"sink {sink.id}", within_s=max(SILENCE_S, 2 * lease_s(sink))) as pulse,
    ):
        DeliverLoop(
            sink_id=sink.id,
            sink=build_sink(plan, redis_url=redis_url, console=sys.stdout),
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


def main() -> int:
    return worker_main("deliver", run)


if __name__ == "__main__":
    sys.exit(main())
