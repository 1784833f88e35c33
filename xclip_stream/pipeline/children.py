"""One worker as a child process: started, listened to, ended, and started again when it crashed."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, cast

from xclip_stream.pipeline.lifecycle import SUPERVISOR_PID
from xclip_stream.protocols import Clock, QueueDepths

FAST_CRASH_S = 30.0
"""A worker that lived shorter than this never did any good."""
MAX_FAST_CRASHES = 5
MAX_IDLE_S = 300.0
"""How long one that has done some good may crash without doing any more: what it dies of is a dead letter by then."""
FIRST_RESTART_S = 0.5
MAX_RESTART_S = 10.0
MAX_LINE_BYTES = 1024 * 1024
LAST_LINES_S = 10.0
"""How long the last lines of a worker that has ended may take to where they are shown."""

OnLine = Callable[[str, str], None]
"""Called with the name of a worker and a line that it wrote, from a thread of its own."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """How a worker is started, and when it is done.

    `is_idle` tells whether nothing is left for it to do once those before it have ended. `done` counts what it has
    done so far, where somebody counts that. One that is not `vital` never ends a run, however often it fails. `environ`
    is for this worker alone.
    """

    name: str
    command: tuple[str, ...]
    is_idle: Callable[[QueueDepths], bool]
    done: Callable[[], int] = lambda: 0
    vital: bool = True
    environ: tuple[tuple[str, str], ...] = ()


class Child:
    """A worker process in a session of its own, so that Ctrl-C on the terminal reaches the supervisor alone.

    To be started from the thread that lives longest: the kernel takes the end of that thread for the parent's death.
    """

    def __init__(
        self, spec: WorkerSpec, *, environ: Mapping[str, str], on_log: OnLine, on_output: OnLine | None = None
    ) -> None:
        self._spec = spec
        self._environ = environ
        self._on_log = on_log
        self._on_output = on_output
        self._process: subprocess.Popen[bytes] | None = None
        self._is_asked_to_stop = False
        self._listeners: list[threading.Thread] = []
        self.last_error = ""
        """The newest line that tells of an error, else the newest line of any kind."""

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def spec(self) -> WorkerSpec:
        return self._spec

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the process ended; None while it runs, negative for a signal."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        self.last_error = ""
        self._is_asked_to_stop = False
        self._process = subprocess.Popen(
            self._spec.command,
            stdin=subprocess.DEVNULL,
            stdout=None if self._on_output is None else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self._environ, **dict(self._spec.environ), SUPERVISOR_PID: str(os.getpid())},
            start_new_session=True,
        )
        self._listeners = [self._listen(cast(IO[bytes], self._process.stderr), self._hear)]
        if self._on_output is not None:
            self._listeners.append(self._listen(cast(IO[bytes], self._process.stdout), self._pass_on))

    def ask_to_stop(self) -> None:
        """Ask it once: a worker takes a second signal for the wish that it ends in the middle of its work."""
        if self.running and self._process is not None and not self._is_asked_to_stop:
            self._is_asked_to_stop = True
            self._process.terminate()

    def kill(self) -> None:
        """Kill the process and all that it started."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end and for the last lines, and end what the worker left behind; False when it still runs."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        # What the worker left behind would hold its pipes open, and write on for nobody.
        self.kill()
        for listener in self._listeners:
            listener.join(LAST_LINES_S)
        return True

    def _listen(self, pipe: IO[bytes], on_line: Callable[[str], None]) -> threading.Thread:
        listener = threading.Thread(target=_read_lines, args=(pipe, on_line), name=f"{self.name}-lines", daemon=True)
        listener.start()
        return listener

    def _hear(self, line: str) -> None:
        level, text = said(line)
        if text and (level in {"error", "critical"} or not self.last_error):
            self.last_error = text
        self._on_log(self.name, line)

    def _pass_on(self, line: str) -> None:
        if self._on_output is not None:
            self._on_output(self.name, line)


class Restarts:
    """When a worker that ended is started again, and when that is given up."""

    def __init__(self, *, clock: Clock, first_delay_s: float = FIRST_RESTART_S) -> None:
        self._clock = clock
        self._first_delay_s = first_delay_s
        self._started_at = 0.0
        self._due_at: float | None = None
        self._fast_crashes = 0
        self._has_worked = False
        self._ends = 0
        self._done = 0
        self._done_at: float | None = None

    @property
    def has_worked(self) -> bool:
        """True when a life of the worker was not a short one. One that ended with a refusal was all start."""
        return self._has_worked

    @property
    def fast_crashes(self) -> int:
        """How many times in a row the worker crashed soon after its start, with nothing done meanwhile."""
        return self._fast_crashes

    @property
    def ends(self) -> int:
        """How many times the worker has ended while it was needed."""
        return self._ends

    @property
    def exhausted(self) -> bool:
        is_patience_over = self._done_at is None or self._clock.monotonic() - self._done_at >= MAX_IDLE_S
        return self._fast_crashes >= MAX_FAST_CRASHES and is_patience_over

    @property
    def due(self) -> bool:
        return self._due_at is not None and self._clock.monotonic() >= self._due_at

    @property
    def pending(self) -> bool:
        """True from a crash to the next start."""
        return self._due_at is not None

    def note_start(self) -> None:
        self._started_at = self._clock.monotonic()
        self._due_at = None

    def note_crash(self, *, done: int = 0) -> float:
        """Count a crash and return the seconds until the next start.

        Args:
            done: all that the worker has done so far, in any of its lives.
        """
        now = self._clock.monotonic()
        self._ends += 1
        if done > self._done:
            self._done, self._done_at, self._fast_crashes = done, now, 0
        is_fast = now - self._started_at < FAST_CRASH_S
        self._has_worked = self._has_worked or not is_fast
        self._fast_crashes = self._fast_crashes + 1 if is_fast else 1
        delay_s: float = min(MAX_RESTART_S, self._first_delay_s * 2 ** (self._fast_crashes - 1))
        self._due_at = now + delay_s
        return delay_s

    def note_refusal(self) -> float:
        """Let a worker that the user has to help first try again, as often as it takes; return the seconds until."""
        self._ends += 1
        self._due_at = self._clock.monotonic() + MAX_RESTART_S
        return MAX_RESTART_S


def said(line: str) -> tuple[str, str]:
    """Return the level and the gist of a line of a worker's log; a line that is no JSON is an error message itself."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        text = line.strip()
        return ("error" if text and not line.startswith(" ") else "info"), text.removeprefix("error: ")
    return str(entry.get("level", "info")), str(entry.get("error") or entry.get("event", ""))


def _read_lines(pipe: IO[bytes], on_line: Callable[[str], None]) -> None:
    with pipe:
        while line := pipe.readline(MAX_LINE_BYTES):
            on_line(line.decode(errors="replace").rstrip("\n"))
