"""A real system that runs: Redis, the four workers and the exporter, each a process that serves its metrics."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.command_line import PROGRAM, environment
from tests.metrics.reading import Shown, samples
from tests.redis_servers import RedisServer
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video
from tests.waiting import PATIENCE_S

ROLES = ("ingest", "score", "alert", "deliver")
SITE = """\
model: {checkpoint: ./model, threads: 1, device: cpu}
sources:
  - {id: film, url: ./film.mp4, realtime: true, window: {span_s: 2, stride_s: 0.5}}
  - {id: gone, url: "rtsp://127.0.0.1:1/", open_timeout_s: 1}
rules:
  - {id: anything, prompts: [anything at all], background: [an empty yard], enter: 0.01, exit: 0.001, max_duration_s: 2}
evidence: {dir: ./kept, pre_roll_s: 0, post_roll_s: 0}
sinks:
  - {id: log, type: jsonl, path: ./events.jsonl}
  - {id: down, type: webhook, url: "http://127.0.0.1:1/", max_delay_s: 1}
"""


class System:
    """Its processes; `addresses` has where each of them serves."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.addresses: dict[str, str] = {}

    def scrape(self, role: str) -> Shown:
        with urllib.request.urlopen(f"http://{self.addresses[role]}/metrics", timeout=30) as response:
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return Shown(samples(response.read().decode()))


@contextmanager
def running_system(folder: Path, **environ: str) -> Iterator[System]:
    """Run the system in a folder; the film goes on for ten minutes."""
    write_tiny_checkpoint(folder / "model", num_frames=4)
    write_video(folder / "film.mp4", steady(5, 600), options={"preset": "ultrafast"})
    (folder / "site.yaml").write_text(SITE)
    with RedisServer("7") as server, ExitStack() as stack:
        system = System(folder, server.url)
        for role in ROLES:
            command = (sys.executable, "-m", f"workers.{role}", "--config", "site.yaml", "--health", "127.0.0.1:0")
            system.addresses[role] = _start(stack, command, system, **environ)
        exporter = (*PROGRAM, "exporter", "--config", "site.yaml", "--listen", "127.0.0.1:0")
        system.addresses["exporter"] = _start(stack, exporter, system, **environ)
        yield system


def _start(stack: ExitStack, command: tuple[str, ...], system: System, **environ: str) -> str:
    """Start a process, and return the address at which it serves."""
    log = system.folder / f"{len(system.addresses)}.log"
    more = {"XCLIP_STREAM_REDIS_URL": system.redis_url, "XCLIP_STREAM_LOG": "json", **environ}
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command, stderr=stderr, stdout=subprocess.DEVNULL, cwd=system.folder, env=environment(system.folder, **more)
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    end = time.monotonic() + PATIENCE_S
    while True:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (told := json.loads(line))["event"] in {"health_served", "metrics_served"}:
                return str(told["address"])
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, f"{command} does not serve"
        time.sleep(0.05)
