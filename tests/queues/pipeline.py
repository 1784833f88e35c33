"""The way of windows through a queue until they are delivered, however often its Redis fails."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.queues.builders import message, scores_of, window
from xclip_stream.errors import QueueUnavailable, StaleOwner
from xclip_stream.protocols import TakenScores
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.types import Message

SINK = "ops"


@dataclass
class Pipeline:
    """One worker of each role, in threads. Each window of the file `yard` makes one event.

    Args:
        url: of the Redis; each worker has a connection of its own.
        urls: those of single roles (`ingest`, `score`, `alert`, `deliver`) instead.
        length: how many windows the file has.
        pause_s: after each window.
    """

    url: str
    length: int
    pause_s: float = 0.0
    namespace: str = "main"
    urls: Mapping[str, str] = field(default_factory=dict)
    added: int = 0
    rewinds: int = 0
    outages: int = 0
    delivered: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _next: int = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        roles = {"ingest": self._ingest, "score": self._score, "alert": self._alert, "deliver": self._deliver}
        threads = [
            threading.Thread(target=self._run, args=(work, self.urls.get(role, self.url)))
            for role, work in roles.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def wait_until(self, holds: Callable[[], bool], timeout_s: float = 90.0) -> None:
        until = time.monotonic() + timeout_s
        while not holds():
            assert not self.failures, self.failures
            assert time.monotonic() < until, f"added {self.added}, delivered {len(self.delivered)}"
            time.sleep(0.01)

    def _run(self, work: Callable[[RedisQueue], None], url: str) -> None:
        with open_queue(url, namespace=self.namespace, claim_idle_s=1.0, file_windows=50) as queue:
            while not self._over.is_set():
                try:
                    work(queue)
                except QueueUnavailable:
                    self.outages += 1
                    self._over.wait(0.05)
                except StaleOwner:
                    self._over.wait(0.05)
                except Exception as error:  # noqa: BLE001 - the test that waits raises it
                    self.failures.append(error)
                    return

    def _ingest(self, queue: RedisQueue) -> None:
        queue.begin_epoch("yard", "e1", live=False)
        while not self._over.is_set():
            # The last one again and again: a Redis that comes back older may want some of the file once more.
            admitted = queue.add_window(window(min(self._next, self.length - 1)))
            self.rewinds += admitted.next_seq < self._next
            self._next = admitted.next_seq
            self.added = max(self.added, self._next)
            self._over.wait(self.pause_s if self._next < self.length else 0.05)

    def _score(self, queue: RedisQueue) -> None:
        while not self._over.is_set():
            for taken in queue.take_windows(max_count=4, block_s=0.2):
                queue.publish_scores(taken, scores_of(taken))

    def _alert(self, queue: RedisQueue) -> None:
        token = queue.acquire_alert(ttl_s=1)
        if token is None:
            raise StaleOwner("another")
        following = int(queue.load_states().get("yard", b"0"))
        waiting: dict[int, TakenScores] = {}
        while not self._over.is_set():
            queue.renew_alert(token, ttl_s=1)
            waiting |= {taken.scores.id.seq: taken for taken in queue.take_scores(token, max_count=10, block_s=0.2)}
            for seq in sorted(waiting):
                if seq > following:
                    break
                events = [event(seq)] if seq == following else []
                following += len(events)
                queue.commit(
                    token,
                    source_id="yard",
                    state=str(following).encode(),
                    events=events,
                    outbox=[(SINK, each) for each in events],
                    done=[waiting.pop(seq).entry_id],
                )

    def _deliver(self, queue: RedisQueue) -> None:
        if queue.acquire_sink(SINK, ttl_s=1) is None:
            raise StaleOwner("another")
        while not self._over.is_set():
            for taken in queue.take_messages(SINK, max_count=10, block_s=0.2):
                self.delivered.append(taken.message.message_id)
                queue.settle_message(SINK, taken)


def event(seq: int) -> Message:
    return message(f"event {seq:04}")
