"""One look at a queue on Redis, for the operator."""

from collections.abc import Iterator, Sequence
from typing import Any

from xclip_stream.inspection import HeldLease, Inspection, ScoreWorker, Waiting, WindowsWaiting
from xclip_stream.queues.redis_consumer import RedisConsumer, count_of, text_of
from xclip_stream.queues.redis_windows import GROUP

_OUTBOX, _LEASE = "outbox:", "lease:"


class RedisInspection(RedisConsumer):
    """Reads only. The ages come from the ids of the entries, which are times of the server's clock."""

    def inspect(self, sink_ids: Sequence[str] = ()) -> Inspection:
        keys = self._keys
        names = sorted(keys.name(text_of(key)) for key in self._call("HGETALL", keys.known))
        sinks = list(dict.fromkeys([*sink_ids, *_after(_OUTBOX, names)]))
        roles = _after(_LEASE, names)
        streams = [keys.live_windows, keys.file_windows, keys.scores, keys.dead, keys.events]
        others = [*map(keys.outbox, sinks), *map(keys.lease, roles)]
        reply = self._run("inspect", [*streams, keys.counters, keys.ingest_team, *others], [GROUP, len(sinks)])
        now_ms, live, files, window_bytes, scores, dead, events, workers, outboxes, leases, team = reply
        memory = self._call("INFO", "memory")
        waiting = {sink_id: _waiting(found, now_ms) for sink_id, found in zip(sinks, outboxes, strict=True)}
        return Inspection(
            at=now_ms / 1000,
            live=_windows(live, now_ms),
            files=_windows(files, now_ms),
            window_bytes=count_of(window_bytes),
            max_bytes=self._connection.window_room_bytes(self._limits.max_bytes),
            scores=_waiting(scores, now_ms),
            max_scores=self._limits.max_scores,
            dead=_waiting(dead, now_ms),
            events=events,
            outboxes={sink_id: found for sink_id, found in waiting.items() if found.count or sink_id in sink_ids},
            score_workers=tuple(sorted(map(_worker, workers), key=lambda worker: worker.name)),
            ingest_workers=dict(_team(team, now_ms)),
            leases=dict(_leases(roles, leases)),
            memory_bytes=int(memory.get("used_memory", 0)),
            max_memory_bytes=int(memory.get("maxmemory", 0)),
        )


def _after(kind: str, names: Sequence[str]) -> list[str]:
    return [name.removeprefix(kind) for name in names if name.startswith(kind)]


def _age_s(entry_id: bytes, now_ms: int) -> float | None:
    """Return the age of an entry; the server's clock may have been set back since."""
    return max(0.0, (now_ms - int(entry_id.partition(b"-")[0])) / 1000) if entry_id else None


def _waiting(depth: Sequence[Any], now_ms: int) -> Waiting:
    count, oldest_id = depth
    return Waiting(count, _age_s(oldest_id, now_ms))


def _windows(found: Sequence[Any], now_ms: int) -> WindowsWaiting:
    (count, oldest_id), held = found
    return WindowsWaiting(max(0, count - held), held, _age_s(oldest_id, now_ms))


def _worker(found: Sequence[Any]) -> ScoreWorker:
    name, held, quiet_ms, deliveries, seen_ms = found
    return ScoreWorker(text_of(name), held, quiet_ms / 1000, deliveries, seen_ms / 1000)


def _team(found: Sequence[bytes], now_ms: int) -> Iterator[tuple[str, float]]:
    for holder, until_ms in zip(found[::2], found[1::2], strict=True):
        yield _shown(holder), (float(until_ms) - now_ms) / 1000


def _leases(roles: Sequence[str], found: Sequence[Any]) -> Iterator[tuple[str, HeldLease]]:
    for role, (holder, left_ms) in zip(roles, found, strict=True):
        if holder:
            yield role, HeldLease(role, _shown(holder), max(0, left_ms) / 1000)


def _shown(holder: bytes) -> str:
    """Return the name of a consumer without what makes it unlike another of that name."""
    return text_of(holder).rpartition("/")[0]
