"""Starts the workers as child processes, keeps them running, and ends them in the order in which the work flows."""

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from structlog.typing import FilteringBoundLogger

from xclip_stream.meters import WorkerLife
from xclip_stream.pipeline.children import Child, OnLine, Restarts, WorkerSpec
from xclip_stream.protocols import Clock, QueueDepths

MISCONFIGURED = 2
"""The exit code with which a worker says that only the user can help."""
STOP_TIMEOUT_S = 10.0
"""How long a worker that was asked to stop may finish what it holds."""
TICK_S = 0.2


class Verdict(StrEnum):
    """Why the supervisor ended."""

    FINISHED = "finished"
    """Nothing was left to do."""
    STOPPED = "stopped"
    """It was asked to stop, and drained."""
    FORCED = "forced"
    """It was asked twice."""
    MISCONFIGURED = "misconfigured"
    """A worker needs a change by the user."""
    GIVEN_UP = "given_up"
    """A worker crashed again and again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a supervised run ended; `reason` has the last error of the worker that is to blame, where one is."""

    verdict: Verdict
    reason: str = ""


class Supervisor:
    """Runs workers until `is_finished`, until `stop` is set, or until one of them cannot go on.

    A worker that ends, by a crash or because somebody stopped it alone, is started again, later each time; five fast
    ends in a row end the run. One that gets something done between them is started for as long as it does: what it dies
    of are some windows among many, and these are given up one day. One that says that its configuration is wrong ends
    it at once, unless it has worked before: then somebody is about to change the configuration, and the others go on
    with the old one meanwhile. One that is not vital is only started again, for as long as the run lasts. At the end
    the workers stop in the order of `workers`: each when those before it have ended and what they left for it is done,
    all of them within `drain_timeout_s`.

    Args:
        workers: in the order in which the work flows.
        depths: what waits between them now; None while nobody can tell.
        is_finished: whether nothing is left to do; asked about five times a second.
        on_log: gets each line that a worker writes to standard error.
        on_output: gets each line that a worker writes to standard output; None lets them write to that of this process.
    """

    def __init__(
        self,
        *,
        workers: Sequence[WorkerSpec],
        environ: Mapping[str, str],
        depths: Callable[[], QueueDepths | None],
        is_finished: Callable[[], bool],
        clock: Clock,
        stop: threading.Event,
        log: FilteringBoundLogger,
        on_log: OnLine,
        on_output: OnLine | None = None,
        drain_timeout_s: float = 30.0,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        first_restart_s: float = 0.5,
    ) -> None:
        self._children = [Child(spec, environ=environ, on_log=on_log, on_output=on_output) for spec in workers]
        self._restarts = {spec.name: Restarts(clock=clock, first_delay_s=first_restart_s) for spec in workers}
        self._depths = depths
        self._is_finished = is_finished
        self._clock = clock
        self._stop = stop
        self._log = log
        self._drain_timeout_s = drain_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._forced = False

    def run(self) -> Outcome:
        """Start the workers, look after them, end them. No child is left when this returns or raises."""
        try:
            for child in self._children:
                self._start(child)
            outcome = self._look_after()
            if outcome.verdict is Verdict.STOPPED:
                self._drain()
            for child in self._children:
                child.ask_to_stop()
            for child in self._children:
                self._end(child)
            return Outcome(Verdict.FORCED) if self._forced else outcome
        finally:
            self._kill_all()

    def force(self) -> None:
        """End everything now; what the workers hold is given back by the queue later. Safe in a signal handler."""
        self._forced = True
        for child in self._children:
            child.kill()

    def lives(self) -> Mapping[str, WorkerLife]:
        """Return how each worker is, by its name. May be asked from any thread."""
        return {child.name: WorkerLife(child.running, self._restarts[child.name].ends) for child in self._children}

    def _start(self, child: Child) -> None:
        self._restarts[child.name].note_start()
        child.start()

    def _look_after(self) -> Outcome:
        while not self._stop.is_set():
            for child in self._children:
                outcome = self._tend(child)
                if outcome is not None:
                    return outcome
            if self._is_finished():
                return Outcome(Verdict.FINISHED)
            self._clock.sleep(TICK_S)
        return Outcome(Verdict.STOPPED)

    def _tend(self, child: Child) -> Outcome | None:
        """Start a child again whose time has come; return why the run has to end, if it has to."""
        restarts = self._restarts[child.name]
        if restarts.due:
            self._start(child)
        if child.running or restarts.pending:
            return None
        child.wait(timeout_s=0)
        is_refusal = child.exit_code == MISCONFIGURED
        if is_refusal and child.spec.vital and not restarts.has_worked:
            return Outcome(Verdict.MISCONFIGURED, child.last_error)
        is_hopeless = is_refusal or (restarts.exhausted and not child.spec.vital)
        delay_s = restarts.note_refusal() if is_hopeless else restarts.note_crash(done=child.spec.done())
        if restarts.exhausted and child.spec.vital:
            return Outcome(Verdict.GIVEN_UP, self._obituary(child, restarts.fast_crashes))
        self._log.warning(
            "worker_restarts", role=child.name, ended=_cause(child.exit_code), error=child.last_error, in_s=delay_s
        )
        return None

    def _obituary(self, child: Child, crashes: int) -> str:
        return f"{child.name}: crashed {crashes} times in a row ({_cause(child.exit_code)}): {child.last_error}"

    def _drain(self) -> None:
        """Let the work that is under way flow out: end each worker when it has nothing left to do."""
        until = time.monotonic() + self._drain_timeout_s
        for child in self._children:
            while child.running and not self._forced and not self._is_idle(child):
                if time.monotonic() > until:
                    self._log.warning("drain_timed_out", role=child.name, after_s=self._drain_timeout_s)
                    break
                # Not the clock's sleep: that one returns at once after a stop.
                time.sleep(TICK_S / 4)
            self._end(child)

    def _is_idle(self, child: Child) -> bool:
        depths = self._depths()
        return depths is not None and child.spec.is_idle(depths)

    def _end(self, child: Child) -> None:
        child.ask_to_stop()
        if not child.wait(timeout_s=self._stop_timeout_s):
            self._log.warning("worker_killed", role=child.name, after_s=self._stop_timeout_s)
            child.kill()
            child.wait(timeout_s=self._stop_timeout_s)

    def _kill_all(self) -> None:
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait(timeout_s=self._stop_timeout_s)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
