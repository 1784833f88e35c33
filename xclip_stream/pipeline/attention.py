"""What of a running system needs somebody: judged from one look at its queue, and told in a line each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xclip_stream.inspection import Inspection
from xclip_stream.protocols import Overview, RuleStatus, SourceState, SourceStatus

SILENT_AFTER_S = 15.0
"""A source reports every second; its reader may have to be started again, or taken over by another worker."""
UNTAKEN_AFTER_S = 30.0
"""A score worker that lives takes or holds on windows more often than this."""
UNDELIVERED_AFTER_S = 60.0
"""A sink that works takes a message at once. One that restarts is back by then."""
FULL = 0.95
"""The part of a cap above which it is reached: the next window may not fit."""


@dataclass(frozen=True, slots=True)
class SystemView:
    """One look at a system.

    `source_ids` and `sink_ids` are those of its configuration; None where that is not known. `closed` are the sources
    whose reading was ended in order.
    """

    queue: Inspection
    sources: dict[str, SourceStatus]
    rules: dict[str, RuleStatus]
    source_ids: Sequence[str] | None
    sink_ids: Sequence[str] | None
    closed: frozenset[str]

    def report_age_s(self, status: SourceStatus) -> float:
        """Return the age of a source's report. It was written by the clock of its ingest worker's machine, and is
        compared with that of the queue."""
        return max(0.0, self.queue.at - status.updated_at)

    def is_silent(self, status: SourceStatus) -> bool:
        """Tell whether a source that should report does not."""
        is_over = status.state in {SourceState.ENDED, SourceState.FAILED} and not status.live
        return not is_over and self.report_age_s(status) > SILENT_AFTER_S


def look(overview: Overview, *, source_ids: Sequence[str] | None, sink_ids: Sequence[str] | None) -> SystemView:
    """Look at a system through its queue.

    Raises:
        QueueUnavailable: it cannot be reached.
    """
    statuses = dict(sorted(overview.source_statuses().items()))
    closed = (name for name in statuses if overview.epoch_ended(name))
    return SystemView(
        queue=overview.inspect(sink_ids or ()),
        sources=statuses,
        rules=dict(overview.rule_statuses()),
        source_ids=source_ids,
        sink_ids=sink_ids,
        closed=frozenset(closed),
    )


def concerns(view: SystemView) -> list[str]:
    """Return what needs attention, the causes before what follows from them; nothing when all is well."""
    return [
        *_of_server(view.queue),
        *_of_sources(view),
        *_of_windows(view.queue),
        *_of_scores(view.queue),
        *_of_sinks(view),
    ]


def _of_server(queue: Inspection) -> Iterator[str]:
    if queue.max_memory_bytes and queue.memory_bytes >= FULL * queue.max_memory_bytes:
        used, bound = queue.memory_bytes >> 20, queue.max_memory_bytes >> 20
        yield f"Redis is full: {used} of {bound} MiB are in use"


def _of_sources(view: SystemView) -> Iterator[str]:
    for name in view.source_ids or ():
        if name not in view.sources:
            yield f"source {name}: nobody has reported of it yet"
    for name, status in view.sources.items():
        is_removed = view.source_ids is not None and name not in view.source_ids
        is_stopped = view.source_ids is None and status.live and name in view.closed
        if is_removed or (is_stopped and view.is_silent(status)):
            continue
        if view.is_silent(status):
            yield f"source {name}: no report for {view.report_age_s(status):.0f} s: does its ingest worker run?"
        elif status.state in {SourceState.STALLED, SourceState.FAILED}:
            yield f"source {name}: {status.state}: {status.error}"


def _of_windows(queue: Inspection) -> Iterator[str]:
    waiting = queue.live.waiting + queue.files.waiting
    seen_s = min((worker.seen_s for worker in queue.score_workers), default=None)
    oldest_s = max(queue.live.oldest_s or 0.0, queue.files.oldest_s or 0.0)
    if waiting and oldest_s > UNTAKEN_AFTER_S and (seen_s is None or seen_s > UNTAKEN_AFTER_S):
        yield f"no score worker has taken a window for {UNTAKEN_AFTER_S:.0f} s; windows that wait: {waiting}"
    if queue.window_bytes >= FULL * queue.max_bytes:
        yield f"the windows have reached their cap: {queue.window_bytes >> 20} of {queue.max_bytes >> 20} MiB"


def _of_scores(queue: Inspection) -> Iterator[str]:
    count = queue.scores.count
    if count >= queue.max_scores:
        yield f"the scores have reached their cap of {queue.max_scores}"
    if count and "alert" not in queue.leases:
        yield f"no alert worker is there; scores that wait: {count}"


def _of_sinks(view: SystemView) -> Iterator[str]:
    for name, outbox in view.queue.outboxes.items():
        if not outbox.count:
            continue
        if view.sink_ids is not None and name not in view.sink_ids:
            yield f"sink {name}: it is not in the configuration; messages that wait: {outbox.count}"
        elif f"sink:{name}" not in view.queue.leases:
            yield f"sink {name}: no deliver worker has it; messages that wait: {outbox.count}"
        elif outbox.oldest_s is not None and outbox.oldest_s > UNDELIVERED_AFTER_S:
            yield f"sink {name}: a message has waited for {outbox.oldest_s:.0f} s; messages that wait: {outbox.count}"
    if dead := view.queue.dead.count:
        yield f"{dead} dead letter{'s' if dead > 1 else ''}: look with `xclip-stream dead-letters list`"
