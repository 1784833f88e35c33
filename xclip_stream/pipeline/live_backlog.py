"""What a camera has for the queue, while the queue does not take it: short, in order, and nothing lost silently."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import QueueUnavailable, StaleOwner
from xclip_stream.motion_gate import MotionGate, Run
from xclip_stream.pipeline.assembling import WindowSettings
from xclip_stream.pipeline.backoff import Backoff
from xclip_stream.protocols import Admission, Admitted, Clock, IngestQueue
from xclip_stream.thinning import Thinning
from xclip_stream.types import Frame, ScoreStatus, WindowId
from xclip_stream.windowing import Cut

MAX_TOMBSTONES = 100
"""A longer gap is not filled: a new epoch begins, which also ends the events that were open before it."""
_TRY_AGAIN_S = 0.1
_TAKEN = frozenset({Admission.ADDED, Admission.ALREADY_DONE})


class Number(Protocol):
    """A number that several processes may share, such as `multiprocessing.Value`."""

    value: int


class LiveEpochs:
    """The epochs of one lease of a camera: a new one only when a gap is too long to be filled."""

    def __init__(self, *, lease: str, number: Number) -> None:
        self._lease = lease
        self._number = number

    def current(self) -> str:
        return f"{self._lease}-{self._number.value}"

    def advance(self) -> None:
        self._number.value += 1


@dataclass(frozen=True, slots=True)
class _Item:
    """A window, or the tombstone that takes the place of one; its `seq` is given when it is sent."""

    pts_s: float
    captured_at: float
    produced_at: float
    cut: Cut[Frame] | None = None
    connection: int = 0
    """Counts the connections to the camera."""
    is_thinned_out: bool = False
    """A window under overload that is not scored; where nothing has changed it is told of all the same."""
    status: ScoreStatus = ScoreStatus.DROPPED
    begins_epoch: bool = False
    """Neither of the two: what follows belongs to a new epoch."""


class Backlog:
    """Holds the newest windows of a camera in order, and sends them when the queue takes them.

    `add_window` and `add_lost` never wait and are called by the thread that reads the camera. `pump` and `finish` talk
    to the queue, in one other thread. With more than `capacity` windows the oldest one becomes a DROPPED tombstone.
    Where the queue is full again and again for longer than a window spans, the backlog keeps the newest window alone:
    what waits in a line that never empties only grows old. Where event time goes back, because somebody has set the
    clock, a new epoch begins.

    A window that shows what the one shows that was scored last is not sent: the queue is told of which one the scores
    stand for it. That takes next to no room, so a full queue does not refuse it. The first window of a connection, of
    an epoch, and after anything that the queue has forgotten is always sent.

    A server without memory, on which nobody takes the scores, takes no tombstones either. They wait here, and where
    there are too many of them a new epoch begins without them, once.

    Where half of the windows are given up, because the queue is full, only one in two is sent, or one in four. What
    is thinned out takes no `seq`, and is not counted as dropped: it is as if the stride were longer.
    """

    def __init__(
        self,
        *,
        source_id: str,
        queue: IngestQueue,
        epochs: LiveEpochs,
        settings: WindowSettings,
        capacity: int,
        clock: Clock,
        log: FilteringBoundLogger,
        token: int = 0,
        gate: MotionGate | None = None,
        thinning: Thinning | None = None,
    ) -> None:
        self._source_id = source_id
        self._queue = queue
        self._epochs = epochs
        self._settings = settings
        self._capacity = capacity
        self._clock = clock
        self._log = log
        self._token = token
        self._gate = gate or MotionGate(mode="off", refresh_s=0.0)
        self._thinning = thinning or Thinning(max_step=1, calm_s=0.0)
        self._connection = 0
        self._lock = threading.Lock()
        self._items: deque[_Item] = deque()
        self._in_flight: _Item | None = None
        self._next_seq: int | None = None
        self._retry_at = 0.0
        self._full_since = self._full_at = float("-inf")
        self._newest_captured_at = 0.0
        self._backoff = Backoff(first_s=0.5, cap_s=5.0)
        self._sent = 0
        self._dropped = 0
        self._unchanged = 0

    @property
    def sent(self) -> int:
        """Windows that the queue has taken, the unchanged ones among them."""
        return self._sent

    @property
    def unchanged(self) -> int:
        """Windows that are not scored, because nothing had changed."""
        return self._unchanged

    @property
    def dropped(self) -> int:
        """Windows that were given up."""
        return self._dropped

    @property
    def window_step(self) -> int:
        """One window in so many is sent to be scored; more than 1 under overload."""
        return self._thinning.step

    @property
    def waits(self) -> bool:
        """Whether something is there that the queue has not taken yet."""
        return bool(self._items)

    def note_connection(self) -> None:
        """Note that what follows comes from a new connection to the camera."""
        self._connection += 1

    def note_wish(self, rescore: WindowId | None) -> None:
        """Let the next window be scored, if it is this one whose scores would stand for it."""
        if rescore is not None and rescore.epoch == self._epochs.current():
            self._gate.forget(rescore.seq)

    def add_window(self, cut: Cut[Frame]) -> None:
        last = cut.frames[-1]
        with self._lock:
            if last.captured_at < self._newest_captured_at:
                self._items.append(_Item(last.pts_s, last.captured_at, self._clock.now(), begins_epoch=True))
            self._newest_captured_at = last.captured_at
            self._items.append(
                _Item(
                    last.pts_s,
                    last.captured_at,
                    self._clock.now(),
                    cut,
                    self._connection,
                    is_thinned_out=not self._thinning.keeps(cut.seq),
                )
            )
            self._drop_above(1 if self._stays_full() else self._capacity)

    def add_lost(self, *, pts_s: float, captured_at: float) -> None:
        """Note that the camera is lost here, so that open events end."""
        with self._lock:
            self._items.append(_Item(pts_s, captured_at, self._clock.now(), status=ScoreStatus.SOURCE_LOST))

    def pump(self) -> None:
        """Send what the queue takes now. Does nothing for a while after it took nothing.

        Raises:
            StaleOwner: another worker has taken the source over.
        """
        if self._clock.monotonic() < self._retry_at:
            return
        try:
            with self._lock:
                self._shorten()
            self._send_all()
        except QueueUnavailable as error:
            if self._backoff.failures == 0:
                self._log.warning("queue_unavailable", error=str(error))
            self._retry_at = self._clock.monotonic() + self._backoff.next_delay_s()
        else:
            if self._backoff.failures:
                self._log.info("queue_available", failures=self._backoff.failures)
                self._backoff.reset()

    def finish(self, *, pts_s: float, captured_at: float) -> None:
        """Send what is left and close the epoch; windows that the queue does not take now are dropped.

        Raises:
            StaleOwner: another worker has taken the source over.
        """
        try:
            with self._lock:
                self._shorten()
            self._send_all()
            with self._lock:
                self._drop_above(0)
            self._send_all()
            with self._lock:
                stopped = _Item(pts_s, captured_at, self._clock.now(), status=ScoreStatus.SOURCE_STOPPED)
                self._items = deque([stopped])
            self._send_all()
        except QueueUnavailable as error:
            self._log.warning("epoch_left_open", error=str(error))

    def _send_all(self) -> None:
        """Send items until there is none left, or the queue is full."""
        if self._next_seq is None:
            self._next_seq = self._begin_epoch()
        while (item := self._take()) is not None:
            if item.begins_epoch:
                self._next_seq = self._begin_anew()
                continue
            if item.is_thinned_out and self._stand_in(item) is None:
                self._let_go()
                continue
            admitted = self._offer(item, self._next_seq)
            match admitted.answer:
                case Admission.FULL:
                    self._note_full()
                    return
                case Admission.STALE:
                    raise StaleOwner(f"source {self._source_id}: another worker has taken it over")
                case Admission.REWIND:
                    self._next_seq = self._rewind(item, self._next_seq)
                case Admission.ADDED | Admission.ALREADY_DONE:
                    self._log.debug("window_added", seq=self._next_seq, last_pts_s=item.pts_s)
                    self._next_seq = admitted.next_seq

    def _let_go(self) -> None:
        """Take the first item away."""
        with self._lock:
            self._items.popleft()
            self._in_flight = None

    def _begin_anew(self) -> int:
        """Begin the epoch that the first item announces."""
        self._let_go()
        self._next_seq = None  # should the queue be away just now
        self._epochs.advance()
        self._log.warning("clock_set_back", epoch=self._epochs.current())
        return self._begin_epoch()

    def _note_full(self) -> None:
        now = self._clock.monotonic()
        self._retry_at = now + _TRY_AGAIN_S
        if now - self._full_at > self._settings.span_s:
            self._full_since = now
        self._full_at = now

    def _stays_full(self) -> bool:
        """Tell whether the queue, for longer than a window spans, was full again and again."""
        now, span_s = self._clock.monotonic(), self._settings.span_s
        return now - self._full_at <= span_s < now - self._full_since

    def _begin_epoch(self) -> int:
        self._gate.forget()
        return self._queue.begin_epoch(self._source_id, self._epochs.current(), live=True, token=self._token)

    def _take(self) -> _Item | None:
        with self._lock:
            self._in_flight = self._items[0] if self._items else None
            return self._in_flight

    def _offer(self, item: _Item, seq: int) -> Admitted:
        """Send the first item, and let go of it when the queue has it."""
        is_taken = False
        try:
            admitted = self._send(item, seq)
            is_taken = admitted.answer in _TAKEN
            return admitted
        finally:
            with self._lock:
                self._in_flight = None
                if is_taken:
                    self._items.popleft()
                    self._sent += item.cut is not None

    def _send(self, item: _Item, seq: int) -> Admitted:
        window_id = WindowId(self._source_id, self._epochs.current(), seq)
        if item.cut is None:
            return self._queue.add_tombstone(
                window_id,
                status=item.status,
                live=True,
                pts_s=item.pts_s,
                captured_at=item.captured_at,
                token=self._token,
            )
        return self._send_window(item, item.cut, window_id)

    def _run_of(self, item: _Item) -> Run:
        return Run(self._epochs.current(), item.connection)

    def _stand_in(self, item: _Item) -> int | None:
        """Return the `seq` of the window that stands for this one; None where it has to be scored."""
        return None if item.cut is None else self._gate.stands_for(item.cut.frames, self._run_of(item))

    def _send_window(self, item: _Item, cut: Cut[Frame], window_id: WindowId) -> Admitted:
        same_as = self._stand_in(item)
        if same_as is not None:
            admitted = self._queue.add_unchanged(
                window_id,
                same_as=same_as,
                first_pts_s=cut.frames[0].pts_s,
                pts_s=item.pts_s,
                captured_at=item.captured_at,
                token=self._token,
            )
            self._unchanged += admitted.answer in _TAKEN
            return admitted
        window = self._settings.assemble(cut, window_id, live=True, produced_at=item.produced_at)
        admitted = self._queue.add_window(window, token=self._token)
        if admitted.answer is Admission.ADDED:
            self._gate.note_sent(cut.frames, self._run_of(item), window_id.seq)
            self._change_step(self._thinning.note_taken)
        elif admitted.answer is Admission.ALREADY_DONE:
            self._gate.forget()  # nobody knows what has taken its seq
        return admitted

    def _rewind(self, item: _Item, seq: int) -> int:
        """The queue came back older than it was: fill what it has forgotten with tombstones, or begin anew."""
        # It may have forgotten the epoch itself.
        next_seq = self._begin_epoch()
        gap = seq - next_seq
        self._log.warning("source_rewound", next_seq=next_seq, gap=gap)
        with self._lock:
            forgotten = _Item(item.pts_s, item.captured_at, item.produced_at)
            self._items.extendleft([forgotten] * min(gap, MAX_TOMBSTONES + 1))
            self._shorten()
        if self._next_seq is not None:
            return next_seq
        return self._begin_epoch()

    def _shorten(self) -> None:
        """Begin a new epoch, without the tombstones, when there are too many of them; one that is new goes on."""
        if sum(item.cut is None for item in self._items) > MAX_TOMBSTONES:
            self._items = deque(item for item in self._items if item.cut is not None)
            if self._next_seq == 0:
                return
            self._epochs.advance()
            self._next_seq = None
            self._log.warning("epoch_begun_anew", epoch=self._epochs.current())

    def _drop_above(self, capacity: int) -> None:
        """Turn the oldest windows into tombstones, but for one that is on its way."""
        windows = [i for i, item in enumerate(self._items) if item.cut is not None and item is not self._in_flight]
        surplus = windows[: max(0, len(windows) - capacity)]
        given_up = [i for i in surplus if not self._items[i].is_thinned_out]
        for i in given_up:
            item = self._items[i]
            self._items[i] = _Item(item.pts_s, item.captured_at, item.produced_at)
        for i in reversed(surplus):
            if self._items[i].is_thinned_out:
                del self._items[i]
        self._dropped += len(given_up)
        # In an outage of the queue windows are given up too; fewer of them would not help there.
        if given_up and self._clock.monotonic() - self._full_at <= self._settings.span_s:
            self._change_step(self._thinning.note_dropped)

    def _change_step(self, note: Callable[[float], None]) -> None:
        before = self._thinning.step
        note(self._clock.monotonic())
        if self._thinning.step != before:
            say = self._log.warning if self._thinning.step > before else self._log.info
            say("windows_thinned", one_in=self._thinning.step)
