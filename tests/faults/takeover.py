"""Ingest workers that share films and a camera are killed, and frozen past their leases and woken again."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.live_site import write_clip, write_live_site
from tests.faults.processes import family, state
from tests.faults.site import Films
from tests.faults.stage import KEYS, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import System, Worker, wait_until
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, need_server

TAKEN_OVER_WITHIN_S = 15.0
GONE_WITHIN_S = 10.0
"""How soon after it wakes a worker has ended the readers of what others have taken."""
_WAIT_S = 60.0
Record = Mapping[str, int]


@dataclass(slots=True)
class Takeovers:
    """What the faults did."""

    after_kill_s: list[float] = field(default_factory=list)
    after_freeze_s: list[float] = field(default_factory=list)
    gone_s: list[float] = field(default_factory=list)

    def figures(self, what: str, faults: int) -> list[Figure]:
        kills, freezes = len(self.after_kill_s), len(self.after_freeze_s)
        return [
            Figure.exactly(f"{what}: workers with sources that were killed or frozen", kills + freezes, faults),
            _longest(f"{what}: until windows came again after one of {kills} kills", self.after_kill_s),
            _longest(f"{what}: the same after one of {freezes} freezes", self.after_freeze_s),
            _longest(f"{what}: until a woken worker's old readers were gone", self.gone_s, GONE_WITHIN_S),
        ]


class Shared:
    """Some sources and the workers that share them, as Redis knows them."""

    def __init__(self, system: System, redis: Any, source_ids: Sequence[str]) -> None:
        self._system = system
        self._redis = redis
        self._source_ids = source_ids

    def disturb(self, takeovers: Takeovers, *, freeze: bool) -> None:
        """Kill or freeze a worker that reads something; measure how long its sources give no window."""
        if not wait_until(lambda: self._find_reader() is not None, _WAIT_S):
            return
        found = self._find_reader()
        if found is None:
            return
        worker, held = found
        members = family(worker.pid)
        readers = [pid for pid in members[1:] if pid not in _children(worker.pid)]
        before = {source_id: self.record(source_id) for source_id in held}
        started_at = time.monotonic()
        if freeze:
            _send(members, signal.SIGSTOP)
        else:
            worker.signal(signal.SIGKILL)
        wait_until(lambda: all(self._goes_on(name, record) for name, record in before.items()), _WAIT_S, every_s=0.02)
        took_s = time.monotonic() - started_at
        (takeovers.after_freeze_s if freeze else takeovers.after_kill_s).append(took_s)
        if freeze:
            _send(members, signal.SIGCONT)
            takeovers.gone_s.append(_seconds_until(lambda: all(state(pid) in {"", "Z"} for pid in readers)))

    def _find_reader(self) -> tuple[Worker, list[str]] | None:
        """Return a worker that reads something, the one that reads most, and what that is."""
        reads = [(worker, self._read_by(worker)) for worker in self._system.of("ingest") if worker.running]
        worker, held = max(reads, key=lambda read: len(read[1]), default=(None, []))
        return (worker, held) if worker and held else None

    def _read_by(self, worker: Worker) -> list[str]:
        """Return the sources of a worker that have not ended and have given a window under its lease."""
        mark = f"-{worker.pid}@".encode()
        leases = {name: self._redis.get(KEYS.lease(f"source:{name}")) or b"" for name in self._source_ids}
        records = {name: self.record(name) for name, lease in leases.items() if mark in lease}
        return [
            name
            for name, record in records.items()
            if record["next"] > 0 and not record["ended"] and leases[name].startswith(f"{record['token']}:".encode())
        ]

    def _goes_on(self, source_id: str, before: Record) -> bool:
        """Tell whether a window has come from somebody with a newer token, or the file has ended."""
        now = self.record(source_id)
        is_another_epoch = now["generation"] != before["generation"]
        has_windows = now["next"] > (0 if is_another_epoch else before["next"])
        return now["token"] > before["token"] and has_windows

    def record(self, source_id: str) -> Record:
        names = ("generation", "next", "ended", "token")
        values = self._redis.hmget(KEYS.source(source_id), names)
        return {name: int(value or 0) for name, value in zip(names, values, strict=True)}


def run(scale: Scale) -> Sequence[Figure]:
    need_server()
    rounds = scale.pick(short=2, long=10)
    films = Films(number=3, seconds=scale.pick(short=90.0, long=420.0), seed=scale.seed)
    return [*share_films(scale, films, rounds), *share_camera(scale, rounds)]


def share_films(scale: Scale, films: Films, rounds: int) -> list[Figure]:
    """Three workers share the films; what comes out must be what comes out of one that is left alone."""
    takeovers = Takeovers()
    workers = {"ingest": 3, "score": 2, "alert": 1, "deliver": 1}
    with (
        RedisServer("7", "--appendonly", "no") as server,
        on_stage(scale, films, server=server, workers=workers, name="films") as stage,
    ):
        shared = Shared(stage.system, stage.redis, films.ids)
        for number in range(2 * rounds):
            shared.disturb(takeovers, freeze=number % 2 == 1)
        figures = stage.finish(scale.pick(short=150, long=500))
        records = [shared.record(name) for name in films.ids]
        added = stage.redis.xinfo_stream(KEYS.file_windows)["entries-added"]
    wanted = sum(record["next"] - 1 for record in records)
    return [
        *takeovers.figures("films", 2 * rounds),
        Figure.exactly("films: windows that were written twice", added - wanted),
        Figure.exactly("films: epochs begun anew", sum(record["generation"] - 1 for record in records)),
        *figures,
    ]


def share_camera(scale: Scale, rounds: int) -> list[Figure]:
    """Two workers share a camera. Nobody scores, so that every window that was ever written is there at the end."""
    takeovers = Takeovers()
    folder = scale.folder / "camera"
    folder.mkdir(parents=True)
    camera = Camera(write_clip(folder / "clip.mp4"))
    camera.start()
    try:
        sources = [{"id": "yard", "url": camera.url()}]
        config = write_live_site(folder, sources, queue={"live_windows": 10_000})
        with (
            RedisServer("7", "--appendonly", "no") as server,
            closing(server.client()) as redis,
            System(config, redis_url=server.url, workers={"ingest": 2}, folder=folder / "logs") as system,
        ):
            shared = Shared(system, redis, ["yard"])
            for number in range(2 * rounds):
                shared.disturb(takeovers, freeze=number % 2 == 1)
            crashes = len(system.crashes)
            entries = redis.xrange(KEYS.live_windows)
    finally:
        camera.kill()
    return [
        *takeovers.figures("camera", 2 * rounds),
        *_camera_figures([fields[b"epoch"] for _, fields in entries]),
        Figure.exactly("camera: workers that ended by themselves", crashes),
    ]


def _camera_figures(epochs: Sequence[bytes]) -> list[Figure]:
    """Judge the epochs of the camera's windows, in the order in which they were written.

    Within an epoch Redis takes each `seq` once. A window of an epoch after one of a later epoch was written by a reader
    that had been replaced.
    """
    order = list(dict.fromkeys(epochs))
    late = sum(order.index(after) < order.index(before) for before, after in pairwise(epochs))
    return [
        Figure.told("camera: windows, epochs", f"{len(epochs)}, {len(Counter(epochs))}"),
        Figure.exactly("camera: windows of a reader that was replaced", late),
    ]


def _longest(name: str, seconds: Sequence[float], limit_s: float = TAKEN_OVER_WITHIN_S) -> Figure:
    return Figure.at_most(name, max(seconds, default=_WAIT_S), limit_s, "s")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _send(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _seconds_until(holds: Callable[[], bool]) -> float:
    started_at = time.monotonic()
    wait_until(holds, _WAIT_S, every_s=0.02)
    return time.monotonic() - started_at


STORM = Storm(
    name="takeover",
    shows="ingest workers killed and frozen: others go on with their sources, and no reader writes after another",
    run=run,
)
