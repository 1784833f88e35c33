"""One reader of the public event stream for all pages and consumers of this process."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import QueueError
from xclip_stream.protocols import EventLog
from xclip_stream.web.event_book import EventBook

Entry = tuple[str, bytes]
"""The id of a message in the stream, and its CloudEvents JSON."""
FIRST_LOOK_BACK = 10_000
"""So many of the newest messages are read at the start."""
RING = 2000
"""So many messages are kept for consumers that come back."""
PAGE = 500
WAITING = 1000
"""A consumer that is behind by more is sent away: it comes back for what it missed."""
_RETRY_S = 1.0


class Subscription:
    """What one consumer has yet to get. Used in its event loop; `offer` alone may be called from elsewhere."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Entry | None] = asyncio.Queue(WAITING)
        self.over = False
        """True when nothing more comes: the consumer was too slow, or the stream is another one now."""

    async def next(self, *, timeout_s: float) -> Entry | None:
        """Return the next message; None when none came in time, or when it is over."""
        try:
            return await asyncio.wait_for(self._waiting.get(), timeout_s)
        except TimeoutError:
            return None

    def offer(self, entries: list[Entry]) -> None:
        self._call(self._take, entries)

    def end(self) -> None:
        self._call(self._end)

    def _call(self, act: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(act, *arguments)
        except RuntimeError:  # the loop was closed: so is the consumer's connection
            return

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            if self._waiting.full():
                self._end()
                return
            self._waiting.put_nowait(entry)

    def _end(self) -> None:
        self.over = True
        if not self._waiting.full():
            self._waiting.put_nowait(None)


class EventFeed:
    """Follows the public event stream in a thread of its own and passes every message on to whoever subscribed.

    Args:
        events: the stream.
        block_s: how long one look may wait for messages.
    """

    def __init__(self, events: EventLog, *, log: FilteringBoundLogger, block_s: float = 0.5) -> None:
        self._events = events
        self._log = log
        self._block_s = block_s
        self._lock = threading.Lock()
        self._ring: deque[Entry] = deque(maxlen=RING)
        self._subscriptions: set[Subscription] = set()
        self._position: str | None = None
        self.book = EventBook()
        self.problem: str | None = "the event stream has not been read yet"
        """Why the newest events are not known; None when they are."""

    def run(self, stop: threading.Event) -> None:
        """Follow the stream until `stop` is set."""
        while not stop.is_set():
            try:
                self._follow(stop)
            except QueueError as error:
                if self.problem is None:
                    self._log.warning("events_unreadable", error=str(error))
                self.problem = str(error)
                stop.wait(_RETRY_S)

    def follow_once(self) -> None:
        """Look once, and pass on what is there."""
        if self._position is None:
            self._begin()
        self.problem = None
        position = self._position or "0"
        found = self._events.read_events(after_id=position, max_count=PAGE, block_s=self._block_s)
        if found:
            self._pass_on(found)

    def newest_id(self) -> str:
        """Return the id of the newest message that was passed on."""
        return self._position or "0"

    def entries_after(self, entry_id: str, *, max_count: int = PAGE) -> list[Entry]:
        """Return messages that came after one: from memory where it reaches so far back, else from the queue."""
        with self._lock:
            if self._ring and place(self._ring[0][0]) <= place(entry_id):
                return [entry for entry in self._ring if place(entry[0]) > place(entry_id)][:max_count]
        return self._events.read_events(after_id=entry_id, max_count=max_count, block_s=0)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Yield what gets every message from now on."""
        subscription = Subscription()
        with self._lock:
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)

    def _follow(self, stop: threading.Event) -> None:
        # After an outage the stream may have come back empty, or older than what was read of it.
        if self._position is not None and place(self._events.last_event_id()) < place(self._position):
            self._begin_anew()
        while not stop.is_set():
            self.follow_once()

    def _begin(self) -> None:
        newest = self._events.newest_events(max_count=FIRST_LOOK_BACK)
        self._position = newest[-1][0] if newest else "0"
        with self._lock:
            self._ring.extend(newest)
        for entry_id, body in newest:
            self.book.add(entry_id, body)

    def _begin_anew(self) -> None:
        with self._lock:
            self._ring.clear()
            ended = list(self._subscriptions)
        self._position = None
        self.book.clear()
        for subscription in ended:
            subscription.end()

    def _pass_on(self, found: list[Entry]) -> None:
        for entry_id, body in found:
            self.book.add(entry_id, body)
        self._position = found[-1][0]
        with self._lock:
            self._ring.extend(found)
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.offer(found)


def place(entry_id: str) -> tuple[int, int]:
    """Return what orders the ids of the stream."""
    first, _, second = entry_id.partition("-")
    return int(first), int(second or 0)
