"""Who reads which source, in memory."""

from collections.abc import Sequence

from xclip_stream.protocols import IngestTeam
from xclip_stream.queues.memory_consumer import MemoryConsumer


class MemoryLeases(MemoryConsumer):
    """The role of those that start and stop readers."""

    def acquire_source(self, source_id: str, *, ttl_s: float) -> int | None:
        with self._store.changed:
            return self._acquire(_role(source_id), ttl_s=ttl_s)

    def renew_source(self, source_id: str, token: int, *, ttl_s: float) -> None:
        with self._store.changed:
            self._store.renew(_role(source_id), token, ttl_s=ttl_s)

    def release_source(self, source_id: str, token: int) -> None:
        with self._store.changed:
            self._store.release(_role(source_id), token)

    def join_ingest(self, source_ids: Sequence[str], *, ttl_s: float) -> IngestTeam:
        with self._store.changed:
            team, now_s = self._store.ingest_team, self._store.clock.monotonic()
            team[self._consumer] = now_s + ttl_s
            for worker in [worker for worker, until_s in team.items() if until_s <= now_s]:
                del team[worker]
            free = (source_id for source_id in source_ids if self._store.lease(_role(source_id)) is None)
            return IngestTeam(others=frozenset(team) - {self._consumer}, free=frozenset(free))

    def leave_ingest(self, source_ids: Sequence[str], *, worker: str | None = None) -> None:
        leaver = self._consumer if worker is None else worker
        with self._store.changed:
            self._store.ingest_team.pop(leaver, None)
            for source_id in source_ids:
                lease = self._store.lease(_role(source_id))
                if lease and lease.holder == leaver:
                    self._store.release(_role(source_id), lease.token)


def _role(source_id: str) -> str:
    return f"source:{source_id}"
