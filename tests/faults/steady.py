"""Nothing happens: eight sources, and the memory of every worker while they are watched."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.faults.growth import Growth
from tests.faults.live_site import write_clip, write_live_site
from tests.faults.processes import usage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import ROLES, System, wait_until
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, need_server
from xclip_stream.protocols import SourceState

SAMPLE_EVERY_S = 2.0
WARM_AFTER = 1 / 3
"""The part of the run after which a worker is warm."""
KIB_A_MINUTE = {"short": 2048.0, "long": 16.0}
"""How much a process may grow: a worker, or one of the readers of ingest. In a short run most of it is warming up."""
GIVE_UP_S = 240.0


def run(scale: Scale) -> Sequence[Figure]:
    run_s = scale.pick(short=75.0, long=1800.0)
    need_server()
    growths = {role: Growth() for role in ROLES}
    with ExitStack() as stack:
        camera = Camera(write_clip(scale.folder / "clip.mp4"))
        stack.callback(camera.kill)
        camera.start()
        film = write_clip(scale.folder / "film.mp4", seconds=run_s + GIVE_UP_S)
        cameras = [{"id": f"camera-{number}", "url": camera.url()} for number in range(4)]
        films = [{"id": f"film-{number}", "url": str(film), "realtime": True} for number in range(4)]
        config = write_live_site(scale.folder, [*cameras, *films])
        server = stack.enter_context(RedisServer("7", "--appendonly", "no"))
        workers = dict.fromkeys(ROLES, 1)
        system = stack.enter_context(
            System(config, redis_url=server.url, workers=workers, folder=scale.folder / "logs")
        )
        assert wait_until(lambda: _scored(system) == 8, GIVE_UP_S), "not every source was scored"
        until = time.monotonic() + run_s
        while time.monotonic() < until:
            for role, growth in growths.items():
                growth.seen.append(usage(system.of(role)[0].pid))
            time.sleep(SAMPLE_EVERY_S)
        running, crashes = _running(system), len(system.crashes)
    return [
        Figure.exactly("sources that are still read", running, 8),
        Figure.exactly("ends of workers", crashes),
        *(
            figure
            for role, growth in growths.items()
            for figure in _figures(role, growth, kib_a_minute=scale.pick(**KIB_A_MINUTE))
        ),
    ]


def _figures(role: str, growth: Growth, *, kib_a_minute: float) -> list[Figure]:
    warm = Growth(growth.seen[round(WARM_AFTER * len(growth.seen)) :])
    first, last = warm.seen[0], warm.seen[-1]
    middle = len(warm.seen) // 2
    # The fewest of each half: a thread that is left behind is there in every look.
    before, after = (min(one.threads for one in half) for half in (warm.seen[:middle], warm.seen[middle:]))
    return [
        Figure.told(f"{role}: memory, MiB", f"{first.rss_bytes / 2**20:.1f} → {last.rss_bytes / 2**20:.1f}"),
        Figure.at_most(
            f"{role}: KiB a minute a process", warm.kib_a_step() * 60 / SAMPLE_EVERY_S / last.processes, kib_a_minute
        ),
        Figure.at_most(f"{role}: threads in the second half", after, before),
    ]


def _running(system: System) -> int:
    statuses = system.queue.source_statuses().values()
    return sum(status.state is SourceState.RUNNING for status in statuses)


def _scored(system: System) -> int:
    """Return of how many sources windows were scored."""
    statuses = system.queue.rule_statuses().values()
    return sum(status.windows > status.dropped + status.expired + status.failed for status in statuses)


STORM = Storm(
    name="steady",
    shows="eight sources and no fault: no worker grows",
    run=run,
)
