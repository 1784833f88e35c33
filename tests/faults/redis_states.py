"""What becomes of a Redis: it comes back empty, it is full, it freezes, its link breaks in the middle of a reply."""

import signal
import time
from collections.abc import Sequence

from redis.exceptions import RedisError

from tests.faults.link import Link
from tests.faults.logbook import count
from tests.faults.site import SINKS, Films
from tests.faults.stage import PATIENT, Stage, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import wait_until
from tests.redis_servers import RedisServer

WORKERS = {"ingest": 1, "score": 2, "alert": 1, "deliver": 1}
CUT_ONE_IN = 17
RECOVER_WITHIN_S = 10.0
MAX_MEMORY_MB = 64
FROZEN_S = 20.0
BALLAST = "somebody-else"
BALLAST_BYTES = (1024 * 1024, 64 * 1024, 4 * 1024, 256)


def run(scale: Scale) -> Sequence[Figure]:
    return [*come_back_empty(scale), *be_full(scale), *freeze(scale), *cut_the_link(scale)]


def come_back_empty(scale: Scale) -> list[Figure]:
    """Kill the server, delete what it had, and start it again, in the middle of the films."""
    times = scale.pick(short=2, long=10, quick=1)
    films = Films(number=4, seconds=scale.pick(short=30, long=240, quick=12), seed=scale.seed)
    with (
        RedisServer("7") as server,
        on_stage(scale, films, server=server, workers=WORKERS, name="empty") as stage,
    ):
        begin(stage)
        recovered_s = []
        for _ in range(times):
            time.sleep(films.seconds / 3 / times)
            server.kill()
            server.lose_all()
            server.start()
            recovered_s.append(stage.seconds_to_next_commit(after=0, limit_s=60))
        figures = stage.finish(300)
        rewound = count(stage.system, "source_rewound")
    return named(
        "empty",
        Figure.at_most("slowest recovery", max(recovered_s), RECOVER_WITHIN_S, "s"),
        Figure.at_least("sources that were rewound", rewound, times),
        *figures,
    )


def be_full(scale: Scale) -> list[Figure]:
    """Let the windows of files fill their share while nobody takes them, and somebody else's data fill all the rest.

    The consumers come to a server that refuses every write that needs memory.
    """
    films = Films(number=4, seconds=scale.pick(short=30, long=240, quick=12), seed=scale.seed)
    options = ("--maxmemory", f"{MAX_MEMORY_MB}mb", "--maxmemory-policy", "noeviction")
    queue = {**PATIENT, "file_windows": 10_000}
    with (
        RedisServer("7", "--appendonly", "no", *options) as server,
        on_stage(scale, films, server=server, workers={"ingest": 1}, queue=queue, realtime=False, name="full") as stage,
    ):
        waiting = wait_until_stuck(stage)
        fill_up(stage)
        ready_s = start_consumers(stage)
        recovered_s = stage.seconds_to_next_commit(after=0, limit_s=60)
        refused = fill_up(stage)
        figures = stage.finish(300)
        peak = int(stage.redis.info("memory")["used_memory_peak"])
    return named(
        "full",
        Figure.told("windows that waited while nobody took them", waiting),
        Figure.at_most("peak of its memory", peak / 1024 / 1024, MAX_MEMORY_MB + 2, "MiB"),
        Figure("it was full when the consumers came, and while they worked", str(refused), "True", ok=refused),
        Figure.told("consumers ready after, s", ready_s),
        Figure.at_most("first commit after that", recovered_s, RECOVER_WITHIN_S, "s"),
        *figures,
    )


def freeze(scale: Scale) -> list[Figure]:
    """Stop the server's process for twenty seconds."""
    times = scale.pick(short=1, long=20, quick=1)
    frozen_s = scale.pick(short=FROZEN_S, long=FROZEN_S, quick=8.0)
    films = Films(number=4, seconds=scale.pick(short=45, long=600, quick=20), seed=scale.seed)
    with (
        RedisServer("7", "--appendonly", "no") as server,
        on_stage(scale, films, server=server, workers=WORKERS, name="frozen") as stage,
    ):
        begin(stage)
        recovered_s = []
        for _ in range(times):
            server.signal(signal.SIGSTOP)
            time.sleep(frozen_s)
            server.signal(signal.SIGCONT)
            # What was on its way is committed as it wakes; the one after that is of a worker that goes on.
            recovered_s.append(stage.seconds_to_next_commit(after=(stage.commits() or 0) + 1, limit_s=60))
            time.sleep(1.0)
        figures = stage.finish(300)
    return named(
        "frozen",
        Figure.at_most("slowest recovery", max(recovered_s), RECOVER_WITHIN_S, "s"),
        *figures,
    )


def cut_the_link(scale: Scale) -> list[Figure]:
    """Pass half of a reply on and end the connection, again and again."""
    wanted = scale.pick(short=300, long=1000, quick=40)
    films = Films(number=6, seconds=scale.pick(short=30, long=120, quick=12), seed=scale.seed)
    with (
        RedisServer("7", "--appendonly", "no") as server,
        Link(server.socket) as link,
        on_stage(scale, films, server=server, workers=WORKERS, redis_url=link.url, name="cut") as stage,
    ):
        begin(stage)
        started_at = time.monotonic()
        link.cut_one_reply_in(CUT_ONE_IN)
        wait_until(lambda: link.cuts >= wanted, wanted / 2)
        link.cut_one_reply_in(0)
        took_s = time.monotonic() - started_at
        recovered_s = stage.seconds_to_next_commit(after=stage.commits() or 0, limit_s=60)
        figures = stage.finish(300)
    return named(
        "cut",
        Figure.at_least("replies cut in the middle", link.cuts, wanted),
        Figure.told("in seconds", took_s),
        Figure.at_most("next commit after the last cut", recovered_s, RECOVER_WITHIN_S, "s"),
        *figures,
    )


def begin(stage: Stage) -> None:
    """Wait until all work, the last scorer too: one that is starting gives up where Redis does not answer."""
    assert stage.system.wait_until_busy(timeout_s=180), "the work did not begin"
    loaded = wait_until(lambda: count(stage.system, "model_loaded") >= WORKERS["score"], 180)
    assert loaded, "a score worker did not start"


def wait_until_stuck(stage: Stage) -> int:
    """Wait until the queue takes no more windows; return how many wait in it."""
    depth = -1

    def stuck() -> bool:
        nonlocal depth
        before, depth = depth, stage.system.queue.depths(SINKS).windows
        return depth > 0 and before == depth

    assert wait_until(stuck, 180, every_s=2.0), "the queue never filled"
    return depth


def fill_up(stage: Stage) -> bool:
    """Fill the memory with what is no part of the pipeline; return whether the server refuses even a small write."""
    for size in BALLAST_BYTES:
        for _ in range(10_000):
            try:
                stage.redis.rpush(BALLAST, b"x" * size)
            except RedisError:
                break
    try:
        stage.redis.rpush(BALLAST, b"x")
    except RedisError as error:
        return "OOM" in str(error) or "maxmemory" in str(error)
    return False


def start_consumers(stage: Stage) -> float:
    """Start the workers that take windows out; return how many seconds their start took."""
    started_at = time.monotonic()
    for role in ("score", "alert", "deliver"):
        stage.system.add(role)
    assert wait_until(lambda: count(stage.system, "model_loaded") > 0, 180), "the score worker did not start"
    return time.monotonic() - started_at


def named(state: str, *figures: Figure) -> list[Figure]:
    return [Figure(f"{state}: {figure.name}", figure.value, figure.bound, figure.ok) for figure in figures]


STORM = Storm(
    name="redis_states",
    shows="Redis comes back empty, is full, freezes, and its link is cut: no crash, no duplicate, work again in 10 s",
    run=run,
)
