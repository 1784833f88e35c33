"""What every role of the Redis queue has: the connection, a name, and what this consumer holds."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from xclip_stream.errors import QueueUnavailable, StaleOwner
from xclip_stream.protocols import TakenWindow
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.redis_connection import MAX_BLOCK_S, Argument, RedisConnection, RedisKeys

Fields = dict[bytes, bytes]
NO_CURSOR = "0-0"
ALERT = "alert"
"""The role of the one that commits."""


@dataclass(frozen=True, slots=True)
class HeldWindow:
    """A window of this consumer, as its entry says it: needed to let go of it, even where it cannot be decoded."""

    stream: str
    id: str
    """The id in its stream."""
    source_id: str
    epoch: str
    run: str
    generation: int
    num_bytes: int
    tombstone: bytes

    @property
    def entry_id(self) -> str:
        return f"{self.stream}/{self.id}"


class RedisConsumer:
    """One consumer. Each worker has its own; a worker may use it from several threads, each with another role."""

    def __init__(
        self,
        connection: RedisConnection,
        keys: RedisKeys,
        *,
        consumer: str,
        limits: QueueLimits,
        claim_idle_s: float,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._consumer = consumer
        self._limits = limits
        self._claim_idle_s = claim_idle_s
        # Two consumers of one name must not take each other's leases for their own.
        self._holder = f"{consumer}/{uuid4().hex}"
        self._batches = 0
        self._held: dict[str, HeldWindow] = {}
        self._spare: list[TakenWindow] = []
        self._windows_came_singly = False
        """The last wait has left none behind: then the next look is a wait at once, which finds what is there too."""
        self._may_have_lost_windows = False
        self._claim_at = 0.0
        self._connects = 0
        self._commits = 0
        self._cursors: dict[str, str] = {}

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run a script; after an outage everything that is not let go of is read again."""
        with self._outage_noticed():
            return self._connection.run(script, keys, arguments)

    def _call(self, command: str, *arguments: Argument) -> Any:
        """Run a command; the same holds after an outage."""
        with self._outage_noticed():
            return self._connection.call(command, *arguments)

    @contextmanager
    def _outage_noticed(self) -> Iterator[None]:
        # The reply with the entries may be what was lost, or the server may have come back older than it was.
        try:
            yield
        except QueueUnavailable:
            self._forget_position()
            raise
        if self._connects != self._connection.connects:
            self._connects = self._connection.connects
            self._forget_position()

    def _forget_position(self) -> None:
        self._cursors.clear()
        self._may_have_lost_windows = True
        self._claim_at = 0.0

    def _read_after(self, stream: str, cursor: str, *, max_count: int, block_s: float) -> list[tuple[bytes, Fields]]:
        """Return the entries after `cursor`, and wait up to `block_s` for the first of them."""
        block: list[Argument] = ["BLOCK", block_ms(block_s)] if block_s > 0 else []
        reply = self._call("XREAD", "COUNT", max_count, *block, "STREAMS", stream, cursor)
        return [entry for _, entries in reply for entry in entries]

    def _cursor(self, role: str) -> str:
        return self._cursors.get(role, NO_CURSOR)

    def _move_cursor(self, role: str, cursor: str, entries: Sequence[Any]) -> None:
        """Go on after the entries that were read after `cursor`. After an outage meanwhile all is read again."""
        if entries and cursor == self._cursor(role):
            self._cursors[role] = entries[-1][0].decode()

    def _acquire(self, role: str, *, ttl_s: float) -> tuple[int, int] | None:
        """Take a role: the token and the number of commits so far."""
        keys = [self._keys.lease(role), self._keys.counters, self._keys.known, *self._commits_of(role)]
        reply = self._run("acquire_lease", keys, [self._holder, milliseconds(ttl_s)])
        token, commits = reply
        return (token, commits) if token else None

    def _renew(self, role: str, token: int, *, ttl_s: float, commits: int = 0) -> bool:
        keys = [self._keys.lease(role), *self._commits_of(role)]
        return bool(self._run("renew_lease", keys, [token, milliseconds(ttl_s), commits]))

    def _commits_of(self, role: str) -> list[str]:
        """Return the key that counts the commits of a role: only of the one that commits, whose user may read it."""
        return [self._keys.alert] if role == ALERT else []

    def _release(self, role: str, token: int) -> None:
        self._run("release_lease", [self._keys.lease(role)], [token])

    def _burial(self) -> list[Argument]:
        """What the scripts that bury need to know of the caps."""
        room = self._limits.dead_bytes
        if room is None:
            room = self._connection.window_room_bytes(self._limits.max_bytes) // 4
        return [room, self._limits.dead_letters]


def letter_fields(*, home: str, subject: str, reason: str, deliveries: int) -> list[Argument]:
    """Return the fields of a dead letter that are its own; those of the entry that died follow."""
    return [
        *("home", home),
        *("subject", subject),
        *("reason", reason),
        *("deliveries", deliveries),
        *("died_at", repr(time.time())),
    ]


FIRST_OF_CONTENT = 13
"""Where the fields of the dead entry begin in a letter, counted from 1: after `bytes` and the five above."""


def source_role(source_id: str) -> str:
    """Return the role of reading a source."""
    return f"source:{source_id}"


def stale(role: str) -> StaleOwner:
    return StaleOwner(f"another worker has taken over the role {role}")


def text_of(raw: bytes) -> str:
    """Return a text that anybody may have written. What is not UTF-8 becomes U+FFFD, which no name of ours has."""
    return raw.decode(errors="replace")


def count_of(raw: bytes) -> int:
    """Return a count that anybody may have written; 0 where it is none, or no 64 bits hold it."""
    return int(raw) if raw.isdigit() and len(raw) < 19 else 0


def fields_of(flat: list[bytes]) -> Fields:
    """Return the fields of an entry that a script returned: name, value, name, value…"""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def milliseconds(duration_s: float) -> int:
    """Return at least 1: to the server 0 means for ever, or at once."""
    return max(1, round(1000 * duration_s))


def block_ms(block_s: float) -> int:
    return milliseconds(min(block_s, MAX_BLOCK_S))
