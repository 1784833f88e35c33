"""Events in Python: a typed iterator over the public event stream, for whoever builds on it.

    from xclip_stream.client import EventClient

    with EventClient("redis://localhost:6379", group="door", consumer="door-1") as events:
        for delivery in events:
            with delivery:
                open_ticket(delivery.event)

It needs neither the model nor a video library, and imports none.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property, partial
from types import TracebackType
from typing import Self, TypeVar

from xclip_stream.errors import QueueUnavailable
from xclip_stream.events import parse_event
from xclip_stream.queues.redis_subscription import OLDEST, EventEntry, NoGroup, RedisSubscription
from xclip_stream.types import Event

__all__ = ["Delivery", "EventClient"]

Answer = TypeVar("Answer")
Start = str | datetime

_BLOCK_S = 1.0
_NO_WAIT_S = 0.001
_PAGE = 100
_CLAIM_EVERY_S = 1.0
_FIRST_DELAY_S, _LONGEST_DELAY_S, _STEP_S = 0.25, 5.0, 0.1

_log = logging.getLogger(__name__)


class Delivery:
    """One event of the stream, given to this consumer.

    As a context it is acknowledged when the block ends; a block that raises leaves it unacknowledged, and the group
    gives it to somebody again. Without a group there is nothing to acknowledge.
    """

    def __init__(self, entry: EventEntry, acknowledge: Callable[[str], None]) -> None:
        self.id = entry.id
        """Its place in the stream: `start` takes it, to go on after this event."""
        self.body = entry.body
        """The CloudEvents JSON as it was published."""
        self.deliveries = entry.deliveries
        """How often the group was given it: above 1, it may have been handled before."""
        self._acknowledge = acknowledge

    @cached_property
    def event(self) -> Event:
        """The event.

        Raises:
            DecodeError: it is of a schema that this version of the package does not read.
        """
        return parse_event(self.body)

    def ack(self) -> None:
        """Let go of it: the group gives it to nobody again. Waits while Redis is away.

        Raises:
            QueueUnavailable: the client was closed meanwhile; it comes again.
        """
        self._acknowledge(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.ack()


class EventClient:
    """Iterates over the events, the retained ones and then those that come, until it is closed.

    With a `group`, each event is given to one consumer of the group and comes again until somebody has acknowledged it:
    at once to a consumer of the same name that starts anew, and after `claim_idle_s` to any other. So it is handled at
    least once, and may be handled twice: deduplicate on `event.message_id`, or make what you do with it idempotent.
    Within a group of one consumer, and without a group, events come in the order of the stream.

    Without a group it reads on its own and remembers nothing: keep `delivery.id` to go on there.

    An outage of Redis is waited for. One at the start is not: the address may be wrong.

    Args:
        redis_url: as `redis.url` of the configuration.
        consumer: a name within the group that is the same after a restart and is nobody else's at the same time. None:
            made of host and process.
        start: where a group that is new begins, or a reading without a group: `new`, `oldest` (that is retained), after
            an id, or with the events that were published since a time.
        claim_idle_s: longer than the longest handling of one event.

    Raises:
        ConfigError: `redis_url` is not one of a Redis.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        group: str | None = None,
        consumer: str | None = None,
        start: Start = "new",
        namespace: str = "main",
        claim_idle_s: float = 60.0,
    ) -> None:
        self._group = group
        self._consumer = consumer or f"{socket.gethostname()}-{os.getpid()}"
        self._start = start
        self._claim_idle_s = claim_idle_s
        self._stream = RedisSubscription(redis_url, namespace=namespace)
        self._after_id = OLDEST
        """Without a group: what was read last. With one: what was read last of what is the consumer's own already."""
        self._own_are_done = False
        self._claim_at = 0.0
        self._is_closed = False

    def __enter__(self) -> Self:
        """Connect, and find the place to start.

        Raises:
            QueueUnavailable: Redis does not answer.
            QueueError: it refuses this user.
        """
        newest_id = self._stream.last_id()
        start_id = newest_id if self._start == "new" else self._id_of(self._start)
        if self._group is None:
            self._after_id = start_id
        else:
            self._stream.create_group(self._group, start_id=start_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._stream.close()

    def close(self) -> None:
        """End the iteration within a second or so. May be called from another thread or a signal handler."""
        self._is_closed = True

    def rewind(self, start: Start) -> None:
        """Let the whole group, or this reading, go on from elsewhere: events that were handled before come again."""
        start_id = self._id_of(start)
        if self._group is None:
            self._after_id = start_id
        else:
            self._stream.move_group(self._group, start_id=start_id)

    def retained(self) -> Iterator[Delivery]:
        """Iterate as ever, but end where there is nothing more for now instead of waiting."""
        step = self._read if self._group is None else self._take
        while entries := self._insist(partial(step, block_s=_NO_WAIT_S)):
            yield from self._deliveries(entries)

    def __iter__(self) -> Iterator[Delivery]:
        step = self._read if self._group is None else self._take
        while (entries := self._insist(partial(step, block_s=_BLOCK_S))) is not None:
            yield from self._deliveries(entries)

    def _deliveries(self, entries: Sequence[EventEntry]) -> Iterator[Delivery]:
        for entry in entries:
            if self._is_closed:
                return
            if self._group is None:
                self._after_id = entry.id
            yield Delivery(entry, self._acknowledge)

    def _read(self, *, block_s: float) -> list[EventEntry]:
        return self._stream.read(after_id=self._after_id, max_count=_PAGE, block_s=block_s)

    def _take(self, *, block_s: float) -> list[EventEntry]:
        """Take one event: what this consumer has already, then what others have left, then what is new."""
        group = self._group or ""
        try:
            entry = self._take_own(group) or self._take_over(group)
            entry = entry or self._stream.take_new(group, self._consumer, block_s=block_s)
        except NoGroup:
            # Redis came back empty: all that it has by now is new to the group.
            self._stream.create_group(group, start_id=OLDEST)
            return []
        return [] if entry is None else [entry]

    def _take_own(self, group: str) -> EventEntry | None:
        if self._own_are_done:
            return None
        entry = self._stream.take_own(group, self._consumer, after_id=self._after_id)
        if entry is None:
            self._own_are_done = True
        else:
            self._after_id = entry.id
        return entry

    def _take_over(self, group: str) -> EventEntry | None:
        if time.monotonic() < self._claim_at:
            return None
        entry = self._stream.take_over(group, self._consumer, idle_s=self._claim_idle_s)
        if entry is None:
            self._claim_at = time.monotonic() + min(_CLAIM_EVERY_S, self._claim_idle_s)
        return entry

    def _acknowledge(self, entry_id: str) -> None:
        group = self._group
        if group is None:
            return

        def acknowledge() -> bool:
            self._stream.acknowledge(group, entry_id)
            return True

        if not self._insist(acknowledge, at_least_once=True):
            raise QueueUnavailable("the client was closed before Redis had taken the acknowledgement")

    def _insist(self, step: Callable[[], Answer], *, at_least_once: bool = False) -> Answer | None:
        """Do a step, through any outage; None when the client is closed before it is done."""
        delay_s, is_away = _FIRST_DELAY_S, False
        while at_least_once or not self._is_closed:
            at_least_once = False
            try:
                answer = step()
            except QueueUnavailable as error:
                if not is_away:
                    _log.warning("waiting for Redis: %s", error)
                is_away = True
                # The reply that was lost may have had an event in it: it is asked for as one of its own.
                self._own_are_done, self._after_id = False, OLDEST if self._group else self._after_id
            else:
                if is_away:
                    _log.warning("Redis is back")
                return answer
            until = time.monotonic() + delay_s
            while not self._is_closed and time.monotonic() < until:
                time.sleep(_STEP_S)
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
        return None

    def _id_of(self, start: Start) -> str:
        if isinstance(start, datetime):
            return f"{max(0, round(start.timestamp() * 1000) - 1)}-{(1 << 64) - 1}"
        if start == "new":
            return self._stream.last_id()
        return OLDEST if start == "oldest" else start
