"""The whole pipeline as it runs in production: real worker processes, started again when they die."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workers.main import REDIS_URL_VARIABLE
from xclip_stream.config import load_config
from xclip_stream.errors import QueueUnavailable
from xclip_stream.pipeline.lifecycle import SUPERVISOR_PID
from xclip_stream.queues.redis import open_queue

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("ingest", "score", "alert", "deliver")
_LOOK_EVERY_S = 0.05
_RESTART_AFTER_S = 0.2
_STOP_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Crash:
    """An end of a worker that nobody asked for."""

    worker: str
    exit_code: int


@dataclass(slots=True)
class Worker:
    """One worker through all its lives. Its log holds them all."""

    name: str
    role: str
    log: Path
    command: Sequence[str]
    """What is started, `--config FILE` follows it. A change counts from the next start."""
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    start_at: float = 0.0
    done: bool = False
    """It ended with exit code 0, as one does that was asked to stop."""
    _killed: bool = field(default=False, repr=False)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        return 0 if self.process is None else self.process.pid

    def signal(self, number: int) -> bool:
        """Send a signal; False when there is nobody to take it. After SIGKILL the system starts the worker again."""
        if self.process is None or self.process.poll() is not None:
            return False
        self._killed = self._killed or number == signal.SIGKILL
        self.process.send_signal(number)
        return True

    def take_end(self) -> int | None:
        """Return the exit code of a process that has ended unasked, and forget the process; None for any other."""
        code = None if self.process is None else self.process.poll()
        if self.process is None or code is None:
            return None
        self.process = None
        asked, self._killed = self._killed and code == -signal.SIGKILL, False
        return None if asked else code

    @property
    def lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of its log that tell of this event."""
        entries = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [entry for entry in entries if entry.get("event") == event]


class System:
    """Workers of every role on one Redis. Entering starts them; each that dies is started again, until leaving.

    Args:
        config: the configuration file that all of them read.
        workers: how many of each role.
        folder: where their logs go, one file for each worker.
        commands: for a role, what is started in place of `python -m workers.<role>`; `--config FILE` follows it.

    They log at `debug`: that tells of each batch and, where there is a supervisor, of each configuration.
    """

    def __init__(
        self,
        config: Path,
        *,
        redis_url: str,
        workers: Mapping[str, int],
        folder: Path,
        commands: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._config = config
        self._redis_url = redis_url
        self._folder = folder
        self._wanted = dict(workers)
        self._commands = dict(commands or {})
        self._over = threading.Event()
        self._ending = False
        self._scratch = tempfile.TemporaryDirectory(prefix="storm-")
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="keep-workers", daemon=True)
        self.workers: list[Worker] = []
        self.crashes: list[Crash] = []
        loaded = load_config(config)
        self._file_ids = [source.id for source in loaded.sources if not source.live]
        self._sink_ids = [sink.id for sink in loaded.sinks]
        self.queue = open_queue(redis_url, namespace=loaded.redis.namespace)
        """For looking at what the workers do."""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        for role, number in self._wanted.items():
            for _ in range(number):
                self.add(role)
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ending = True
        for worker in self.workers:
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGTERM)
        until = time.monotonic() + _STOP_WITHIN_S
        for worker in self.workers:
            self._end(worker, until)
        # Not sooner: with the thread that started them the kernel kills the workers.
        self._over.set()
        self._keeper.join()
        self._scratch.cleanup()
        self.queue.close()

    def add(self, role: str, *program: str) -> Worker:
        """Start one more worker of a role: the real one, or another program that does its work."""
        with self._lock:
            number = 1 + sum(worker.role == role for worker in self.workers)
            name = f"{role}-{number}"
            command = (sys.executable, "-m", *program) if program else self._command(role)
            worker = Worker(name, role, self._folder / f"{name}.log", command)
            self.workers.append(worker)
            return worker

    def of(self, role: str) -> list[Worker]:
        return [worker for worker in self.workers if worker.role == role]

    @property
    def log_lines(self) -> list[str]:
        """All that the workers have logged, worker by worker."""
        return [line for worker in self.workers for line in worker.lines]

    def count_logged(self, event: str) -> int:
        return sum(f'"event": "{event}"' in line or f'"event":"{event}"' in line for line in self.log_lines)

    def wait_until_busy(self, timeout_s: float) -> bool:
        """Wait until windows of a file have been scored, or of a camera where there is no file; False when that takes
        too long."""

        def scored() -> bool:
            statuses = self.queue.rule_statuses()
            watched = [statuses[name] for name in self._file_ids or statuses if name in statuses]
            return any(status.windows > status.dropped for status in watched)

        return wait_until(scored, timeout_s)

    def wait_until_drained(self, timeout_s: float) -> bool:
        """Wait until every file is read, scored, judged and delivered; False when that takes too long."""
        return wait_until(self.is_drained, timeout_s)

    def stop(self, role: str, *, within_s: float = _STOP_WITHIN_S) -> bool:
        """Ask the workers of a role to stop, and let them rest; False when one did not in time."""
        for worker in self.of(role):
            worker.signal(signal.SIGTERM)
        return wait_until(lambda: all(worker.done for worker in self.of(role)), within_s)

    def all_read(self) -> bool:
        """Return whether every file is read; False while nobody can tell."""
        try:
            return all(self.queue.epoch_ended(source_id) for source_id in self._file_ids)
        except QueueUnavailable:
            return False

    def is_drained(self) -> bool:
        """Return whether every file is read and nothing waits anywhere; False while nobody can tell."""
        try:
            depths = self.queue.depths(self._sink_ids)
        except QueueUnavailable:
            return False
        return self.all_read() and depths.windows == depths.scores == sum(depths.outbox.values()) == 0

    def _keep(self) -> None:
        """Start what is not running, until the end. Runs in a thread of its own."""
        while not self._over.wait(_LOOK_EVERY_S):
            with self._lock:
                for worker in () if self._ending else self.workers:
                    self._look_after(worker)

    def _look_after(self, worker: Worker) -> None:
        was_running = worker.process is not None
        code = worker.take_end()
        if code is not None:
            worker.done = code == 0
            if code != 0:
                self.crashes.append(Crash(worker.name, code))
        if worker.process is not None or worker.done:
            return
        if was_running:
            worker.start_at = time.monotonic() + _RESTART_AFTER_S
        if time.monotonic() >= worker.start_at:
            self._start(worker)

    def _start(self, worker: Worker) -> None:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            REDIS_URL_VARIABLE: self._redis_url,
            # What one that is killed leaves there goes with the system.
            "TMPDIR": self._scratch.name,
            # So that the kernel ends it when this process is killed.
            SUPERVISOR_PID: str(os.getpid()),
        }
        with worker.log.open("ab") as log:
            worker.process = subprocess.Popen(
                [*worker.command, "--config", str(self._config), "--log-level", "debug"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                cwd=self._folder,
                start_new_session=True,
            )
        worker.starts += 1

    def _command(self, role: str) -> Sequence[str]:
        return self._commands.get(role, (sys.executable, "-m", f"workers.{role}"))

    def _end(self, worker: Worker, until: float) -> None:
        process = worker.process
        if process is None:
            return
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.crashes.append(Crash(f"{worker.name} did not stop", -signal.SIGKILL))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(holds: Callable[[], bool], timeout_s: float, *, every_s: float = 0.1) -> bool:
    """Wait until something holds; False when it did not in time."""
    until = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(every_s)
    return True
