"""The alert worker: scores from the queue through the rules, events back into the queue. One works, others stand by."""

import sys
import threading
from contextlib import closing

import structlog
from prometheus_client import CollectorRegistry

from workers.main import worker_main
from xclip_stream.config import Config, ConfigWatch, RuleConfig, SourceConfig
from xclip_stream.meters import AlertMeters
from xclip_stream.metrics import PrometheusAlert
from xclip_stream.pipeline.alert import AlertLoop, Rulebook
from xclip_stream.pipeline.lifecycle import SystemClock
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.queues.redis import open_queue
from xclip_stream.rules import Rule, default_gap_s
from xclip_stream.tracing import TracedAlert, Tracing

SILENCE_S = 60.0
"""The longest step: 256 scores of as many sources, each a commit, on a server that answers slowly."""


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
    """Decide until `stop` is set.

    Raises:
        XclipStreamError: the queue holds what this version cannot read.
    """
    queue = open_queue(
        redis_url,
        namespace=config.redis.namespace,
        max_bytes=config.queue.max_bytes,
        events_retained=config.queue.events_retained,
        history_s=config.history.hours * 3600,
        history_entries=config.history.windows,
    )
    meters = AlertMeters() if registry is None else PrometheusAlert(registry)
    with closing(queue), vitals.pulse("alert", within_s=SILENCE_S) as pulse:
        AlertLoop(
            queue=queue,
            rulebook=build_rulebook(config),
            new_rulebook=lambda: None if (changed := watch.poll()) is None else build_rulebook(changed),
            hurry=watch.hurry,
            clock=SystemClock(stop),
            stopping=stop.is_set,
            log=structlog.get_logger(),
            max_age_s=config.queue.max_age_s,
            pulse=pulse,
            meters=meters if tracing is None else TracedAlert(meters, tracing),
        ).run()


def build_rulebook(config: Config) -> Rulebook:
    """Return what a configuration says to the alert loop."""
    return Rulebook(
        rules=[build_rule(config, rule) for rule in config.rules],
        sink_ids=frozenset(config.sink_ids),
        gap_s={source.id: gap_s(source) for source in config.sources},
        config_hash=config.config_hash,
        evidence_urls=evidence_urls(config),
    )


def build_rule(config: Config, rule: RuleConfig) -> Rule:
    """Return the rule that a configuration describes, for sources that are in it: others may have been removed."""
    return rule.build(sources=rule.sources or config.source_ids, sinks=config.sinks_of(rule))


def evidence_urls(config: Config) -> dict[str, str]:
    """Return the URL under which the evidence of each source is found, of those of which some is kept."""
    if config.evidence is None:
        return {}
    return {source.id: config.evidence.shown_url for source in config.sources if source.evidence}


def gap_s(source: SourceConfig) -> float:
    """Return the hole in a source's time that ends its events: never shorter than one that a window may have."""
    window = source.window
    return max(default_gap_s(span_s=window.span_s, stride_s=window.stride_s), window.max_gap_s or 0.0)


def main() -> int:
    return worker_main("alert", run)


if __name__ == "__main__":
    sys.exit(main())
