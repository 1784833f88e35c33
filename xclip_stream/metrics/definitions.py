"""Every metric: its name, what it means, its labels. docs/metrics.md has the same table, and a test compares the two.

No label takes a value that is not bounded by the configuration: sources, rules, sinks and words of this file, never the
id of an event or a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

PREFIX = "xclip_stream_"


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric. `name` is as it is scraped, without what every name begins with."""

    kind: Kind
    name: str
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Return the counter, which the code counts up."""
        return Counter(self.full_name, self.meaning, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.full_name, self.meaning, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.full_name, self.meaning, self.labels, registry=registry, buckets=(*self.buckets, inf))

    def family(self) -> CounterMetricFamily | GaugeMetricFamily:
        """Return an empty family, to be filled at a scrape with what somebody else has counted."""
        kind = CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily
        return kind(self.full_name, self.meaning, labels=self.labels)


ALL: list[Definition] = []
"""All of them, in the order of this file."""


def _define(kind: Kind, name: str, meaning: str, *labels: str, buckets: Sequence[float] = ()) -> Definition:
    definition = Definition(kind, name, labels, meaning, tuple(buckets))
    ALL.append(definition)
    return definition


def _counter(name: str, meaning: str, *labels: str) -> Definition:
    return _define(Kind.COUNTER, name, meaning, *labels)


def _gauge(name: str, meaning: str, *labels: str) -> Definition:
    return _define(Kind.GAUGE, name, meaning, *labels)


def _histogram(name: str, meaning: str, *labels: str, buckets: Sequence[float]) -> Definition:
    return _define(Kind.HISTOGRAM, name, meaning, *labels, buckets=buckets)


_CALLS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""From a write into a file to the batch of a slow CPU."""
_WAITS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""From a frame to what follows of it: a camera's window waits for ten seconds at most, a file's for a whole batch."""

# ----------------------------------------------------------------------------------------------------- every worker

WORKER_READY = _gauge("worker_ready", "1 while the worker can work, as /readyz says; else 0.", "role")
BUILD_INFO = _gauge("build_info", "1; the label has the version of the package.", "version")

# ---------------------------------------------------------------------------------------------- run, for each worker

WORKER_RUNNING = _gauge("worker_running", "1 while the process of the worker runs; else 0.", "role")
WORKER_RESTARTS = _counter(
    "worker_restarts_total", "How often a worker has ended while it was needed, to be started again.", "role"
)

# ------------------------------------------------------------------------------------------- ingest, for each source

FRAMES_READ = _counter(
    "frames_read_total",
    "Frames that were read: decoded, taken for still in an idle camera, or passed over in a file.",
    "source",
)
FRAMES_STILL = _counter("frames_still_total", "Of these, those that were not decoded, because nothing moved.", "source")
WINDOWS_QUEUED = _counter("windows_queued_total", "Windows that the queue has taken.", "source")
WINDOWS_UNCHANGED = _counter(
    "windows_unchanged_total",
    "Of the windows that the queue has taken, those that are not scored, because nothing had changed.",
    "source",
)
WINDOWS_DROPPED = _counter(
    "windows_dropped_total", "Windows of a camera that its reader gave up because the queue took no more.", "source"
)
SOURCE_LOSSES = _counter("source_losses_total", "How often a camera that gave frames was lost.", "source")
READER_DEATHS = _counter("reader_deaths_total", "How often a reader died or hung, and was started again.", "source")
EVIDENCE_MADE = _counter(
    "evidence_made_total", "Events of which a picture (snapshot) or a clip is kept.", "source", "kind"
)
EVIDENCE_FAILED = _counter(
    "evidence_failed_total", "Events whose picture (snapshot) or clip was given up.", "source", "kind"
)
READERS = _gauge("readers", "Sources that this ingest worker reads.")
EVIDENCE_BYTES = _gauge("evidence_bytes", "Bytes of evidence in the folder of this machine, at the last sweep.")
EVIDENCE_FILES = _gauge("evidence_files", "Files of evidence in that folder.")
EVIDENCE_AGE = _gauge("evidence_oldest_age_seconds", "Age of the oldest of them; 0 for none.")
EVIDENCE_REMOVED = _counter("evidence_removed_total", "Files of evidence that were removed as too old or too much.")
EVIDENCE_REMOVED_BYTES = _counter("evidence_removed_bytes_total", "Their bytes.")

# ----------------------------------------------------------------------------------------------------------- score

WINDOWS_SCORED = _counter(
    "windows_scored_total",
    "Windows that this worker let go of: scored, expired, failed (tried again, or a dead letter), or not_held, when "
    "another worker had taken it over.",
    "source",
    "outcome",
)
BATCH_WINDOWS = _histogram("batch_windows", "Windows in one call of the model.", buckets=(1, 2, 4, 8, 16, 32, 64, 128))
BATCH_SECONDS = _histogram("batch_seconds", "One call of the model.", buckets=_CALLS_S)
CAPTURE_TO_WINDOW = _histogram(
    "capture_to_window_seconds", "Of a camera: from its last frame to the complete window.", buckets=_WAITS_S
)
WINDOW_TO_SCORE = _histogram(
    "window_to_score_seconds",
    "From the complete window to its scores, the wait in the queue included.",
    buckets=_WAITS_S,
)
GPU_MEMORY = _gauge(
    "gpu_memory_bytes", "Memory of the GPU: allocated by tensors, reserved by the worker, used by all, total.", "state"
)

# ----------------------------------------------------------------------------------------------------------- alert

WINDOWS_JUDGED = _counter(
    "windows_judged_total",
    "Windows that have passed the rules: scored, unchanged (judged by the scores of an earlier one), or given up as "
    "dropped, expired, failed or lost. Their sum is all.",
    "source",
    "outcome",
)
SCORES_LATE = _counter("scores_late_total", "Scores that came after their window was given up as lost.", "source")
EVENTS = _counter("events_total", "Phases of events that were committed.", "source", "rule", "phase")
COMMIT_SECONDS = _histogram("commit_seconds", "Judging and committing what was due of one source.", buckets=_CALLS_S)
FRAME_TO_ALERT = _histogram(
    "frame_to_alert_seconds",
    "From the last frame of the window that started an event to its commit; of a file, from the complete window.",
    "rule",
    buckets=_WAITS_S,
)

# --------------------------------------------------------------------------------------------------------- deliver

DELIVERY_ATTEMPTS = _counter(
    "delivery_attempts_total", "Attempts: taken, failed (it is tried again), rejected (for good).", "sink", "outcome"
)
DELIVERY_SECONDS = _histogram("delivery_seconds", "One attempt.", "sink", buckets=(0.001, *_CALLS_S))
MESSAGES_DELIVERED = _counter("messages_delivered_total", "Messages that the sink has taken.", "sink")
MESSAGES_BURIED = _counter("messages_buried_total", "Messages that became dead letters.", "sink")
FRAME_TO_DELIVERY = _histogram(
    "frame_to_delivery_seconds", "As frame_to_alert_seconds, to the delivery.", "sink", buckets=_WAITS_S
)

# -------------------------------------------------------------------------------- exporter: the queue, read from Redis

QUEUE_UP = _gauge("queue_up", "1 when Redis answered this scrape, else 0, and all that follows is missing.")
QUEUE_WINDOWS = _gauge("queue_windows", "Windows in the queue: waiting, or held by a scorer.", "kind", "state")
QUEUE_WINDOW_AGE = _gauge("queue_window_age_seconds", "Age of the oldest window in the queue; 0 for none.", "kind")
QUEUE_WINDOW_BYTES = _gauge("queue_window_bytes", "Bytes of the windows in the queue.")
QUEUE_WINDOW_MAX_BYTES = _gauge("queue_window_max_bytes", "The cap on them.")
QUEUE_SCORES = _gauge("queue_scores", "Scores that wait for the rules.")
QUEUE_SCORE_AGE = _gauge("queue_score_age_seconds", "Age of the oldest of them; 0 for none.")
QUEUE_MAX_SCORES = _gauge("queue_max_scores", "The number of scores above which no file is read on.")
OUTBOX_MESSAGES = _gauge("outbox_messages", "Messages that wait for a sink.", "sink")
OUTBOX_AGE = _gauge("outbox_age_seconds", "Age of the oldest of them; 0 for none.", "sink")
DEAD_LETTERS = _gauge("dead_letters", "Windows and messages that were given up and wait for somebody.")
EVENTS_RETAINED = _gauge("events_retained", "Events that the public stream holds.")
LEASE_HELD = _gauge("lease_held", "1 while a worker has the role alert, sink:ID or source:ID.", "role")
SCORERS_SEEN = _gauge("scorers_seen", "Score workers that took or held a window in the last 30 s.")
INGEST_WORKERS = _gauge("ingest_workers", "Ingest workers that share the sources.")
SOURCE_STATE = _gauge("source_state", "1 for the state that a source is in, 0 for the others.", "source", "state")
SOURCE_LAG = _gauge("source_lag_seconds", "How far reading is behind the camera.", "source")
SOURCE_WINDOW_STEP = _gauge(
    "source_window_step", "One window in so many is scored: 1, or 2 or 4 for a camera under overload.", "source"
)
SOURCE_IDLE = _gauge("source_idle", "1 while a camera is not decoded, because nothing moves; 0 while it is.", "source")
SOURCE_REPORT_AGE = _gauge("source_report_age_seconds", "Since when nothing was heard of a source.", "source")
EVENTS_OPEN = _gauge("events_open", "Events of a source that have started and not ended.", "source")
REDIS_MEMORY = _gauge("redis_memory_bytes", "Memory that Redis uses.")
REDIS_MAX_MEMORY = _gauge("redis_max_memory_bytes", "Its bound; 0 for none.")
