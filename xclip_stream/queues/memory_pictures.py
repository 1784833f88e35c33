"""The latest picture of each source, in memory."""

from collections.abc import Sequence

from xclip_stream.queues.memory_consumer import MemoryConsumer
from xclip_stream.types import Picture


class MemoryPictures(MemoryConsumer):
    """The role of those that look."""

    def watch_pictures(self, source_ids: Sequence[str], *, ttl_s: float) -> None:
        with self._store.changed:
            until = self._store.clock.monotonic() + ttl_s
            self._store.looked_at |= dict.fromkeys(source_ids, until)

    def latest_picture(self, source_id: str) -> Picture | None:
        with self._store.changed:
            picture, until = self._store.pictures.get(source_id, (None, float("-inf")))
            return picture if self._store.clock.monotonic() < until else None
