"""The queue as a whole, looked at once for each scrape."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import xclip_stream.metrics.definitions as d
from xclip_stream.errors import QueueError
from xclip_stream.inspection import Inspection, Waiting, WindowsWaiting
from xclip_stream.protocols import Overview, RuleStatus, SourceState, SourceStatus
from xclip_stream.types import IdleState

SEEN_WITHIN_S = 30.0
"""A score worker that lives takes or holds on windows more often than this, as long as there are any."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is in the configuration."""

    source_ids: Collection[str]
    sink_ids: Sequence[str]


Samples = list[tuple[tuple[str, ...], float]]
"""The labels of each sample, and its value."""


class QueueCollector(Collector):
    """Reads only. While the queue cannot be looked at, `queue_up` is 0 and nothing else is shown.

    Args:
        expected: gives the ids of the sources and of the sinks that there are now. Redis remembers sources that were
            removed; they are not shown. None: it is not known what there should be.
    """

    def __init__(self, overview: Overview, *, expected: Callable[[], Expected | None]) -> None:
        self._overview = overview
        self._expected = expected

    def collect(self) -> Iterator[Metric]:
        try:
            samples = self._look()
        except QueueError:
            samples = {d.QUEUE_UP: [((), 0)]}
        for definition, found in samples.items():
            family = definition.family()
            for labels, value in found:
                family.add_metric(labels, value)
            yield family

    def _look(self) -> dict[d.Definition, Samples]:
        expected = self._expected()
        queue = self._overview.inspect(() if expected is None else expected.sink_ids)
        sources, rules = self._overview.source_statuses(), self._overview.rule_statuses()
        if expected is not None:
            sources = {name: status for name, status in sources.items() if name in expected.source_ids}
            rules = {name: status for name, status in rules.items() if name in expected.source_ids}
        return _of_queue(queue) | _of_sources(sources, rules, at=queue.at)


def _of_queue(queue: Inspection) -> dict[d.Definition, Samples]:
    outboxes = queue.outboxes.items()
    seen = sum(worker.seen_s <= SEEN_WITHIN_S for worker in queue.score_workers)
    return {
        d.QUEUE_UP: [((), 1)],
        d.QUEUE_WINDOWS: [*_windows("live", queue.live), *_windows("file", queue.files)],
        d.QUEUE_WINDOW_AGE: [(("live",), queue.live.oldest_s or 0), (("file",), queue.files.oldest_s or 0)],
        d.QUEUE_WINDOW_BYTES: [((), queue.window_bytes)],
        d.QUEUE_WINDOW_MAX_BYTES: [((), queue.max_bytes)],
        d.QUEUE_SCORES: [((), queue.scores.count)],
        d.QUEUE_SCORE_AGE: [((), _age_s(queue.scores))],
        d.QUEUE_MAX_SCORES: [((), queue.max_scores)],
        d.OUTBOX_MESSAGES: [((sink_id,), outbox.count) for sink_id, outbox in outboxes],
        d.OUTBOX_AGE: [((sink_id,), _age_s(outbox)) for sink_id, outbox in outboxes],
        d.DEAD_LETTERS: [((), queue.dead.count)],
        d.EVENTS_RETAINED: [((), queue.events)],
        d.LEASE_HELD: [((role,), 1) for role in queue.leases],
        d.SCORERS_SEEN: [((), seen)],
        d.INGEST_WORKERS: [((), len(queue.ingest_workers))],
        d.REDIS_MEMORY: [((), queue.memory_bytes)],
        d.REDIS_MAX_MEMORY: [((), queue.max_memory_bytes)],
    }


def _of_sources(
    sources: Mapping[str, SourceStatus], rules: Mapping[str, RuleStatus], *, at: float
) -> dict[d.Definition, Samples]:
    statuses = sources.values()
    return {
        d.SOURCE_STATE: [
            ((status.source_id, state), status.state is state) for status in statuses for state in SourceState
        ],
        d.SOURCE_LAG: [((status.source_id,), status.lag_s) for status in statuses if status.live],
        d.SOURCE_WINDOW_STEP: [((status.source_id,), status.window_step) for status in statuses if status.live],
        d.SOURCE_IDLE: [
            ((status.source_id,), status.idle is IdleState.IDLE) for status in statuses if status.idle is not None
        ],
        # The report was written by the clock of another machine.
        d.SOURCE_REPORT_AGE: [((status.source_id,), max(0.0, at - status.updated_at)) for status in statuses],
        d.EVENTS_OPEN: [((status.source_id,), status.open_events) for status in rules.values()],
    }


def _windows(kind: str, windows: WindowsWaiting) -> Samples:
    return [((kind, "waiting"), windows.waiting), ((kind, "held"), windows.held)]


def _age_s(waiting: Waiting) -> float:
    return waiting.oldest_s or 0.0
