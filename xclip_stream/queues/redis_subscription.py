"""The public event stream as one of its consumers reads it: plainly, or as a member of a consumer group."""

from dataclasses import dataclass
from typing import Any

from xclip_stream.errors import QueueError
from xclip_stream.queues.redis_connection import Argument, NoGroup, RedisConnection, RedisKeys, ServerFull
from xclip_stream.queues.redis_consumer import block_ms, fields_of, milliseconds

OLDEST = "0"
"""The id before the first event."""

__all__ = ["OLDEST", "EventEntry", "NoGroup", "RedisSubscription"]


@dataclass(frozen=True, slots=True)
class EventEntry:
    """An entry of the stream. `deliveries` is how often the group was given it; 1 without a group."""

    id: str
    body: bytes
    deliveries: int = 1


class RedisSubscription:
    """Reads events at `url`; it connects with the first call.

    The methods raise QueueUnavailable when it may be tried again, and NoGroup when the group is not there.

    Raises:
        ConfigError: `url` is not one of a Redis, or a file for TLS cannot be used.
    """

    def __init__(self, url: str, *, namespace: str) -> None:
        self._stream = RedisKeys(namespace).events
        self._connection = RedisConnection(url, key=self._stream)

    def close(self) -> None:
        self._connection.close()

    def last_id(self) -> str:
        """Return the id of the newest event; `OLDEST` when there is none."""
        newest = self._connection.call("XREVRANGE", self._stream, "+", "-", "COUNT", 1)
        return newest[0][0].decode() if newest else OLDEST

    def read(self, *, after_id: str, max_count: int, block_s: float) -> list[EventEntry]:
        """Wait up to `block_s` for events after this id, without a group."""
        words: list[Argument] = ["COUNT", max_count, "BLOCK", block_ms(block_s), "STREAMS", self._stream, after_id]
        return _entries(self._connection.call("XREAD", *words))

    def create_group(self, group: str, *, start_id: str) -> None:
        """Create the group where there is none; it begins after `start_id`."""
        try:
            self._connection.call("XGROUP CREATE", self._stream, group, start_id, "MKSTREAM")
        except ServerFull:
            # A full server refuses this also where the group is there.
            if not self._has_group(group):
                raise
        except QueueError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def move_group(self, group: str, *, start_id: str) -> None:
        """Let the group go on after this id, back or forth."""
        self._connection.call("XGROUP SETID", self._stream, group, start_id)

    def take_new(self, group: str, consumer: str, *, block_s: float) -> EventEntry | None:
        """Wait up to `block_s` for an event that nobody in the group was given yet."""
        words = ("GROUP", group, consumer, "COUNT", 1, "BLOCK", block_ms(block_s), "STREAMS", self._stream, ">")
        found = _entries(self._connection.call("XREADGROUP", *words))
        return found[0] if found else None

    def take_own(self, group: str, consumer: str, *, after_id: str) -> EventEntry | None:
        """Return the next event after this id that the consumer was given before and has not acknowledged."""
        return self._claim(group, consumer, idle_s=0.0, after_id=after_id)

    def take_over(self, group: str, consumer: str, *, idle_s: float) -> EventEntry | None:
        """Take an event that was given to somebody in the group, who has done nothing about it for so long."""
        return self._claim(group, consumer, idle_s=idle_s, after_id="")

    def acknowledge(self, group: str, entry_id: str) -> None:
        self._connection.call("XACK", self._stream, group, entry_id)

    def _has_group(self, group: str) -> bool:
        try:
            self._connection.call("XPENDING", self._stream, group)
        except NoGroup:
            return False
        return True

    def _claim(self, group: str, consumer: str, *, idle_s: float, after_id: str) -> EventEntry | None:
        arguments: list[Argument] = [group, consumer, milliseconds(idle_s), after_id]
        found = self._connection.run("claim_event", [self._stream], arguments)
        if not found:
            return None
        entry_id, flat, deliveries = found
        return EventEntry(entry_id.decode(), fields_of(flat).get(b"event", b""), deliveries)


def _entries(reply: Any) -> list[EventEntry]:
    return [
        EventEntry(entry_id.decode(), fields.get(b"event", b""))
        for _, found in reply or ()
        for entry_id, fields in found
    ]
