"""The queue in memory: for tests, and for everything that fits in one process."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from xclip_stream.errors import QueueError
from xclip_stream.protocols import Clock, QueueDepths, RuleStatus, SourceStatus
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory_consumer import MemoryConsumer
from xclip_stream.queues.memory_events import ALERT, MemoryAlert, MemoryDelivery, MemoryEvents, MemoryHistory
from xclip_stream.queues.memory_inspection import MemoryInspection
from xclip_stream.queues.memory_leases import MemoryLeases
from xclip_stream.queues.memory_pictures import MemoryPictures
from xclip_stream.queues.memory_store import MemoryStore, QueuedMessage, QueuedWindow, SystemClock
from xclip_stream.queues.memory_windows import MemoryIngest, MemoryScoring
from xclip_stream.types import DeadLetter


class MemoryDeadLetters(MemoryConsumer):
    """The dead letters."""

    def list_dead(self, *, max_count: int) -> list[DeadLetter]:
        with self._store.changed:
            found = islice(self._store.dead.after(0), max_count)
            return [replace(grave.letter, id=str(entry_id)) for entry_id, grave in found]

    def replay_dead(self, letter_id: str) -> bool:
        with self._store.changed:
            grave = self._store.dead.get(_number(letter_id))
            if grave is None:
                return False
            if grave.content is None:
                raise QueueError(f"dead letter {letter_id} was kept without its payload: drop it")
            self._store.dead.pop(_number(letter_id))
            self._put_back(grave.letter.origin, grave.content)
            return True

    def drop_dead(self, letter_id: str) -> bool:
        with self._store.changed:
            return self._store.dead.pop(_number(letter_id)) is not None

    def _put_back(self, origin: str, content: QueuedWindow | QueuedMessage) -> None:
        if isinstance(content, QueuedWindow):
            content.added_at = self._store.clock.monotonic()
            self._enqueue(content)
        else:
            self._store.outboxes[origin.removeprefix("outbox:")].add(content)
            self._store.changed.notify_all()


class MemoryOverview(MemoryInspection):
    """What an operator wants to know."""

    def source_statuses(self) -> Mapping[str, SourceStatus]:
        with self._store.changed:
            return dict(self._store.source_statuses)

    def rule_statuses(self) -> Mapping[str, RuleStatus]:
        with self._store.changed:
            return dict(self._store.rule_statuses)

    def depths(self, sink_ids: Sequence[str]) -> QueueDepths:
        with self._store.changed:
            return QueueDepths(
                windows=sum(map(len, self._store.windows.values())),
                window_bytes=self._store.window_bytes,
                scores=len(self._store.scores),
                outbox={sink_id: len(self._store.outboxes[sink_id]) for sink_id in sink_ids},
                dead=len(self._store.dead),
            )

    def epoch_ended(self, source_id: str, epoch: str | None = None) -> bool:
        with self._store.changed:
            record = self._store.sources.get(source_id)
            return record is not None and record.epoch != "" and record.ended and epoch in {None, record.epoch}

    def evidence_waiting(self, source_ids: Sequence[str]) -> int:
        with self._store.changed:
            return sum(len(self._store.requests[source_id]) for source_id in source_ids)

    def waiting_messages(self, sink_id: str, *, max_count: int) -> list[str]:
        with self._store.changed:
            return [
                queued.message.message_id for _, queued in islice(self._store.outboxes[sink_id].after(0), max_count)
            ]

    def forget_source(self, source_id: str) -> None:
        with self._store.changed:
            self._store.sources[source_id] = self._store.new_record()
            for key, scores in list(self._store.scores.after(0)):
                if scores.id.source_id == source_id:
                    self._store.scores.pop(key)
            for table in (self._store.states, self._store.source_statuses, self._store.rule_statuses):
                table.pop(source_id, None)
            self._store.history.pop(source_id, None)
            self._store.requests.pop(source_id, None)
            self._store.judged_epochs.pop(source_id, None)
            self._store.rescore.pop(source_id, None)
            # An alert worker that is alive must not go on with the state that it remembers.
            self._store.leases.pop(ALERT, None)

    def forget_sink(self, sink_id: str) -> int:
        with self._store.changed:
            if self._store.lease(f"sink:{sink_id}") is not None:
                raise QueueError(f"sink {sink_id}: a worker delivers for it")
            outbox = self._store.outboxes[sink_id]
            count = len(outbox)
            outbox.trim(0)  # it stays itself, so that no id is used twice
            return count


class MemoryQueue(
    MemoryIngest,
    MemoryLeases,
    MemoryScoring,
    MemoryAlert,
    MemoryDelivery,
    MemoryEvents,
    MemoryHistory,
    MemoryPictures,
    MemoryDeadLetters,
    MemoryOverview,
):
    """A queue with every role, in memory, for any number of threads.

    Each worker gets a consumer of its own, `queue.consumer("name")`; all of them share what the queue holds.

    Args:
        store: what another queue holds, to share it; `clock` and `limits` are then those of the store.
        consumer: the name of this consumer.
        clock: decides what is stale. Given a clock, blocking calls let it sleep instead of waiting for other threads.
        limits: the caps; the defaults are those of the Redis queue.
        claim_idle_s: the limit of this name, for this consumer alone.
    """

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        consumer: str = "memory",
        clock: Clock | None = None,
        limits: QueueLimits | None = None,
        claim_idle_s: float | None = None,
    ) -> None:
        super().__init__(
            store or MemoryStore(clock or SystemClock(), limits or QueueLimits(), waits=clock is None),
            consumer=consumer,
            claim_idle_s=claim_idle_s,
        )

    def consumer(self, name: str, *, claim_idle_s: float | None = None) -> "MemoryQueue":
        """Return another consumer of the same queue; it takes windows over from others after `claim_idle_s`."""
        return MemoryQueue(self._store, consumer=name, claim_idle_s=claim_idle_s)

    def close(self) -> None:
        """Nothing to let go of; the Redis queue has connections."""


def _number(letter_id: str) -> int:
    return int(letter_id) if letter_id.isdecimal() else 0
