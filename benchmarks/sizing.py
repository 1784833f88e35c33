"""What a camera costs: processor time and memory of each worker while it is watched.

    python benchmarks/sizing.py VIDEO [VIDEO …] [--seconds 60] [--json]

Each H.264 video is played by an RTSP server on the loopback interface, again and again, and watched alone, as a camera
in which something always moves: all of it is decoded, and every window scored, by a checkpoint of the published shape
(B/32) with random weights on one thread, at the default span and stride. Processor time and proportional memory (PSS)
come from /proc, so what else the machine does changes them little. What comes before the third score is left out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import yaml
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.processes import spent, use_by_role
from benchmarks.site import full_size
from xclip_stream.demo.play import RTSP_SERVER, SYSTEM_PYTHON, can_serve_rtsp

WARM_UP_LIMIT_S = 300.0
PROMPTS = ("a person falling down", "two people fighting")
BACKGROUND = ("a person walking", "an empty street", "cars driving past")


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
            windows_before, before, start = scored(log), use_by_role([run.pid]), time.monotonic()
            time.sleep(seconds)
            windows, after = scored(log) - windows_before, use_by_role([run.pid])
            took_s = time.monotonic() - start
        finally:
            run.terminate()
            run.wait(60)
    if not windows:
        sys.exit(f"nothing was scored in {seconds:g} s: give it more with --seconds")
    return Cost(
        video=describe(video),
        windows=windows,
        cpu_s={role: used_s / took_s for role, used_s in spent(before, after).items()},
        pss_mib={role: use.pss_mib for role, use in after.items()},
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


def logged(path: Path) -> Iterator[dict[str, object]]:
    for line in path.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


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
            full_size(Path(name) / "checkpoint")
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
