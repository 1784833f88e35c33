"""Who reads which source, on Redis: a lease for each, and the team of the workers that share them."""

from collections.abc import Sequence

from xclip_stream.protocols import IngestTeam
from xclip_stream.queues.redis_consumer import RedisConsumer, milliseconds, source_role, stale, text_of


class RedisLeases(RedisConsumer):
    """The role of those that start and stop readers."""

    def acquire_source(self, source_id: str, *, ttl_s: float) -> int | None:
        acquired = self._acquire(source_role(source_id), ttl_s=ttl_s)
        return acquired[0] if acquired else None

    def renew_source(self, source_id: str, token: int, *, ttl_s: float) -> None:
        if not self._renew(source_role(source_id), token, ttl_s=ttl_s):
            raise stale(source_role(source_id))

    def release_source(self, source_id: str, token: int) -> None:
        self._release(source_role(source_id), token)

    def join_ingest(self, source_ids: Sequence[str], *, ttl_s: float) -> IngestTeam:
        workers, free = self._run("join_ingest", self._team_keys(source_ids), [self._holder, milliseconds(ttl_s)])
        return IngestTeam(
            others=frozenset(map(text_of, workers)) - {self._holder},
            free=frozenset(source_ids[number] for number in free),
        )

    def leave_ingest(self, source_ids: Sequence[str], *, worker: str | None = None) -> None:
        self._run("leave_ingest", self._team_keys(source_ids), [self._holder if worker is None else worker])

    def _team_keys(self, source_ids: Sequence[str]) -> list[str]:
        return [self._keys.ingest_team, *(self._keys.lease(source_role(source_id)) for source_id in source_ids)]
