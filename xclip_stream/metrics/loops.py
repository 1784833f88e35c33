"""What the loops tell, as metrics. The series of a source, rule or sink end when it leaves the configuration."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import attrgetter

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import xclip_stream.metrics.definitions as d
from xclip_stream.errors import DecodeError, DeliveryError, DeliveryRejected
from xclip_stream.events import parse_event
from xclip_stream.meters import AlertMeters, DeliverMeters, EvidenceKept, ReaderCounts, ScoreMeters
from xclip_stream.metrics.series import LabelledSeries
from xclip_stream.types import Event, Message, Phase, Scores, ScoreStatus, Window

GIVEN_UP = (ScoreStatus.DROPPED, ScoreStatus.EXPIRED, ScoreStatus.FAILED)
LOST = "lost"


class PrometheusScore(ScoreMeters):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._windows = d.WINDOWS_SCORED.counter(registry)
        self._batch_windows = d.BATCH_WINDOWS.histogram(registry)
        self._batch_s = d.BATCH_SECONDS.histogram(registry)
        self._capture_to_window_s = d.CAPTURE_TO_WINDOW.histogram(registry)
        self._window_to_score_s = d.WINDOW_TO_SCORE.histogram(registry)
        self._of_source = LabelledSeries("source", (d.WINDOWS_SCORED, self._windows))

    def configured(self, *, source_ids: Collection[str]) -> None:
        self._of_source.keep(source_ids)

    def batch_scored(self, *, windows: int, took_s: float) -> None:
        self._batch_windows.observe(windows)
        self._batch_s.observe(took_s)

    def window_done(self, window: Window, outcome: str, *, now: float) -> None:
        if not self._of_source.has_gone(window.id.source_id):
            self._windows.labels(window.id.source_id, outcome).inc()
        if outcome == ScoreStatus.SCORED:
            # The clocks of two machines may differ.
            self._window_to_score_s.observe(max(0.0, now - window.produced_at))
            if window.live:
                self._capture_to_window_s.observe(max(0.0, window.produced_at - window.captured_at))


class PrometheusAlert(AlertMeters):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._windows = d.WINDOWS_JUDGED.counter(registry)
        self._late = d.SCORES_LATE.counter(registry)
        self._events = d.EVENTS.counter(registry)
        self._commit_s = d.COMMIT_SECONDS.histogram(registry)
        self._frame_to_alert_s = d.FRAME_TO_ALERT.histogram(registry)
        self._of_source = LabelledSeries(
            "source", (d.WINDOWS_JUDGED, self._windows), (d.SCORES_LATE, self._late), (d.EVENTS, self._events)
        )
        self._of_rule = LabelledSeries("rule", (d.EVENTS, self._events), (d.FRAME_TO_ALERT, self._frame_to_alert_s))

    def configured(self, *, source_ids: Collection[str], rule_ids: Collection[str]) -> None:
        self._of_source.keep(source_ids)
        self._of_rule.keep(rule_ids)

    def scores_judged(self, source_id: str, scores: Sequence[Scores], *, lost: int, late: int, took_s: float) -> None:
        self._commit_s.observe(took_s)
        if self._of_source.has_gone(source_id):
            return
        # An unchanged window for which nothing stands is among those that are lost.
        counts = Counter(each.status for each in scores if each.is_scored or each.status in GIVEN_UP)
        for status in (ScoreStatus.SCORED, ScoreStatus.UNCHANGED, *GIVEN_UP):
            self._windows.labels(source_id, status).inc(counts[status])
        self._windows.labels(source_id, LOST).inc(lost)
        self._late.labels(source_id).inc(late)

    def event_told(self, event: Event) -> None:
        self._events.labels(event.source_id, event.rule_id, event.phase).inc()
        if event.phase is Phase.STARTED and event.latency is not None:
            self._frame_to_alert_s.labels(event.rule_id).observe(event.latency.committed_ms / 1000)


class DeliveryMetrics:
    """The metrics of all sinks of a deliver worker; `of` gives each sink's loop its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = d.DELIVERY_ATTEMPTS.counter(registry)
        self.attempt_s = d.DELIVERY_SECONDS.histogram(registry)
        self.delivered = d.MESSAGES_DELIVERED.counter(registry)
        self.buried = d.MESSAGES_BURIED.counter(registry)
        self.frame_to_delivery_s = d.FRAME_TO_DELIVERY.histogram(registry)
        self._of_sink = LabelledSeries(
            "sink",
            (d.DELIVERY_ATTEMPTS, self.attempts),
            (d.DELIVERY_SECONDS, self.attempt_s),
            (d.MESSAGES_DELIVERED, self.delivered),
            (d.MESSAGES_BURIED, self.buried),
            (d.FRAME_TO_DELIVERY, self.frame_to_delivery_s),
        )

    def configured(self, *, sink_ids: Collection[str]) -> None:
        """These are the sinks from now on; what one that was removed still has in hand is not shown."""
        self._of_sink.keep(sink_ids)

    def of(self, sink_id: str) -> DeliverMeters:
        return _PrometheusSink(self, sink_id)


class _PrometheusSink(DeliverMeters):
    def __init__(self, metrics: DeliveryMetrics, sink_id: str) -> None:
        self._attempts = {
            outcome: metrics.attempts.labels(sink_id, outcome) for outcome in ("taken", "failed", "rejected")
        }
        self._attempt_s = metrics.attempt_s.labels(sink_id)
        self._delivered = metrics.delivered.labels(sink_id)
        self._buried = metrics.buried.labels(sink_id)
        self._frame_to_delivery_s = metrics.frame_to_delivery_s.labels(sink_id)

    def attempted(self, failure: DeliveryError | None, *, took_s: float) -> None:
        outcome = "taken" if failure is None else "rejected" if isinstance(failure, DeliveryRejected) else "failed"
        self._attempts[outcome].inc()
        self._attempt_s.observe(took_s)

    def delivered(self, message: Message, *, now: float) -> None:
        self._delivered.inc()
        try:
            event = parse_event(message.body)
        except DecodeError:
            return  # of another version of the package
        if event.phase is Phase.STARTED and event.latency is not None:
            since_commit_s = max(0.0, now - message.committed_at)
            self._frame_to_delivery_s.observe(event.latency.committed_ms / 1000 + since_commit_s)

    def buried(self) -> None:
        self._buried.inc()


class ReadersCollector(Collector):
    """The counts of the readers, which are processes of their own, as they are at the scrape.

    Args:
        counts: gives those of each source that is read now.
    """

    def __init__(self, counts: Callable[[], Mapping[str, ReaderCounts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        counts = self._counts()
        readers = d.READERS.family()
        readers.add_metric([], len(counts))
        yield readers
        for definition, count in _OF_READERS.items():
            family = definition.family()
            for source_id, of_source in counts.items():
                family.add_metric([source_id], count(of_source))
            yield family
        for definition, by_kind in _OF_EVIDENCE.items():
            family = definition.family()
            for source_id, of_source in counts.items():
                for kind, count in by_kind.items():
                    family.add_metric([source_id, kind], count(of_source))
            yield family


_OF_READERS: Mapping[d.Definition, Callable[[ReaderCounts], int]] = {
    d.FRAMES_READ: attrgetter("frames"),
    d.FRAMES_STILL: attrgetter("still"),
    d.WINDOWS_QUEUED: attrgetter("windows"),
    d.WINDOWS_UNCHANGED: attrgetter("unchanged"),
    d.WINDOWS_DROPPED: attrgetter("dropped"),
    d.SOURCE_LOSSES: attrgetter("losses"),
    d.READER_DEATHS: attrgetter("deaths"),
}

_OF_EVIDENCE: Mapping[d.Definition, Mapping[str, Callable[[ReaderCounts], int]]] = {
    d.EVIDENCE_MADE: {"snapshot": attrgetter("snapshots"), "clip": attrgetter("clips")},
    d.EVIDENCE_FAILED: {"snapshot": attrgetter("snapshots_failed"), "clip": attrgetter("clips_failed")},
}


class EvidenceCollector(Collector):
    """What is kept of evidence on this machine; nothing where none is kept.

    Args:
        kept: gives what the last sweep found.
    """

    def __init__(self, kept: Callable[[], EvidenceKept | None]) -> None:
        self._kept = kept

    def collect(self) -> Iterator[Metric]:
        kept = self._kept()
        if kept is None:
            return
        for definition, value in _OF_KEPT.items():
            family = definition.family()
            family.add_metric([], value(kept))
            yield family


_OF_KEPT: Mapping[d.Definition, Callable[[EvidenceKept], float]] = {
    d.EVIDENCE_BYTES: attrgetter("num_bytes"),
    d.EVIDENCE_FILES: attrgetter("files"),
    d.EVIDENCE_AGE: attrgetter("oldest_s"),
    d.EVIDENCE_REMOVED: attrgetter("removed_files"),
    d.EVIDENCE_REMOVED_BYTES: attrgetter("removed_bytes"),
}


class GpuCollector(Collector):
    """The memory of the GPU, by state, asked for at the scrape; nothing where there is none."""

    def __init__(self, memory_bytes: Callable[[], Mapping[str, int]]) -> None:
        self._memory_bytes = memory_bytes

    def collect(self) -> Iterator[Metric]:
        family = d.GPU_MEMORY.family()
        for state, value in self._memory_bytes().items():
            family.add_metric([state], value)
        yield family
