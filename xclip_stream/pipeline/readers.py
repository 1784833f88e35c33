"""Supervises the processes that read sources: one each, because a reader can hang or crash in native code."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Generic, TypeVar

from structlog.typing import FilteringBoundLogger

from xclip_stream.pipeline.backoff import Backoff
from xclip_stream.pipeline.lifecycle import StopFlag
from xclip_stream.pipeline.vitals import Pulse

Order = TypeVar("Order")

_LOOK_EVERY_S = 0.1
_HEALTHY_AFTER_S = 60.0
_GRACE_S = 10.0


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
    """What a reader and its supervisor share: that it is alive, and in which epoch of a camera it is.

    It outlives the process: a reader that is started again goes on with the same epoch.
    """

    def __init__(self, context: ForkServerContext) -> None:
        self._beat_at = context.RawValue("d", 0.0)
        self.epoch_number = context.RawValue("i", 0)

    @property
    def beat_at(self) -> float:
        """When it beat last, in seconds of the machine's monotonic clock."""
        return float(self._beat_at.value)

    def beat(self) -> None:
        self._beat_at.value = time.monotonic()


Read = Callable[[Order, Heart, StopFlag], int]
"""Reads a source in a process of its own; returns the exit code. To be found by its name in its module."""


class ReaderProcess(Generic[Order]):
    """One source's reader, through all its lives."""

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
        self.outcome: Outcome | None = None
        self._order = order
        self._read = read
        self._context = context
        self._silence_s = silence_s
        self._max_deaths = max_deaths
        self._log = log.bind(source=name)
        self._heart = Heart(context)
        self._process: ForkServerProcess | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._deaths = 0
        self._backoff = Backoff(first_s=1.0, cap_s=30.0)

    def look_after(self) -> None:
        """Start it, note its end, or end it when it hangs: whatever is due."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at:
                self._start(now)
        elif (code := self._process.exitcode) is not None:
            self._end(code)
        elif now - max(self._heart.beat_at, self._started_at) > self._silence_s:
            self._log.error("reader_hangs", silent_s=self._silence_s)
            self._process.kill()
            self._process.join()
            self._bury("it hung")

    def ask_to_stop(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for its end until `deadline`, then kill it."""
        if self._process is None:
            return
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.exitcode is None:
            self._log.warning("reader_killed", reason="it did not stop in time")
            self._process.kill()
            self._process.join()
        elif self._process.exitcode in list(Outcome):
            self.outcome = Outcome(self._process.exitcode)
        self._process = None

    def _start(self, now: float) -> None:
        self._started_at = now
        self._process = self._context.Process(
            target=_live,
            args=(self._read, self._order, self._heart),
            name=f"read-{self.name}",
            daemon=True,
        )
        self._process.start()

    def _end(self, code: int) -> None:
        if code in list(Outcome):
            self.outcome = Outcome(code)
            self._process = None
        else:
            self._bury("it was stopped" if code == STOPPED else f"it died with {_said(code)}")

    def _bury(self, reason: str) -> None:
        """Start it again later, or give it up."""
        self._process = None
        self._deaths += 1
        if self._max_deaths is not None and self._deaths >= self._max_deaths:
            self.outcome = Outcome.GIVEN_UP
            self._log.error("reader_given_up", reason=reason, deaths=self._deaths)
            return
        if time.monotonic() - self._started_at > _HEALTHY_AFTER_S:
            self._backoff.reset()
        delay_s = self._backoff.next_delay_s()
        self._start_at = time.monotonic() + delay_s
        self._log.error("reader_restarts", reason=reason, deaths=self._deaths, delay_s=round(delay_s, 1))


class Readers(Generic[Order]):
    """Runs a reader for each source until all are done, or until asked to stop.

    The processes are forked from a server that has imported `preload`: a reader starts in some hundredths of a second
    and shares the memory of those libraries.

    Args:
        read: what each process does.
        preload: modules that every reader needs.
        log: told when a reader dies.
    """

    def __init__(self, *, read: Read[Order], preload: Sequence[str], log: FilteringBoundLogger) -> None:
        self._read = read
        self._preload = list(preload)
        self._log = log
        self._context = multiprocessing.get_context("forkserver")
        self._readers: list[ReaderProcess[Order]] = []

    def add(self, name: str, order: Order, *, silence_s: float, max_deaths: int | None = None) -> None:
        """Add a source.

        Args:
            order: what its reader is told.
            silence_s: a reader that does not beat for so long hangs, and is killed and started again.
            max_deaths: a reader that died so often is given up; None never gives up.
        """
        self._readers.append(
            ReaderProcess(
                name,
                order,
                self._read,
                context=self._context,
                silence_s=silence_s,
                max_deaths=max_deaths,
                log=self._log,
            )
        )

    def run(
        self, stop: threading.Event, *, on_outcome: Callable[[str, Outcome], None], pulse: Pulse | None = None
    ) -> Mapping[str, Outcome | None]:
        """Read; return what became of each source, None where it was not done when we were asked to stop."""
        pulse = pulse or Pulse()
        self._context.set_forkserver_preload(self._preload)
        waiting = list(self._readers)
        try:
            while waiting and not stop.is_set():
                for reader in list(waiting):
                    reader.look_after()
                    if reader.outcome is not None:
                        waiting.remove(reader)
                        on_outcome(reader.name, reader.outcome)
                pulse.ready()
                stop.wait(_LOOK_EVERY_S)
        finally:
            self._stop_all(waiting)
        return {reader.name: reader.outcome for reader in self._readers}

    def _stop_all(self, readers: Sequence[ReaderProcess[Order]]) -> None:
        for reader in readers:
            reader.ask_to_stop()
        deadline = time.monotonic() + _GRACE_S
        for reader in readers:
            reader.end(deadline)


def is_orphaned() -> bool:
    """Return whether the supervisor of this reader is gone."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _live(read: Read[Order], order: Order, heart: Heart) -> None:
    """The whole life of a reader's process."""
    stop = StopFlag()
    # Ctrl-C reaches every process of the terminal; a reader stops when its supervisor says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    raise SystemExit(read(order, heart, stop))


def _said(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
