"""The in-memory queue's second half: scores become events, and events are delivered."""

from collections.abc import Mapping, Sequence
from itertools import islice

from xclip_stream.codec import encode_message
from xclip_stream.errors import StaleOwner
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.protocols import RuleStatus, TakenMessage, TakenScores
from xclip_stream.queues.limits import REQUESTS_KEPT, RULEBOOKS_KEPT
from xclip_stream.queues.memory_consumer import MemoryConsumer
from xclip_stream.queues.memory_store import Grave, QueuedMessage
from xclip_stream.types import DeadLetter, Message, Scores, WindowId

ALERT = "alert"


class MemoryAlert(MemoryConsumer):
    """The alert role."""

    def acquire_alert(self, *, ttl_s: float) -> int | None:
        with self._store.changed:
            return self._acquire(ALERT, ttl_s=ttl_s)

    def renew_alert(self, token: int, *, ttl_s: float) -> None:
        with self._store.changed:
            self._store.renew(ALERT, token, ttl_s=ttl_s)

    def release_alert(self, token: int) -> None:
        with self._store.changed:
            self._store.release(ALERT, token)

    def load_states(self) -> Mapping[str, bytes]:
        with self._store.changed:
            return dict(self._store.states)

    def take_scores(self, token: int, *, max_count: int, block_s: float) -> list[TakenScores]:  # noqa: ARG002 - protocol
        with self._store.changed:
            return self._wait_for(lambda: self._take_scores(max_count), block_s=block_s)

    def commit(
        self,
        token: int,
        *,
        source_id: str,
        state: bytes,
        events: Sequence[Message],
        outbox: Sequence[tuple[str, Message]],
        done: Sequence[str],
        judged: Sequence[Scores] = (),
        evidence: Sequence[EvidenceRequest] = (),
        judged_epoch: str = "",
    ) -> None:
        told = (tuple(events), tuple(outbox), tuple(done), tuple(judged), tuple(evidence), judged_epoch)
        this_commit = (token, source_id, state, told)
        with self._store.changed:
            self._store.check_token(ALERT, token)
            if this_commit == self._store.last_commit:
                return
            self._store.last_commit = this_commit
            self._store.states[source_id] = state
            for message in events:
                self._store.events.add(message)
            self._store.events.trim(self._store.limits.events_retained)
            for sink_id, message in outbox:
                self._store.outboxes[sink_id].add(QueuedMessage(message))
            for entry_id in done:
                self._store.scores.pop(int(entry_id))
            self._store.keep_history(source_id, judged)
            for request in evidence:
                self._store.requests[source_id].add(request)
            self._store.requests[source_id].trim(REQUESTS_KEPT)
            if judged_epoch:
                self._store.judged_epochs[source_id] = judged_epoch
            self._store.changed.notify_all()

    def report_rules(self, status: RuleStatus) -> None:
        with self._store.changed:
            self._store.rule_statuses[status.source_id] = status

    def want_rescored(self, window_id: WindowId, *, ttl_s: float) -> None:
        with self._store.changed:
            self._store.rescore[window_id.source_id] = (window_id, self._store.clock.monotonic() + ttl_s)

    def evidence_of(self, event_ids: Sequence[str]) -> Mapping[str, EvidenceRecord]:
        with self._store.changed:
            now_s = self._store.clock.monotonic()
            known = {event_id: self._store.evidence.get(event_id) for event_id in event_ids}
            return {event_id: found[0] for event_id, found in known.items() if found and now_s < found[1]}

    def keep_rulebook(self, config_hash: str, rulebook: bytes) -> None:
        with self._store.changed:
            kept = self._store.rulebooks
            if next(reversed(kept), None) != config_hash:
                kept.pop(config_hash, None)
                kept[config_hash] = rulebook
            for oldest in list(kept)[:-RULEBOOKS_KEPT]:
                del kept[oldest]

    def _take_scores(self, max_count: int) -> list[TakenScores]:
        found = list(islice(self._store.scores.after(self._cursors.get(ALERT, 0)), max_count))
        if found:
            self._cursors[ALERT] = found[-1][0]
        return [TakenScores(str(entry_id), scores) for entry_id, scores in found]


class MemoryDelivery(MemoryConsumer):
    """The deliver role."""

    def acquire_sink(self, sink_id: str, *, ttl_s: float) -> int | None:
        with self._store.changed:
            return self._acquire(_role(sink_id), ttl_s=ttl_s)

    def renew_sink(self, sink_id: str, token: int, *, ttl_s: float) -> None:
        with self._store.changed:
            self._store.renew(_role(sink_id), token, ttl_s=ttl_s)

    def release_sink(self, sink_id: str, token: int) -> None:
        with self._store.changed:
            self._store.release(_role(sink_id), token)

    def take_messages(self, sink_id: str, *, max_count: int, block_s: float) -> list[TakenMessage]:
        with self._store.changed:
            return self._wait_for(lambda: self._take_messages(sink_id, max_count), block_s=block_s)

    def settle_message(self, sink_id: str, taken: TakenMessage) -> None:
        with self._store.changed:
            self._store.outboxes[sink_id].pop(int(taken.entry_id))

    def bury_message(self, sink_id: str, taken: TakenMessage, *, reason: str) -> None:
        with self._store.changed:
            queued = self._store.outboxes[sink_id].pop(int(taken.entry_id))
            if queued is None:
                return
            letter = DeadLetter(
                id="",
                origin=f"outbox:{sink_id}",
                subject=queued.message.message_id,
                reason=reason,
                deliveries=taken.deliveries,
                died_at=self._store.clock.now(),
                payload=encode_message(queued.message),
            )
            self._store.keep_dead(Grave(letter, QueuedMessage(queued.message), len(letter.payload)))

    def _take_messages(self, sink_id: str, max_count: int) -> list[TakenMessage]:
        role = _role(sink_id)
        lease = self._store.lease(role)
        if lease and lease.holder != self._consumer:
            raise StaleOwner(f"another worker has taken over the role {role}")
        found = list(islice(self._store.outboxes[sink_id].after(self._cursors.get(role, 0)), max_count))
        if found:
            self._cursors[role] = found[-1][0]
        return [self._count_delivery(entry_id, queued) for entry_id, queued in found]

    def _count_delivery(self, entry_id: int, queued: QueuedMessage) -> TakenMessage:
        queued.deliveries += 1
        return TakenMessage(str(entry_id), queued.message, queued.deliveries)


class MemoryEvents(MemoryConsumer):
    """The public event stream."""

    def last_event_id(self) -> str:
        with self._store.changed:
            return next((f"{entry_id}-0" for entry_id, _ in reversed(list(self._store.events.after(0)))), "0")

    def newest_events(self, *, max_count: int) -> list[tuple[str, bytes]]:
        with self._store.changed:
            found = list(self._store.events.after(0))[-max_count:]
            return [(f"{entry_id}-0", message.body) for entry_id, message in found]

    def read_events(self, *, after_id: str, max_count: int, block_s: float) -> list[tuple[str, bytes]]:
        after = int(after_id.partition("-")[0])

        def read() -> list[tuple[str, bytes]]:
            found = islice(self._store.events.after(after), max_count)
            return [(f"{entry_id}-0", message.body) for entry_id, message in found]

        with self._store.changed:
            return self._wait_for(read, block_s=block_s)


class MemoryHistory(MemoryConsumer):
    """What the rules have judged."""

    def read_history(
        self, source_id: str, *, since: float, after_id: str = "0", max_count: int
    ) -> list[tuple[str, Scores]]:
        after = int(after_id.partition("-")[0])
        with self._store.changed:
            history = self._store.history[source_id]
            found = ((key, scores) for key, scores in history.after(after) if history.added_at(key) >= since)
            return [(f"{key}-0", scores) for key, scores in islice(found, max_count)]

    def read_rulebook(self, config_hash: str) -> bytes | None:
        with self._store.changed:
            return self._store.rulebooks.get(config_hash)


def _role(sink_id: str) -> str:
    return f"sink:{sink_id}"
