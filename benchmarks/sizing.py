"""What a camera costs: processor time and memory of each worker while it is watched.

    python benchmarks/sizing.py VIDEO [VIDEO …] [--seconds 60] [--json]

Each H.264 video is played by an RTSP server on the loopback interface, again and again, and watched alone, as a camera
in which something always moves: all of it is decoded, and every window scored, by a checkpoint of the published shape
(B/32) with random weights on one thread, at the default span and stride. Processor time and proportional memory (PSS)
come from /proc, so what else the machine does changes them little. What comes before the third score is left out.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import yaml
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from pipeline import BACKGROUND, PROMPTS, logged, make_checkpoint

from xclip_stream.demo.play import RTSP_SERVER, SYSTEM_PYTHON, can_serve_rtsp

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
WARM_UP_LIMIT_S = 300.0
ROLE = re.compile(r"workers\.(\w+)|redis-server|forkserver")
USER_TICKS, SYSTEM_TICKS = 11, 12
"""Fields of /proc/PID/stat after the name of the program, from 0: see proc(5)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one camera, by worker: processor seconds for each second, and MiB."""

    video: str
    windows: int
    cpu_s: dict[str, float]
    pss_mib: dict[str, float]


def cost_of(video: Path, folder: Path, *, seconds: float) -> Cost:
    """Watch one video and measure."""
    log = folder / "log"
    with log.open("w") as file, playing(video) as url:
        config = write_config(folder, url)
        run = subprocess.Popen(
            [str(Path(sys.executable).with_name("xclip-stream")), "run", str(config), "--log-level", "debug"],
            stderr=file,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for_scores(log, run)
            windows_before, before, start = scored(log), dict(usage_of(run.pid)), time.monotonic()
            time.sleep(seconds)
            windows, after = scored(log) - windows_before, dict(usage_of(run.pid))
            took_s = time.monotonic() - start
        finally:
            run.terminate()
            run.wait(60)
    if not windows:
        sys.exit(f"nothing was scored in {seconds:g} s: give it more with --seconds")
    return Cost(
        video=describe(video),
        windows=windows,
        cpu_s={role: (used_s - before.get(role, (0.0, 0.0))[0]) / took_s for role, (used_s, _) in after.items()},
        pss_mib={role: mib for role, (_, mib) in after.items()},
    )


@contextmanager
def playing(video: Path) -> Iterator[str]:
    """Play a video as a camera; yields its URL."""
    command = [SYSTEM_PYTHON, str(RTSP_SERVER), str(video.resolve()), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def write_config(folder: Path, url: str) -> Path:
    config = {
        "version": 1,
        "model": {"checkpoint": str(folder / "checkpoint"), "threads": 1},
        "redis": {"dir": str(folder / "redis")},
        "sources": [{"id": "camera", "url": url, "idle": "off"}],
        "rules": [{"id": "any", "prompts": list(PROMPTS), "background": list(BACKGROUND)}],
        "sinks": [{"id": "file", "type": "jsonl", "path": str(folder / "events.jsonl")}],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def wait_for_scores(log: Path, run: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + WARM_UP_LIMIT_S
    while scored(log) < 3:
        if run.poll() is not None or time.monotonic() > give_up_at:
            sys.exit(f"nothing was scored:\n{log.read_text()[-2000:]}")
        time.sleep(0.5)


def scored(log: Path) -> int:
    return sum(int(str(line.get("scored", 0))) for line in logged(log) if line.get("event") == "batch_scored")


def usage_of(root: int) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield (role, (processor seconds so far, MiB)) of a process and its descendants, those of one role added up."""
    totals: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    waiting = [root]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            pss = re.search(r"^Pss:\s+(\d+)", (process / "smaps_rollup").read_text(), flags=re.MULTILINE)
            waiting += map(int, (process / "task" / process.name / "children").read_text().split())
        except OSError:
            continue
        role = ROLE.search(command)
        if role and pss:
            name = {"forkserver": "ingest"}.get(role[0], role[1] or "redis")
            cpu_s, mib = totals[name]
            used_s = (int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])) / TICKS_PER_S
            totals[name] = (cpu_s + used_s, mib + int(pss[1]) / 1024)
    yield from totals.items()


def describe(video: Path) -> str:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        return f"{codec.name} {codec.width}×{codec.height}, {float(stream.average_rate or 0):g} fps"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path, help="of H.264, some seconds long")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not can_serve_rtsp():
        sys.exit(
            "needs an RTSP server: gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-{base,good,bad,ugly}"
        )
    costs = []
    for video in options.videos:
        with tempfile.TemporaryDirectory() as name:
            make_checkpoint(Path(name) / "checkpoint", patch=32)
            costs.append(cost_of(video, Path(name), seconds=options.seconds))
    if options.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=2))
        return 0
    table = Table("camera", "windows", "worker", "processor, ms for each second", "memory, MiB")
    for cost in costs:
        for role in sorted(cost.cpu_s):
            table.add_row(
                cost.video, f"{cost.windows}", role, f"{cost.cpu_s[role] * 1000:.0f}", f"{cost.pss_mib[role]:.0f}"
            )
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
