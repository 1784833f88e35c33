"""A score worker is stopped in the middle of its work, for longer than its windows wait for it, and woken again.

There is no alert worker until the storm is over, so every score that was ever published stands in the stream.
"""

import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.logbook import logged
from tests.faults.site import SINKS, Films
from tests.faults.stage import KEYS, Stage, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import Worker, wait_until
from tests.redis_servers import RedisServer
from xclip_stream.codec import decode_scores
from xclip_stream.queues.redis_windows import GROUP
from xclip_stream.types import WindowId

CLAIM_IDLE_S = 1
FREEZES_APART_S = 0.3
LET_GO_WITHIN_S = 20.0


@dataclass(slots=True)
class Freezes:
    """How many caught a worker with windows, how many of these it lost to another one, and how often neither was so."""

    caught: int = 0
    windows_lost: int = 0
    missed: int = 0


def run(scale: Scale) -> Sequence[Figure]:
    wanted = scale.pick(short=15, long=120, quick=3)
    # The stream of scores takes 10,000, and nobody takes them out.
    films = Films(
        number=scale.pick(short=6, long=4, quick=2), seconds=scale.pick(short=60, long=240, quick=20), seed=scale.seed
    )
    workers = {"ingest": 1, "score": 2}
    queue = {"claim_idle_s": CLAIM_IDLE_S, "max_deliveries": 100}
    with (
        RedisServer("7", "--appendonly", "no") as server,
        on_stage(scale, films, server=server, workers=workers, queue=queue) as stage,
    ):
        assert wait_until(lambda: stage.redis.xlen(KEYS.scores) > 0, 60), "the work did not begin"
        freezes = freeze_scorers(stage, wanted)
        scored = wait_until(lambda: all_scored(stage), 90)
        published = Counter(scored_windows(stage))
        stage.system.add("alert")
        stage.system.add("deliver")
        figures = stage.finish(300)
        refused = sum(batch.get("not_held", 0) for batch in logged(stage.system, "batch_scored"))
    return [
        Figure.at_least("freezes past the claim time with windows in hand", freezes.caught, wanted),
        Figure.told("windows that another worker took over", freezes.windows_lost),
        Figure.told("freezes of a worker with nothing in hand", freezes.missed),
        Figure.at_least("scores that came too late and were refused", refused, 1),
        Figure("every window is scored", sum(published.values()), "all", ok=scored),
        Figure.exactly("windows whose scores were published twice", sum(n > 1 for n in published.values())),
        *figures,
    ]


def freeze_scorers(stage: Stage, wanted: int) -> Freezes:
    """Freeze the two score workers in turn until so many freezes have caught one with windows in hand."""
    freezes = Freezes()
    until = time.monotonic() + 8.0 * wanted
    while freezes.caught < wanted and time.monotonic() < until and not all_scored(stage):
        for worker in stage.system.of("score"):
            freeze(stage, worker, freezes)
    return freezes


def freeze(stage: Stage, worker: Worker, freezes: Freezes) -> None:
    worker.signal(signal.SIGSTOP)
    try:
        held = held_by(stage, worker)
        if not held:
            freezes.missed += 1
            time.sleep(0.01)
            return
        if wait_until(lambda: held_by(stage, worker) == 0, LET_GO_WITHIN_S):
            freezes.caught += 1
            freezes.windows_lost += held
    finally:
        worker.signal(signal.SIGCONT)
    time.sleep(FREEZES_APART_S)


def held_by(stage: Stage, worker: Worker) -> int:
    """Return how many windows a worker holds, as the queue knows it."""
    consumers = stage.redis.xinfo_consumers(KEYS.file_windows, GROUP)
    return sum(each["pending"] for each in consumers if f"-{worker.pid}-".encode() in each["name"])


def all_scored(stage: Stage) -> bool:
    queue = stage.system.queue
    return all(map(queue.epoch_ended, stage.films.ids)) and queue.depths(SINKS).windows == 0


def scored_windows(stage: Stage) -> list[WindowId]:
    """Return the window of every score in the stream."""
    entries = stage.redis.xrange(KEYS.scores)
    return [decode_scores(fields[b"scores"]).id for _, fields in entries]


STORM = Storm(
    name="frozen_scorer",
    shows="a score worker is frozen past the claim time and woken: no scores are published twice",
    run=run,
    in_tests=True,
)
