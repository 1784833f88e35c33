"""Looks after the batch that a scorer has in hand, from a thread beside the one that the model works in."""

import faulthandler
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import QueueError
from xclip_stream.pipeline.vitals import Pulse
from xclip_stream.protocols import Clock, ScoreQueue, TakenWindow

LOOK_EVERY_S = 1.0
HOLDS_A_CLAIM = 4
"""How often windows are held on within the time after which the queue would give them to another."""
BACKSTOP_S = 10.0
"""How much later than this thread the interpreter's own watchdog, which needs no lock of Python's, ends the process."""


class BatchGuard:
    """Holds windows on while the model works, and says when the model hangs.

    The queue thinks a consumer dead that has held a window for `claim_idle_s`. A batch that is slow but healthy may
    take longer, and its last windows wait behind the first: without a sign of life they would be given from one worker
    to the next, all of them scoring the same. So a window is held on from when it is taken until it is let go of.

    A call of the model that does not come back, for `timeout_s` without any progress, is no sign of life: nothing is
    held on any more, and `on_hung` is called. It has to end the process there and then: the thread inside the call
    cannot be stopped, and an ordinary exit would wait for it.

    Where the hanging call keeps Python's lock, no thread of Python runs, this one neither. Then the interpreter's
    watchdog ends the process, a little later, with what the threads were doing on standard error.

    Entering starts the thread. Without it `look` may be called by hand.
    """

    def __init__(
        self,
        *,
        queue: ScoreQueue,
        clock: Clock,
        log: FilteringBoundLogger,
        timeout_s: float,
        claim_idle_s: float,
        on_hung: Callable[[], None],
        pulse: Pulse | None = None,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._log = log
        self._timeout_s = timeout_s
        self._hold_every_s = claim_idle_s / HOLDS_A_CLAIM
        self._on_hung = on_hung
        self._pulse = pulse or Pulse()
        self._lock = threading.Lock()
        self._in_hand: dict[str, TakenWindow] = {}
        self._held_at_s = 0.0
        self._progress_at_s: float | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, name="batch-guard", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def take(self, batch: Sequence[TakenWindow]) -> None:
        """Hold these windows on from now, and no others."""
        with self._lock:
            self._in_hand = {taken.entry_id: taken for taken in batch}
            self._held_at_s = self._clock.monotonic()

    def let_go(self, taken: TakenWindow) -> None:
        """Hold a window on no longer: it is done, or another worker shall try it."""
        with self._lock:
            self._in_hand.pop(taken.entry_id, None)

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """Watch the model while it works."""
        try:
            self.note_progress()
            yield
        finally:
            self._progress_at_s = None
            faulthandler.cancel_dump_traceback_later()

    def note_progress(self) -> None:
        """Say that the model, which is working, has done a part."""
        self._progress_at_s = self._clock.monotonic()
        self._pulse.beat()
        if self._thread is not None:
            faulthandler.dump_traceback_later(self._timeout_s + BACKSTOP_S, exit=True, file=2)

    def look(self) -> None:
        """End the process if the model hangs, and otherwise hold on what is in hand when it is time to."""
        now_s = self._clock.monotonic()
        progress_at_s = self._progress_at_s
        if progress_at_s is not None and now_s - progress_at_s >= self._timeout_s:
            self._give_up(silent_s=now_s - progress_at_s)
        elif now_s - self._held_at_s >= self._hold_every_s:
            self._hold(now_s)

    def _give_up(self, *, silent_s: float) -> None:
        with self._lock:
            windows = [f"{taken.window.id.source_id}/{taken.window.id.seq}" for taken in self._in_hand.values()]
        self._log.critical(
            "scorer_hung",
            error=f"the model has not answered for {silent_s:.0f} s (model.batch_timeout_s is {self._timeout_s:g})",
            windows=windows,
        )
        self._on_hung()

    def _hold(self, now_s: float) -> None:
        with self._lock:
            in_hand = list(self._in_hand.values())
            self._held_at_s = now_s
        if not in_hand:
            return
        try:
            self._queue.hold_windows(in_hand)
        except QueueError as error:
            # The loop itself deals with the outage. What another takes over meanwhile is scored twice, published once.
            self._log.debug("windows_not_held", error=str(error))

    def _watch(self) -> None:
        while not self._over.wait(min(LOOK_EVERY_S, self._hold_every_s, self._timeout_s)):
            self.look()
