"""Models that run out of memory, lose their device, hang, or are only slow, while films are watched."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.faults.site import SINKS, Films, Receiver, oracle, write_site
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import System, Worker, wait_until
from tests.faults.told import compare, jsonl_events, public_events
from tests.redis_servers import RedisServer

BROKEN = "tests.faults.broken_score_worker"
BATCH = 16
BATCH_TIMEOUT_S = 3
CLAIM_IDLE_S = 2
SLOW_S = 0.4
"""What a clip takes with the slow model: a batch takes three times what a silent worker may hold it."""
FAULTS: dict[str, tuple[str, ...]] = {
    "loses its device": ("--fault", "lose-device", "--at-call", "2"),
    "hangs": ("--fault", "hang", "--at-call", "2"),
    "hangs with the lock": ("--fault", "hang-with-lock", "--at-call", "2"),
    "has memory for nothing": ("--fault", "run-out-of-memory", "--above", "0"),
    "has memory for two clips": ("--fault", "run-out-of-memory", "--above", "2"),
}
ENDED = ("loses its device", "hangs", "hangs with the lock", "has memory for nothing")
"""Those that end the process."""


def run(scale: Scale) -> Sequence[Figure]:
    return [*broken(scale), *slow(scale)]


def broken(scale: Scale) -> list[Figure]:
    """Each worker has a fault once; what it held is scored by another."""
    films = Films(number=4, seconds=scale.pick(short=25.0, long=90.0), seed=scale.seed)
    expected = oracle(films)
    with RedisServer("7", "--appendonly", "no") as server, Receiver() as receiver:
        site = write_site(
            films,
            scale.folder,
            webhook_url=receiver.url,
            realtime=False,
            model={"batch_size": BATCH, "batch_timeout_s": BATCH_TIMEOUT_S},
            queue={"claim_idle_s": CLAIM_IDLE_S, "file_windows": 4 * BATCH},
        )
        workers = {"alert": 1, "deliver": 1}
        with System(site.config, redis_url=server.url, workers=workers, folder=scale.folder / "logs") as system:
            _fill_queue(system, 12 * BATCH)
            scorers = {fault: system.add("score", *_program(fault, scale.folder)) for fault in FAULTS}
            drained = system.wait_until_drained(240)
            # The others may be done with all work before a process that holds Python's lock is found to hang.
            wait_until(lambda: len(system.crashes) >= len(ENDED), 60)
            told, dead = public_events(system.queue), system.queue.depths(SINKS).dead
            codes = {crash.worker: crash.exit_code for crash in system.crashes}
            halvings = {fault: _sizes(worker, "batch_halved") for fault, worker in scorers.items()}
            hung_s = _silence_s(scorers["hangs"])
            after = min(len(worker.said("batch_scored")) for worker in scorers.values())
        archive = compare(expected, jsonl_events(site.archive))
    return [
        Figure("all was scored, judged and delivered", "yes" if drained else "no", "yes", ok=drained),
        *(Figure.exactly(f"{fault}: exit code", codes.get(scorers[fault].name, 0), 1) for fault in ENDED),
        Figure.exactly("has memory for two clips: exit code", codes.get(scorers["has memory for two clips"].name, 0)),
        _same("has memory for two clips: batch halved to", halvings["has memory for two clips"], [8, 4, 2]),
        _same("has memory for nothing: batch halved to", halvings["has memory for nothing"], [8, 4, 2]),
        Figure.at_most("hangs: noticed after", hung_s, BATCH_TIMEOUT_S + 2, "s"),
        Figure.told("batches of the worker that scored the fewest", after),
        Figure.exactly("dead letters", dead),
        *compare(expected, told).figures("public stream", once=True),
        *archive.figures("JSONL", once=True),
    ]


def slow(scale: Scale) -> list[Figure]:
    """Two workers need far longer for a batch than a silent worker may hold it; neither takes the other's windows."""
    films = Films(number=2, seconds=scale.pick(short=8.0, long=20.0), seed=scale.seed)
    expected = oracle(films)
    with RedisServer("7", "--appendonly", "no") as server, Receiver() as receiver:
        site = write_site(
            films,
            scale.folder / "slow",
            webhook_url=receiver.url,
            realtime=False,
            model={"batch_size": BATCH, "batch_timeout_s": BATCH_TIMEOUT_S},
            queue={"claim_idle_s": CLAIM_IDLE_S, "file_windows": 2 * BATCH},
        )
        workers = {"alert": 1, "deliver": 1}
        with System(site.config, redis_url=server.url, workers=workers, folder=scale.folder / "slow-logs") as system:
            _fill_queue(system, 3 * BATCH)
            scorers = [system.add("score", BROKEN, "--slow-s", str(SLOW_S)) for _ in range(2)]
            drained = system.wait_until_drained(240)
            batches = [line for worker in scorers for line in worker.said("batch_scored")]
            told, crashes = public_events(system.queue), len(system.crashes)
    scored = sum(int(line.get("scored", 0)) for line in batches)
    in_vain = sum(int(line.get("not_held", 0)) for line in batches)
    return [
        Figure("slow: all was scored", "yes" if drained else "no", "yes", ok=drained),
        Figure.at_least("slow: longest batch", max(line["ms"] for line in batches) / 1000, 2 * CLAIM_IDLE_S, "s"),
        Figure.told("slow: windows scored", scored),
        Figure.exactly("slow: windows scored in vain", in_vain),
        Figure.exactly("slow: ends of workers", crashes),
        *compare(expected, told).figures("slow: public stream", once=True),
    ]


def _program(fault: str, folder: Path) -> tuple[str, ...]:
    once = folder / f"{fault.replace(' ', '-')}.once"
    return (BROKEN, *FAULTS[fault], "--once", str(once), "--slow-s", "0.03")


def _fill_queue(system: System, windows: int) -> None:
    """Let the films begin before the scorers, so that each of these finds a whole batch."""
    system.add("ingest")
    assert wait_until(lambda: system.queue.depths(()).windows >= windows, 120), "the queue did not fill"


def _sizes(worker: Worker, event: str) -> list[int]:
    return [int(line["batch_size"]) for line in worker.said(event)]


def _silence_s(worker: Worker) -> float:
    """Return how long the worker was silent before it said that its model hangs."""
    entries: list[dict[str, Any]] = [*worker.said("batch_scored")[:1], *worker.said("scorer_hung")]
    if len(entries) != 2:
        return float("inf")
    begun, ended = (datetime.fromisoformat(entry["timestamp"]) for entry in entries)
    return (ended - begun).total_seconds()


def _same(name: str, value: list[int], wanted: list[int]) -> Figure:
    return Figure(name, ", ".join(map(str, value)), ", ".join(map(str, wanted)), ok=value == wanted)


STORM = Storm(
    name="scorer",
    shows="out of memory, a lost device, a hung batch: halved or ended, and the windows are scored by another",
    run=run,
)
