"""A process that opens and closes sources a thousand times: cameras, files, and cameras that are not there."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from tests.faults.growth import Growth
from tests.faults.live_site import write_clip
from tests.faults.processes import Usage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import ROOT
from tests.ports import free_port
from tests.rtsp import Camera, need_server

WARM_AFTER = 0.3
"""The part of all opens after which the allocator has what it needs."""
KIB_AN_OPEN = {"short": 32.0, "long": 4.0}
WITHIN_S = {"short": 180.0, "long": 3600.0}


def run(scale: Scale) -> Sequence[Figure]:
    times = scale.pick(short=100, long=1000)
    need_server()
    with ExitStack() as stack:
        clip = write_clip(scale.folder / "clip.mp4", seconds=2.0)
        camera = Camera(clip)
        stack.callback(camera.kill)
        camera.start()
        refused = f"rtsp://127.0.0.1:{free_port()}/live"
        urls = [camera.url(), str(clip), camera.url().replace("/live", "/other"), refused]
        output = subprocess.run(
            [sys.executable, "-m", "tests.faults.reopening", str(times), *urls],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=scale.pick(**WITHIN_S),
        ).stdout
    seen = [json.loads(line) for line in output.splitlines()]
    # The same kind of source each time, so that the figures can be compared.
    growth = Growth(
        [Usage(fds, threads, rss, 1) for fds, threads, rss in seen][round(WARM_AFTER * times) // 4 * 4 :: 4]
    )
    return [
        Figure.exactly("opens", len(seen), times),
        *growth.figures("the process", a_step="for four opens", kib_a_step=4 * scale.pick(**KIB_AN_OPEN)),
    ]


STORM = Storm(
    name="opens",
    shows="opens and closes of a camera, a file, a wrong path and a port that refuses: nothing is left behind",
    run=run,
)
