"""The steps of a window as spans: window, score, commit, deliver.

The score worker makes the first two, when it publishes: a window tells when its last frame was captured and when it was
complete, so the readers need no tracer. Its scores carry the traceparent to the alert worker, and the event carries it
on, to the deliver worker and to whoever gets the event.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from xclip_stream.errors import DecodeError, DeliveryError
from xclip_stream.events import parse_event
from xclip_stream.meters import AlertMeters, DeliverMeters
from xclip_stream.protocols import ScoreQueue, TakenWindow
from xclip_stream.tracing.spans import Attributes, Begun, Tracing
from xclip_stream.types import Event, Message, Scores


class TracedScoreQueue(ScoreQueue):
    """A queue whose published scores carry the trace of their window."""

    def __init__(self, queue: ScoreQueue, tracing: Tracing) -> None:
        self._queue = queue
        self._tracing = tracing
        self._begun: tuple[str, Begun, Begun] | None = None
        """The spans of the entry that is being published: the same when it has to be tried again."""

    def take_windows(self, *, max_count: int, block_s: float) -> list[TakenWindow]:
        return self._queue.take_windows(max_count=max_count, block_s=block_s)

    def hold_windows(self, taken: Sequence[TakenWindow]) -> None:
        self._queue.hold_windows(taken)

    def publish_scores(self, taken: TakenWindow, scores: Scores) -> bool:
        window, score = self._spans(taken)
        published = self._queue.publish_scores(taken, replace(scores, traceparent=score.traceparent))
        self._begun = None
        if published:
            window.end(taken.window.produced_at, {})
            score.end(time.time(), {"xclip.status": scores.status, "xclip.model": scores.model_name})
        return published

    def bury_window(self, taken: TakenWindow, *, reason: str) -> bool:
        return self._queue.bury_window(taken, reason=reason)

    def _spans(self, taken: TakenWindow) -> tuple[Begun, Begun]:
        if self._begun is None or self._begun[0] != taken.entry_id:
            window = taken.window
            # Of a file, event time says nothing of when it was read.
            captured_at = min(window.captured_at, window.produced_at) if window.live else window.produced_at
            about: Attributes = {
                "xclip.source": window.id.source_id,
                "xclip.epoch": window.id.epoch,
                "xclip.seq": window.id.seq,
            }
            first = self._tracing.begin("window", at=captured_at, attributes=about)
            second = self._tracing.begin("score", at=window.produced_at, after=first.traceparent, attributes=about)
            self._begun = taken.entry_id, first, second
        return self._begun[1], self._begun[2]


class TracedAlert(AlertMeters):
    """Passes all on, and makes a span of each commit of an event, from the scores of its window on."""

    def __init__(self, meters: AlertMeters, tracing: Tracing) -> None:
        self._meters = meters
        self._tracing = tracing

    def configured(self, *, source_ids: Collection[str], rule_ids: Collection[str]) -> None:
        self._meters.configured(source_ids=source_ids, rule_ids=rule_ids)

    def scores_judged(self, source_id: str, scores: Sequence[Scores], *, lost: int, late: int, took_s: float) -> None:
        self._meters.scores_judged(source_id, scores, lost=lost, late=late, took_s=took_s)

    def event_told(self, event: Event) -> None:
        self._meters.event_told(event)
        if event.traceparent is None or event.latency is None:
            return
        now = time.time()
        took_s = max(0.0, event.latency.committed_ms - event.latency.scored_ms) / 1000
        self._tracing.begin("commit", at=now - took_s, after=event.traceparent, attributes=_about_event(event)).end(
            now, {}
        )


class TracedSink(DeliverMeters):
    """Passes all on, and makes a span of each delivery to one sink, from the commit on."""

    def __init__(self, meters: DeliverMeters, tracing: Tracing, *, sink_id: str) -> None:
        self._meters = meters
        self._tracing = tracing
        self._sink_id = sink_id
        self._failures = 0

    def attempted(self, failure: DeliveryError | None, *, took_s: float) -> None:
        self._meters.attempted(failure, took_s=took_s)
        self._failures += failure is not None

    def delivered(self, message: Message, *, now: float) -> None:
        self._meters.delivered(message, now=now)
        failures, self._failures = self._failures, 0
        try:
            event = parse_event(message.body)
        except DecodeError:
            return  # of another version of the package
        if event.traceparent is None:
            return
        about: Attributes = {**_about_event(event), "xclip.sink": self._sink_id, "xclip.failed_attempts": failures}
        committed_at = min(message.committed_at, now)
        self._tracing.begin("deliver", at=committed_at, after=event.traceparent, attributes=about).end(now, {})

    def buried(self) -> None:
        self._meters.buried()
        self._failures = 0


def _about_event(event: Event) -> Attributes:
    return {
        "xclip.source": event.source_id,
        "xclip.rule": event.rule_id,
        "xclip.phase": event.phase,
        "xclip.event": event.event_id,
    }
