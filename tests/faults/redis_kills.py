"""kill -9 of Redis every five seconds, on a disk that is behind, while films and a camera are watched.

A server with `appendfsync everysec` has answered for what the disk does not have yet. Each time it comes back without
the last seconds of what it had written, as after a power cut on a slow disk.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import missing_part
from tests.faults.logbook import count
from tests.faults.site import Films, film_path
from tests.faults.stage import Stage, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import wait_until
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, can_serve
from xclip_stream.rule_state import RuleState

KILL_EVERY_S = 5.0
BEHIND_S = (0.5, 2.5)
"""How far the disk is behind."""
CAMERA = "camera"


@dataclass(slots=True)
class Kills:
    number: int = 0
    lost_bytes: int = 0


def run(scale: Scale) -> Sequence[Figure]:
    storm_s = scale.pick(short=45.0, long=600.0, quick=12.0)
    films = Films(number=scale.pick(short=6, long=10, quick=2), seconds=storm_s, seed=scale.seed)
    options = ("--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
    with (
        camera_on(film_path(films, 0)) as camera,
        RedisServer("7", *options) as server,
        on_stage(
            scale,
            films,
            server=server,
            workers={"ingest": 1, "score": 2, "alert": 1, "deliver": 1},
            more_sources=[{"id": CAMERA, "url": camera.url(), "window": {"span_s": 1.6, "stride_s": 0.4}}],
        ) as stage,
    ):
        assert stage.system.wait_until_busy(timeout_s=180), "the work did not begin"
        kills = kill_redis(server, storm_s, scale.chance())
        wait_until(stage.system.all_read, 120)
        stopped = stage.system.stop("ingest")
        figures = stage.finish(300)
        live = camera_figures(stage)
        rewound = count(stage.system, "source_rewound")
    return [
        Figure.told("Redis killed", kills.number),
        Figure.told("written and lost again, KiB", kills.lost_bytes // 1024),
        Figure.at_least("sources that were rewound", rewound, 1),
        Figure("the ingest worker stopped when asked", str(stopped), "True", ok=stopped),
        *figures,
        *live,
    ]


def kill_redis(server: RedisServer, storm_s: float, chance: random.Random) -> Kills:
    kills = Kills()
    for _ in range(round(storm_s / KILL_EVERY_S)):
        behind_s = chance.uniform(*BEHIND_S)
        time.sleep(KILL_EVERY_S - behind_s)
        safe: Mapping[Path, int] = server.written()
        time.sleep(behind_s)
        server.kill()
        kills.number += 1
        kills.lost_bytes += server.lose_since(safe)
        server.start()
    return kills


def camera_figures(stage: Stage) -> list[Figure]:
    """Return what became of the windows of the camera, of which each has to be accounted for."""
    status = stage.system.queue.source_statuses()[CAMERA]
    state = RuleState.decode(stage.system.queue.load_states()[CAMERA])
    counts = state.counts
    given_up = counts.dropped + counts.expired + counts.failed
    return [
        Figure.told("camera: windows scored", counts.windows - given_up),
        Figure.told("camera: windows given up and counted", given_up + counts.lost),
        Figure.exactly(
            "camera: windows that nobody counted", status.windows + status.dropped - counts.windows - counts.lost
        ),
    ]


@contextmanager
def camera_on(film: Path) -> Iterator[Camera]:
    if not can_serve():
        missing_part("GStreamer's RTSP server", "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi and plugins")
    camera = Camera(film)
    camera.start()
    try:
        yield camera
    finally:
        camera.kill()


STORM = Storm(
    name="redis_kills",
    shows="kill -9 of Redis every 5 s with a disk that is behind: the events of files, each once and in order",
    run=run,
)
