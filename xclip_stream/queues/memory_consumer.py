"""What every role of the in-memory queue has: the shared store, a name, and a way to wait."""

from collections.abc import Callable
from typing import TypeVar

from xclip_stream.queues.memory_store import MemoryStore, QueuedWindow

Item = TypeVar("Item")


class MemoryConsumer:
    """One consumer of a shared store."""

    def __init__(self, store: MemoryStore, *, consumer: str, claim_idle_s: float | None) -> None:
        self._store = store
        self._consumer = consumer
        self._claim_idle_s = store.limits.claim_idle_s if claim_idle_s is None else claim_idle_s
        self._batches = 0
        self._published = ""
        self._cursors: dict[str, int] = {}

    def _enqueue(self, queued: QueuedWindow) -> None:
        """Add a window to the queue and to the counts that admission looks at."""
        window = queued.window
        self._store.windows[window.live].add(queued)
        self._store.window_bytes += window.frames.nbytes
        record = self._store.sources.get(window.id.source_id)
        if record and (record.run, record.epoch) == (queued.run, window.id.epoch):
            record.waiting += 1
        self._store.changed.notify_all()

    def _acquire(self, role: str, *, ttl_s: float) -> int | None:
        """Take a role; its entries are then read from the beginning."""
        token = self._store.acquire(role, holder=self._consumer, ttl_s=ttl_s)
        if token is not None:
            self._cursors[role] = 0
        return token

    def _wait_for(self, take: Callable[[], list[Item]], *, block_s: float) -> list[Item]:
        """Take, and where there is nothing wait up to `block_s` and take again. The store must be locked."""
        found = take()
        if found or block_s <= 0:
            return found
        if not self._store.waits:
            self._store.clock.sleep(block_s)
            return take()
        until = self._store.clock.monotonic() + block_s
        while not found and (left_s := until - self._store.clock.monotonic()) > 0:
            self._store.changed.wait(left_s)
            found = take()
        return found
