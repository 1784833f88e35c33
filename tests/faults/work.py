"""Which workers have work in hand at this moment, as Redis knows it."""

from tests.faults.system import System, Worker
from xclip_stream.errors import QueueError
from xclip_stream.queues.redis_connection import RedisConnection, RedisKeys
from xclip_stream.queues.redis_windows import GROUP


class WorkInHand:
    """Looks into Redis to tell whether a fault would hit a worker in the middle of its work."""

    def __init__(self, system: System, *, redis_url: str, source_ids: list[str], sink_ids: list[str]) -> None:
        self._system = system
        self._keys = RedisKeys("main")
        self._connection = RedisConnection(redis_url, key=self._keys.counters)
        self._source_ids = source_ids
        self._sink_ids = sink_ids

    def is_busy(self, worker: Worker) -> bool:
        """Return whether the worker has work in hand; False while nobody can tell."""
        tests = {"ingest": self._reads, "score": self._scores, "alert": self._judges, "deliver": self._delivers}
        try:
            return worker.running and tests[worker.role](f"-{worker.pid}-".encode())
        except QueueError:  # the stream of windows is not there yet, or Redis is away
            return False

    def _reads(self, _mark: bytes) -> bool:
        """It reads while a file has not ended."""
        return not all(self._system.queue.epoch_ended(source_id) for source_id in self._source_ids)

    def _scores(self, mark: bytes) -> bool:
        """It holds windows that it has not published."""
        consumers = self._connection.call("XINFO CONSUMERS", self._keys.file_windows, GROUP)
        return any(mark in consumer["name"] and consumer["pending"] for consumer in consumers)

    def _judges(self, mark: bytes) -> bool:
        """It is the one that decides, and scores wait for it."""
        return self._holds("alert", mark) and self._length(self._keys.scores) > 0

    def _delivers(self, mark: bytes) -> bool:
        """It delivers for a sink for which messages wait."""
        return any(
            self._holds(f"sink:{sink_id}", mark) and self._length(self._keys.outbox(sink_id)) > 0
            for sink_id in self._sink_ids
        )

    def _holds(self, role: str, mark: bytes) -> bool:
        return mark in (self._connection.call("GET", self._keys.lease(role)) or b"")

    def _length(self, stream: str) -> int:
        return int(self._connection.call("XLEN", stream))

    def close(self) -> None:
        self._connection.close()
