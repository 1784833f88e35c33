"""The real workers on a real Redis, as `xclip-stream run` starts them, with a model that costs what it is told."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.processes import Use, children_of, use_by_role
from benchmarks.site import Site
from workers.main import REDIS_URL_VARIABLE
from xclip_stream.pipeline.lifecycle import SUPERVISOR_PID
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.queues.server import EmbeddedRedis

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = {"id": "nowhere", "url": "rtsp://127.0.0.1:9/none"}
"""A camera that is not there: it costs next to nothing, and keeps those from ending who end with the last file."""
_LOOK_EVERY_S = 0.1
"""Looking asks Redis, which is measured."""
_STOP_WITHIN_S = 20.0
_LEVELS = {"alert": "debug"}
"""What a worker logs, where that is more than `info`: each commit is counted."""


class Workers:
    """Entering starts Redis and one worker of each role; leaving ends them.

    Args:
        site: which sources there are, to begin with.
        cost_ms: what the model costs for each window.
    """

    def __init__(self, site: Site, folder: Path, *, cost_ms: float, sources: Sequence[Mapping[str, Any]] = ()) -> None:
        self._site = site
        self._folder = folder
        self._cost_ms = cost_ms
        self._sources = list(sources)
        self._stack = ExitStack()
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._read_to = self._committed = 0
        self.queue: RedisQueue
        self.url = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            server = stack.enter_context(EmbeddedRedis(self._folder / "redis"))
            self.url = server.url
            self.queue = stack.enter_context(open_queue(server.url))
            config = self._site.write([NOWHERE, *self._sources])
            stack.callback(self._stop)
            programs = {
                "ingest": ("workers.ingest",),
                "score": ("benchmarks.free_scorer", "--ms", str(self._cost_ms)),
                "alert": ("workers.alert",),
                "deliver": ("workers.deliver",),
            }
            for role, program in programs.items():
                self._started[role] = self._start(role, program, config)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, role: str, program: Sequence[str], config: Path) -> subprocess.Popen[bytes]:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            REDIS_URL_VARIABLE: self.url,
            SUPERVISOR_PID: str(os.getpid()),
        }
        with (self._folder / f"{role}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *program, "--config", str(config), "--log-level", _LEVELS.get(role, "info")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )

    def _stop(self) -> None:
        for process in self._started.values():
            process.terminate()
        until = time.monotonic() + _STOP_WITHIN_S
        for process in self._started.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, role: str) -> Path:
        return self._folder / f"{role}.log"

    def follow(self, sources: Sequence[Mapping[str, Any]]) -> None:
        """Let the workers read these sources from now on, besides those of before."""
        self._sources += sources
        self._site.write([NOWHERE, *self._sources])

    def leave(self, source_ids: Collection[str]) -> None:
        """Let the workers read these sources no more."""
        self._sources = [source for source in self._sources if source["id"] not in source_ids]
        self._site.write([NOWHERE, *self._sources])

    def use(self, *, memory: bool = True) -> dict[str, Use]:
        """Return what each role has used so far."""
        redis = _child_of(os.getpid(), "redis-server")
        return use_by_role([*(process.pid for process in self._started.values()), *redis], memory=memory)

    def judged(self, source_ids: Sequence[str]) -> int:
        """Return of how many windows of these sources the rules have heard."""
        statuses = self.queue.rule_statuses()
        return sum(statuses[name].windows for name in source_ids if name in statuses)

    def committed(self) -> int:
        """Return how many windows the rules have judged so far, to the moment: its log tells of each commit."""
        with self.log("alert").open("rb") as log:
            log.seek(self._read_to)
            lines = log.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            if b'"scores_committed"' in line:
                self._committed += int(json.loads(line)["count"])
        return self._committed

    def next_commit(self, *, within_s: float) -> int:
        """Wait until something is judged, and return how much was so far."""
        before = self.committed()
        self.wait_until(lambda: self.committed() > before, within_s=within_s, what="nothing is judged", every_s=0.01)
        return self._committed

    def wait_until(
        self, is_so: Callable[[], bool], *, within_s: float, what: str, every_s: float = _LOOK_EVERY_S
    ) -> None:
        """Wait until something is so.

        Raises:
            RuntimeError: it was not in time, or a worker has ended.
        """
        until = time.monotonic() + within_s
        while not is_so():
            self._check()
            if time.monotonic() > until:
                raise RuntimeError(f"{what}: not within {within_s:.0f} s")
            time.sleep(every_s)

    def wait_until_drained(self, source_ids: Sequence[str], *, within_s: float) -> None:
        """Wait until these files are read to their end, and nothing of them waits anywhere."""
        self.wait_until(lambda: self._is_drained(source_ids), within_s=within_s, what="the files are not done")

    def _is_drained(self, source_ids: Sequence[str]) -> bool:
        depths = self.queue.depths(["file"])
        if depths.windows or depths.scores or sum(depths.outbox.values()):
            return False
        return all(self.queue.epoch_ended(source_id) for source_id in source_ids)

    def _check(self) -> None:
        for role, process in self._started.items():
            if process.poll() is not None:
                last = self.log(role).read_text(errors="replace").strip().splitlines()[-1:]
                raise RuntimeError(f"the {role} worker ended with exit code {process.returncode}: {' '.join(last)}")


def _child_of(pid: int, name: str) -> list[int]:
    """Return the children of a process that are this program."""
    return [child for child in children_of(pid) if name in _command(child)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
