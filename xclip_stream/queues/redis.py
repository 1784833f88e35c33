"""The queue on Redis Streams. Every step that writes more than one key is one Lua script beside this file."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar
from uuid import uuid4

from xclip_stream.codec import decode_message, decode_rule_status, decode_source_status
from xclip_stream.errors import DecodeError, QueueError
from xclip_stream.protocols import QueueDepths, RuleStatus, SourceStatus
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.redis_connection import RedisConnection, RedisKeys
from xclip_stream.queues.redis_consumer import (
    ALERT,
    FIRST_OF_CONTENT,
    NO_CURSOR,
    Fields,
    RedisConsumer,
    count_of,
    text_of,
)
from xclip_stream.queues.redis_events import RedisAlert, RedisDelivery, RedisEvents
from xclip_stream.queues.redis_history import RedisHistory
from xclip_stream.queues.redis_inspection import RedisInspection
from xclip_stream.queues.redis_leases import RedisLeases
from xclip_stream.queues.redis_pictures import RedisPictures
from xclip_stream.queues.redis_windows import RedisIngest, RedisScoring
from xclip_stream.types import DeadLetter, is_moment

Status = TypeVar("Status")
_DEFAULTS = QueueLimits()
_LOOKED_AT_ONCE = 500
"""So many scores are looked at in one step of the server, which does nothing else meanwhile."""


class RedisDeadLetters(RedisConsumer):
    """The dead letters. The scores of a window that is replayed come too late to make events: its `seq` has passed."""

    def list_dead(self, *, max_count: int) -> list[DeadLetter]:
        found = self._call("XRANGE", self._keys.dead, "-", "+", "COUNT", max_count)
        return [_letter(entry_id.decode(), fields) for entry_id, fields in found or ()]

    def replay_dead(self, letter_id: str) -> bool:
        found = self._find(letter_id)
        if found is None:
            return False
        home = text_of(found.get(b"home", b""))
        keys = [self._keys.dead, self._keys.counters, self._keys.of(home)]
        if home.startswith("windows:"):
            keys.append(self._keys.source(text_of(found.get(b"source", b""))))
        answer: int = self._run("replay_letter", keys, [letter_id, FIRST_OF_CONTENT])
        if answer == -1:
            raise QueueError(f"dead letter {letter_id} was kept without its payload: drop it")
        return answer == 1

    def drop_dead(self, letter_id: str) -> bool:
        if not _is_entry_id(letter_id):
            return False
        return bool(self._run("drop_letter", [self._keys.dead, self._keys.counters], [letter_id]))

    def _find(self, letter_id: str) -> Fields | None:
        if not _is_entry_id(letter_id):
            return None
        found = self._call("XRANGE", self._keys.dead, letter_id, letter_id)
        return found[0][1] if found else None


class RedisOverview(RedisInspection):
    """What an operator wants to know."""

    def source_statuses(self) -> Mapping[str, SourceStatus]:
        return self._statuses(self._keys.source_statuses, decode_source_status)

    def rule_statuses(self) -> Mapping[str, RuleStatus]:
        return self._statuses(self._keys.rule_statuses, decode_rule_status)

    def depths(self, sink_ids: Sequence[str]) -> QueueDepths:
        keys = self._keys
        return QueueDepths(
            windows=self._length(keys.live_windows) + self._length(keys.file_windows),
            window_bytes=count_of(self._call("HGET", keys.counters, "bytes") or b""),
            scores=self._length(keys.scores),
            outbox={sink_id: self._length(keys.outbox(sink_id)) for sink_id in sink_ids},
            dead=self._length(keys.dead),
        )

    def epoch_ended(self, source_id: str, epoch: str | None = None) -> bool:
        current, ended = self._call("HMGET", self._keys.source(source_id), "epoch", "ended")
        return ended == b"1" and epoch in {None, (current or b"").decode()}

    def forget_source(self, source_id: str) -> None:
        keys = self._keys
        tables = [keys.state, keys.source_statuses, keys.rule_statuses]
        own = [keys.history(source_id), keys.evidence_wanted(source_id), keys.evidence_judged(source_id)]
        names = [keys.source(source_id), keys.scores, *tables, keys.lease(ALERT), *own, keys.rescore(source_id)]
        self._run("forget_source", names, [source_id, *self._scores_of(source_id)])

    def _scores_of(self, source_id: str) -> list[bytes]:
        """Return the id up to which the scores were looked at, and the ids of those of one source."""
        cursor, ids = NO_CURSOR.encode(), list[bytes]()
        while True:
            found, last = self._run("scores_of_source", [self._keys.scores], [source_id, cursor, _LOOKED_AT_ONCE])
            if not last:
                return [cursor, *ids]
            ids += found
            cursor = last

    def forget_sink(self, sink_id: str) -> int:
        keys = [self._keys.outbox(sink_id), self._keys.deliveries(sink_id), self._keys.lease(f"sink:{sink_id}")]
        count: int = self._run("forget_sink", keys)
        if count < 0:
            raise QueueError(f"sink {sink_id}: a worker delivers for it")
        return count

    def evidence_waiting(self, source_ids: Sequence[str]) -> int:
        return sum(self._length(self._keys.evidence_wanted(source_id)) for source_id in source_ids)

    def waiting_messages(self, sink_id: str, *, max_count: int) -> list[str]:
        found = self._call("XRANGE", self._keys.outbox(sink_id), "-", "+", "COUNT", max_count)
        return [message_id for _, fields in found if (message_id := _message_id(fields))]

    def _length(self, stream: str) -> int:
        length: int = self._call("XLEN", stream)
        return length

    def _statuses(self, key: str, decode: Callable[[bytes], Status]) -> dict[str, Status]:
        reply = self._call("HGETALL", key)
        found = {}
        for source_id, status in reply.items():
            try:
                found[text_of(source_id)] = decode(status)
            except DecodeError:
                # Of another version of the package, and for display only: the next report replaces it.
                continue
        return found


class RedisQueue(
    RedisIngest,
    RedisLeases,
    RedisScoring,
    RedisAlert,
    RedisDelivery,
    RedisEvents,
    RedisHistory,
    RedisPictures,
    RedisDeadLetters,
    RedisOverview,
):
    """A queue with every role, on a Redis server from version 6.2 on. `open_queue` makes one.

    Each worker has its own. Calls of different roles, and of different sinks, may come from different threads.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def consumer(self, name: str, *, claim_idle_s: float | None = None) -> "RedisQueue":
        """Return another consumer of the same queue, on the same connections."""
        return RedisQueue(
            self._connection,
            self._keys,
            consumer=name,
            limits=self._limits,
            claim_idle_s=self._claim_idle_s if claim_idle_s is None else claim_idle_s,
        )

    def ping(self) -> None:
        """Ask the server whether it is there.

        Raises:
            QueueUnavailable: it does not answer, or cannot serve now.
            QueueError: it refuses this user.
        """
        self._call("PING")

    def close(self) -> None:
        """Close the connections, those of other consumers too. What is held stays held until it is claimed."""
        self._connection.close()


def open_queue(
    url: str,
    *,
    namespace: str = "main",
    consumer: str | None = None,
    max_bytes: int | None = None,
    file_windows: int = _DEFAULTS.file_windows,
    live_windows: int = _DEFAULTS.live_windows,
    claim_idle_s: float = _DEFAULTS.claim_idle_s,
    max_deliveries: int = _DEFAULTS.max_deliveries,
    events_retained: int = _DEFAULTS.events_retained,
    history_s: float = _DEFAULTS.history_s,
    history_entries: int = _DEFAULTS.history_entries,
) -> RedisQueue:
    """Return a queue on the server at `url`; it connects with the first call. The caps are those of `QueueLimits`.

    Args:
        consumer: the name of this consumer, unlike any other's. None: made of the host, the process and chance.

    Raises:
        ConfigError: `url` is not one of a Redis (see `xclip_stream.redis_url`), or a file for TLS cannot be used.
    """
    limits = QueueLimits(
        max_bytes=max_bytes,
        file_windows=file_windows,
        live_windows=live_windows,
        claim_idle_s=claim_idle_s,
        max_deliveries=max_deliveries,
        events_retained=events_retained,
        history_s=history_s,
        history_entries=history_entries,
    )
    name = consumer or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
    keys = RedisKeys(namespace)
    connection = RedisConnection(url, key=keys.counters)
    return RedisQueue(connection, keys, consumer=name, limits=limits, claim_idle_s=claim_idle_s)


def _letter(letter_id: str, fields: Fields) -> DeadLetter:
    home = text_of(fields.get(b"home", b""))
    parts = (fields.get(name, b"") for name in (b"window", b"frames", b"message", b"scores"))
    return DeadLetter(
        id=letter_id,
        origin="windows" if home.startswith("windows:") else home,
        subject=text_of(fields.get(b"subject", b"")),
        reason=text_of(fields.get(b"reason", b"")),
        deliveries=count_of(fields.get(b"deliveries", b"")),
        died_at=_time_of(fields.get(b"died_at", b"")),
        payload=b"".join(parts),
    )


def _time_of(raw: bytes) -> float:
    """Return Unix seconds; 0 where it is no time."""
    try:
        at = float(raw)
    except ValueError:
        return 0.0
    return at if is_moment(at) else 0.0


def _message_id(fields: Fields) -> str | None:
    try:
        return decode_message(fields.get(b"message", b"")).message_id
    except DecodeError:  # the deliver worker will bury it
        return None


def _is_entry_id(text: str) -> bool:
    first, dash, second = text.partition("-")
    return first.isdecimal() and (not dash or second.isdecimal())
