"""The real `xclip-stream run`, kept alive, that is given one video after the other and asked how long each took."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.processes import Use, spent, use_by_role
from benchmarks.site import Site
from benchmarks.system import NOWHERE, ROOT
from xclip_stream.errors import QueueUnavailable
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.queues.server import EmbeddedRedis

_LOOK_EVERY_S = 0.05
_STOP_WITHIN_S = 60.0
_LOG_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What became of one video: seconds from its opening to its last event, and processor seconds by role."""

    seconds: float
    windows: int
    events: int
    cpu_s: Mapping[str, float]


class Running:
    """Entering starts it; leaving stops it.

    Args:
        site: its configuration; the model in it is loaded once and for all.
        folder: where it keeps its Redis, and its log.
    """

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self._folder = folder
        self._sources: list[dict[str, Any]] = [NOWHERE]
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes]
        self._queue: RedisQueue

    def __enter__(self) -> Self:
        config = self._site.write(self._sources)
        command = [str(Path(sys.executable).with_name("xclip-stream")), "run", str(config)]
        with ExitStack() as stack:
            log = stack.enter_context(self._log.open("wb"))
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )
            stack.callback(self._stop)
            self._queue = stack.enter_context(open_queue(EmbeddedRedis(self._folder / "redis").url))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def _log(self) -> Path:
        return self._folder / "run.log"

    def watch(self, video: Path, source_id: str, *, within_s: float) -> Watched:
        """Let it watch a video, with a rule that is true all along, until the `ended` event is public.

        Raises:
            RuntimeError: it did not in time, or the run has ended.
        """
        self._wait_for_redis(within_s)
        before, after_id = self.use(), self._queue.last_event_id()
        self._sources.append({"id": source_id, "url": str(video)})
        self._site.write(self._sources)
        until, events = time.monotonic() + within_s, 0
        while time.monotonic() < until:
            self._check()
            for entry_id, body in self._queue.read_events(after_id=after_id, max_count=1, block_s=1.0):
                ended_at, after_id, data = time.time(), entry_id, json.loads(body)["data"]
                events += data["source_id"] == source_id
                if data["source_id"] == source_id and data["phase"] == "ended":
                    return Watched(
                        seconds=ended_at - self._opened_at(source_id),
                        windows=self._windows_of(source_id),
                        events=events,
                        cpu_s=spent(before, self.use()),
                    )
        raise RuntimeError(f"{video.name} was not watched within {within_s:.0f} s")

    def use(self) -> dict[str, Use]:
        return use_by_role([self._process.pid])

    def model(self) -> dict[str, Any]:
        """Return what it said of the model that it has loaded."""
        said = next(self._said("model_loaded"), {})
        return {name: value for name, value in said.items() if name not in {"timestamp", "level", "worker", "pid"}}

    def _opened_at(self, source_id: str) -> float:
        """Return when it opened a source: what comes next is the first frame."""
        return datetime.fromisoformat(str(self._line("source_opened", source_id)["timestamp"])).timestamp()

    def _windows_of(self, source_id: str) -> int:
        """Return how many windows it cut of a source; that it has ended is judged after all of them."""
        return int(self._line("source_ended", source_id)["windows"])

    def _line(self, event: str, source_id: str) -> dict[str, Any]:
        """Return what its log says of a source; the line may come a little after what it tells of."""
        until = time.monotonic() + _LOG_WITHIN_S
        while time.monotonic() < until:
            for line in self._said(event):
                if line.get("source") == source_id:
                    return line
            time.sleep(_LOOK_EVERY_S)
        raise RuntimeError(f"the log of the run has no {event} of {source_id}")

    def _said(self, event: str) -> Iterator[dict[str, Any]]:
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith("{") and f'"{event}"' in line:
                entry = json.loads(line)
                if entry.get("event") == event:
                    yield entry

    def _wait_for_redis(self, within_s: float) -> None:
        until = time.monotonic() + within_s
        while not (self._folder / "redis").exists() or not self._answers():
            self._check()
            if time.monotonic() > until:
                raise RuntimeError(f"the queue of the run does not answer within {within_s:.0f} s")
            time.sleep(_LOOK_EVERY_S)

    def _answers(self) -> bool:
        try:
            self._queue.ping()
        except QueueUnavailable:
            return False
        return True

    def _check(self) -> None:
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(f"the run ended with exit code {self._process.returncode}: {' '.join(last)}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
