"""One look at the queue in memory, for the operator."""

from collections.abc import Sequence
from typing import Any

from xclip_stream.inspection import HeldLease, Inspection, ScoreWorker, Waiting, WindowsWaiting
from xclip_stream.queues.memory_consumer import MemoryConsumer
from xclip_stream.queues.memory_store import MemoryStream, QueuedWindow


class MemoryInspection(MemoryConsumer):
    """Reads only. The ages are by the clock of the queue."""

    def inspect(self, sink_ids: Sequence[str] = ()) -> Inspection:
        with self._store.changed:
            store, now_s = self._store, self._store.clock.monotonic()
            busy_sinks = [sink_id for sink_id, outbox in store.outboxes.items() if len(outbox)]
            leases = (lease for role in store.leases if (lease := self._lease(role, now_s)))
            return Inspection(
                at=store.clock.now(),
                live=_windows(store.windows[True]),
                files=_windows(store.windows[False]),
                window_bytes=store.window_bytes,
                max_bytes=store.max_bytes,
                scores=_waiting(store.scores),
                max_scores=store.limits.max_scores,
                dead=_waiting(store.dead),
                events=len(store.events),
                outboxes={
                    sink_id: _waiting(store.outboxes[sink_id]) for sink_id in dict.fromkeys([*sink_ids, *busy_sinks])
                },
                score_workers=tuple(self._worker(name, now_s) for name in sorted(store.score_workers_seen_at)),
                ingest_workers={
                    name: until_s - now_s for name, until_s in store.ingest_team.items() if until_s > now_s
                },
                leases={lease.role: lease for lease in leases},
            )

    def _lease(self, role: str, now_s: float) -> HeldLease | None:
        lease = self._store.lease(role)
        return HeldLease(role, lease.holder, lease.expires_at - now_s) if lease else None

    def _worker(self, name: str, now_s: float) -> ScoreWorker:
        held = [
            queued for stream in self._store.windows.values() for _, queued in stream.after(0) if queued.holder == name
        ]
        return ScoreWorker(
            name,
            held=len(held),
            quiet_s=max((now_s - queued.taken_at for queued in held), default=0.0),
            deliveries=max((queued.deliveries for queued in held), default=0),
            seen_s=now_s - self._store.score_workers_seen_at[name],
        )


def _waiting(stream: MemoryStream[Any]) -> Waiting:
    return Waiting(len(stream), stream.oldest_s)


def _windows(stream: MemoryStream[QueuedWindow]) -> WindowsWaiting:
    held = sum(queued.holder is not None for _, queued in stream.after(0))
    return WindowsWaiting(len(stream) - held, held, stream.oldest_s)
