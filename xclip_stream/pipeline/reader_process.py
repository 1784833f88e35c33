"""The process that reads one source, through all its lives: one each, since it can hang or crash in native code."""

import gc
import multiprocessing
import signal
import time
from collections.abc import Callable
from enum import IntEnum
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Generic, TypeVar

from structlog.typing import FilteringBoundLogger

from xclip_stream.meters import ReaderCounts
from xclip_stream.pipeline.backoff import Backoff
from xclip_stream.pipeline.lifecycle import StopFlag
from xclip_stream.pipeline.tally import Tally

Order = TypeVar("Order")

GRACE_S = 10.0
"""How long a reader that was asked to stop may finish what it holds."""
_HEALTHY_AFTER_S = 60.0


class Outcome(IntEnum):
    """The exit codes of a reader that say what became of its source; after any other it is started again."""

    DONE = 0
    REJECTED = 10
    """The source cannot be read without a change by the user."""
    TAKEN_OVER = 11
    """Another worker reads the source now."""
    GIVEN_UP = 12
    """The reader died too often. No reader says this of itself."""


STOPPED = 13
"""The exit code of a reader that was asked to stop before its source was done."""


class Heart:
    """What a reader and its supervisor share: that it is alive, in which epoch of a camera it is, and what it counts.

    It outlives the process: a reader that is started again goes on with the same epoch and counts.
    """

    def __init__(self, context: ForkServerContext) -> None:
        self._beat_at = context.RawValue("d", 0.0)
        self.epoch_number = context.RawValue("i", 0)
        self.tally = Tally(context)

    @property
    def beat_at(self) -> float:
        """When it beat last, in seconds of the machine's monotonic clock."""
        return float(self._beat_at.value)

    def beat(self) -> None:
        self._beat_at.value = time.monotonic()


Read = Callable[[Order, Heart, StopFlag], int]
"""Reads a source in a process of its own; returns the exit code. To be found by its name in its module."""


class ReaderProcess(Generic[Order]):
    """One source's reader.

    Args:
        order: what it is told, each time that it starts.
        silence_s: a reader that does not beat for so long hangs, and is killed and started again.
        max_deaths: a reader that died so often is given up; None never gives up.
        log: told when it dies.
    """

    def __init__(
        self,
        name: str,
        order: Order,
        read: Read[Order],
        *,
        context: ForkServerContext,
        silence_s: float,
        max_deaths: int | None,
        log: FilteringBoundLogger,
    ) -> None:
        self.name = name
        self.order = order
        self.ended = False
        """True once it is not running and will not be started again."""
        self.outcome: Outcome | None = None
        """What became of the source; None for a reader that runs, and for one that was stopped before its end."""
        self._read = read
        self._context = context
        self._silence_s = silence_s
        self._max_deaths = max_deaths
        self._log = log.bind(source=name)
        self._heart = Heart(context)
        self._process: ForkServerProcess | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._stop_by: float | None = None
        self._deaths = 0
        self._backoff = Backoff(first_s=1.0, cap_s=30.0)

    @property
    def counts(self) -> ReaderCounts:
        """What it has counted through all its lives."""
        return self._heart.tally.counts(deaths=self._deaths)

    @property
    def is_due(self) -> bool:
        """True when `look_after` would start it."""
        return self._process is None and self._stop_by is None and time.monotonic() >= self._start_at

    def look_after(self) -> None:
        """Start it, note its end, or end it when it hangs or does not stop: whatever is due."""
        now = time.monotonic()
        if self._process is None:
            if self._stop_by is not None:
                self.ended = True
            elif now >= self._start_at:
                self._start(now)
        elif (code := self._process.exitcode) is not None:
            self._end(code)
        elif self._stop_by is not None:
            if now > self._stop_by:
                self._log.warning("reader_killed", reason="it did not stop in time")
                self.kill()
        elif now - max(self._heart.beat_at, self._started_at) > self._silence_s:
            self._log.error("reader_hangs", silent_s=self._silence_s)
            self._slay()
            self._bury("it hung")

    def ask_to_stop(self) -> None:
        """Let it stop within its grace. `look_after` sees to that."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + GRACE_S
            if self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._slay()
        self.ended = True

    def _start(self, now: float) -> None:
        self._started_at = now
        self._process = self._context.Process(
            target=_live,
            args=(self._read, self.order, self._heart),
            name=f"read-{self.name}",
            daemon=True,
        )
        self._process.start()

    def _slay(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _end(self, code: int) -> None:
        self._process = None
        if code in list(Outcome):
            self.outcome, self.ended = Outcome(code), True
        elif self._stop_by is not None:
            self.ended = True
        else:
            self._bury("it was stopped" if code == STOPPED else f"it died with {_said(code)}")

    def _bury(self, reason: str) -> None:
        """Start it again later, or give it up."""
        self._deaths += 1
        if self._max_deaths is not None and self._deaths >= self._max_deaths:
            self.outcome, self.ended = Outcome.GIVEN_UP, True
            self._log.error("reader_given_up", reason=reason, deaths=self._deaths)
            return
        if time.monotonic() - self._started_at > _HEALTHY_AFTER_S:
            self._backoff.reset()
        delay_s = self._backoff.next_delay_s()
        self._start_at = time.monotonic() + delay_s
        self._log.error("reader_restarts", reason=reason, deaths=self._deaths, delay_s=round(delay_s, 1))


def is_orphaned() -> bool:
    """Return whether the supervisor of this reader is gone."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _live(read: Read[Order], order: Order, heart: Heart) -> None:
    """The whole life of a reader's process."""
    gc.freeze()  # a collection would write to what was inherited, and so copy it
    stop = StopFlag()
    # Ctrl-C reaches every process of the terminal; a reader stops when its supervisor says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    raise SystemExit(read(order, heart, stop))


def _said(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
