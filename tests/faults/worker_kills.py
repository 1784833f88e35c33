"""kill -9 of a random worker every second, while ten films are watched."""

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from tests.faults.site import SINKS, Films, Receiver, oracle, write_site
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import System
from tests.faults.told import compare, jsonl_events, public_events
from tests.faults.work import WorkInHand
from tests.redis_servers import RedisServer

KILL_EVERY_S = 1.0
CLAIM_IDLE_S = 3
WORKERS = {"ingest": 1, "score": 2, "alert": 2, "deliver": 2}


@dataclass(slots=True)
class Kills:
    """How many there were of each role, and how many of these hit a worker that had work in hand."""

    of: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)


def run(scale: Scale) -> Sequence[Figure]:
    storm_s = scale.pick(short=40.0, long=120.0, quick=8.0)
    films = Films(number=scale.pick(short=10, long=10, quick=3), seconds=storm_s, seed=scale.seed)
    expected = oracle(films)
    with RedisServer("7", "--appendonly", "no") as server, Receiver() as receiver:
        queue = {"claim_idle_s": CLAIM_IDLE_S, "max_deliveries": 100}
        site = write_site(films, scale.folder, webhook_url=receiver.url, queue=queue)
        with System(site.config, redis_url=server.url, workers=WORKERS, folder=scale.folder / "logs") as system:
            work = WorkInHand(system, redis_url=server.url, source_ids=films.ids, sink_ids=list(SINKS))
            assert system.wait_until_busy(timeout_s=60), "the work did not begin"
            with closing(work):
                kills = kill_workers(system, work, storm_s, scale.chance())
            ended_at = time.monotonic()
            drained = system.wait_until_drained(scale.pick(short=90, long=180, quick=60))
            drained_after_s = time.monotonic() - ended_at
            public = compare(expected, public_events(system.queue))
            dead = system.queue.depths(SINKS).dead
        archive = compare(expected, jsonl_events(site.archive))
        webhook = compare(expected, receiver.told)
    return [
        Figure.told("messages expected", sum(map(len, expected.values()))),
        Figure.told("workers killed", ", ".join(f"{kills.of[role]} {role}" for role in WORKERS)),
        Figure.at_least("kills of a busy worker", kills.busy.total(), kills.of.total() / 4),
        Figure.told("of them", ", ".join(f"{kills.busy[role]} {role}" for role in WORKERS)),
        Figure("all work was done, seconds after the storm", round(drained_after_s), "done", ok=drained),
        Figure.exactly("other ends of workers", len(system.crashes)),
        Figure.exactly("dead letters", dead),
        *public.figures("public stream", once=True),
        *archive.figures("JSONL", once=True),
        *webhook.figures("webhook", once=False),
    ]


def kill_workers(system: System, work: WorkInHand, storm_s: float, chance: random.Random) -> Kills:
    """Kill a running worker every second."""
    kills = Kills()
    until = time.monotonic() + storm_s
    while time.monotonic() < until:
        time.sleep(KILL_EVERY_S)
        running = [worker for worker in system.workers if worker.running]
        if not running:
            continue
        worker = chance.choice(running)
        busy = work.is_busy(worker)
        if worker.signal(signal.SIGKILL):
            kills.of[worker.role] += 1
            kills.busy[worker.role] += busy
    return kills


STORM = Storm(
    name="worker_kills",
    shows="kill -9 of a random worker every second: the events of ten films, each once and in order",
    run=run,
    in_tests=True,
)
