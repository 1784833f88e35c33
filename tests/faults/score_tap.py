"""Stands in the place of the alert worker and keeps every score that comes out of a system."""

import threading
from types import TracebackType
from typing import Self

from xclip_stream.queues.redis import open_queue
from xclip_stream.types import Scores

_TTL_S = 30.0


class ScoreTap:
    """Takes and acknowledges scores until it is left; nothing is decided."""

    def __init__(self, redis_url: str) -> None:
        self._queue = open_queue(redis_url)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take, name="score-tap", daemon=True)
        self.scores: list[Scores] = []
        """All that came, tombstones among them, in the order of the stream."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._queue.close()

    def _take(self) -> None:
        token = self._queue.acquire_alert(ttl_s=_TTL_S)
        assert token is not None, "somebody else takes the scores"
        while not self._over.is_set():
            self._queue.renew_alert(token, ttl_s=_TTL_S)
            for taken in self._queue.take_scores(token, max_count=256, block_s=0.2):
                self.scores.append(taken.scores)
                source_id = taken.scores.id.source_id
                self._queue.commit(token, source_id=source_id, state=b"", events=[], outbox=[], done=[taken.entry_id])
