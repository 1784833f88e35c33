"""kill -9 of a random worker every second, while ten films are watched."""

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.site import Films
from tests.faults.stage import Stage, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import Worker
from tests.redis_servers import RedisServer

KILL_EVERY_S = 1.0
WORKERS = {"ingest": 2, "score": 2, "alert": 2, "deliver": 2}


@dataclass(slots=True)
class Kills:
    """How many there were of each role, and how many of these hit a worker that had work in hand."""

    of: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)


def run(scale: Scale) -> Sequence[Figure]:
    storm_s = scale.pick(short=40.0, long=120.0, quick=8.0)
    films = Films(number=scale.pick(short=10, long=10, quick=3), seconds=storm_s, seed=scale.seed)
    with (
        RedisServer("7", "--appendonly", "no") as server,
        on_stage(scale, films, server=server, workers=WORKERS) as stage,
    ):
        assert stage.system.wait_until_busy(timeout_s=180), "the work did not begin"
        kills = kill_workers(stage, storm_s, scale.chance())
        figures = stage.finish(300)
    return [
        Figure.told("workers killed", ", ".join(f"{kills.of[role]} {role}" for role in WORKERS)),
        Figure.told("of them with work in hand", ", ".join(f"{kills.busy[role]} {role}" for role in WORKERS)),
        Figure.at_least("kills of a worker with work in hand", kills.busy.total(), kills.of.total() / 2),
        *figures,
    ]


def kill_workers(stage: Stage, storm_s: float, chance: random.Random) -> Kills:
    """Kill a worker every second, of a random role, in the middle of its work where that can be."""
    kills = Kills()
    started_at = time.monotonic()
    for number in range(round(storm_s / KILL_EVERY_S)):
        time.sleep(max(0.0, started_at + number * KILL_EVERY_S - time.monotonic()))
        worker, busy = find_victim(stage, chance)
        if worker.signal(signal.SIGKILL):
            kills.of[worker.role] += 1
            kills.busy[worker.role] += busy
    return kills


def find_victim(stage: Stage, chance: random.Random) -> tuple[Worker, bool]:
    """Return a worker of a random role that has work in hand; else one of any role that has; else any one that runs.

    A worker that is killed while it starts proves little, and on a busy machine starting is all that it would ever do.
    """
    roles = chance.sample(list(WORKERS), len(WORKERS))
    until = time.monotonic() + KILL_EVERY_S / 2
    while time.monotonic() < until:
        for worker in stage.system.of(roles[0]):
            if stage.work.is_busy(worker):
                return worker, True
        time.sleep(0.005)
    workers = [worker for role in roles for worker in stage.system.of(role) if worker.running]
    return next(((worker, True) for worker in workers if stage.work.is_busy(worker)), (workers[0], False))


STORM = Storm(
    name="worker_kills",
    shows="kill -9 of a random worker every second: the events of ten films, each once and in order",
    run=run,
    in_tests=True,
)
