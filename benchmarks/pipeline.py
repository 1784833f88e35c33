"""A full-size X-CLIP through the whole pipeline: does it load, what does it hold, how fast is it?

    python benchmarks/pipeline.py VIDEO [VIDEO …] [--patch 32] [--seconds 120] [--json]

Makes a checkpoint of the published shape with random weights, watches the videos with `xclip-stream run`, and prints,
measured in one run: windows a second of the pipeline against those of the bare model on the same machine (a ratio),
and the peak memory of every worker. Random weights score at random: this says nothing about accuracy.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from xclip_stream.model import Scorer, XCLIPConfig, XCLIPModel, XCLIPProcessor, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.checkpoint_files import FrameRules

PROMPTS = ("a person falling down", "two people fighting")
BACKGROUND = ("a person walking", "an empty street", "cars driving past")


@dataclass(frozen=True, slots=True)
class Run:
    windows: int
    took_s: float
    scoring_s: float
    peak_mib: dict[str, float]
    exit_code: int


def make_checkpoint(folder: Path, *, patch: int) -> None:
    """A checkpoint of the published base shape. The tokenizer is the demo's: any text will do for random weights."""
    torch.manual_seed(0)
    config = XCLIPConfig(
        text_config=XCLIPTextConfig(), vision_config=XCLIPVisionConfig(patch_size=patch), projection_dim=512
    )
    XCLIPModel(config).save_pretrained(folder)
    demo = XCLIPProcessor.from_pretrained("demo")
    rules = FrameRules(image_px=224, fit="crop", mean=demo.rules.mean, std=demo.rules.std)
    XCLIPProcessor(demo.tokenizer, rules).save_pretrained(folder)


def write_config(folder: Path, videos: list[Path]) -> Path:
    rule = {"prompts": list(PROMPTS), "background": list(BACKGROUND)}
    config = {
        "version": 1,
        "model": {"checkpoint": str(folder / "checkpoint"), "batch_size": 4},
        "redis": {"dir": str(folder / "redis")},
        "sources": [{"id": f"video{index}", "url": str(video.resolve())} for index, video in enumerate(videos)],
        "rules": [{"id": "any", **rule}],
        "sinks": [{"id": "file", "type": "jsonl", "path": str(folder / "events.jsonl")}],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run_pipeline(config: Path, *, limit_s: float) -> Run:
    command = [str(Path(sys.executable).with_name("xclip-stream")), "run", str(config), "--log-level", "debug"]
    started = time.monotonic()
    peak_mib: dict[str, float] = {}
    with (config.parent / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            if time.monotonic() - started > limit_s:
                process.terminate()
                process.wait(60)
                break
            for name, mib in memory_of(process.pid):
                peak_mib[name] = max(mib, peak_mib.get(name, 0.0))
            time.sleep(0.5)
    batches = [line for line in logged(config.parent / "log") if line.get("event") == "batch_scored"]
    return Run(
        windows=sum(int(batch.get("scored", 0)) for batch in batches),
        took_s=time.monotonic() - started,
        scoring_s=sum(float(batch["ms"]) for batch in batches) / 1000,
        peak_mib=peak_mib,
        exit_code=process.returncode,
    )


def memory_of(root: int) -> Iterator[tuple[str, float]]:
    """Yield (role, resident MiB) of a process and its descendants; processes of one role are added up."""
    totals: dict[str, float] = {}
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            status = Path(f"/proc/{pid}/status").read_text()
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
        match = re.search(r"VmRSS:\s+(\d+)", status)
        role = re.search(r"workers\.(\w+)|redis-server|forkserver|xclip-stream run", command)
        if match and role:
            name = role[1] or role[0]
            totals[name] = totals.get(name, 0.0) + int(match[1]) / 1024
    yield from totals.items()


def logged(path: Path) -> Iterator[dict[str, object]]:
    for line in path.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def bare_rate(folder: Path, *, clips: int = 4, rounds: int = 4) -> float:
    """Windows a second of the model alone, in batches as the pipeline makes them."""
    scorer = Scorer.from_checkpoint(str(folder))
    prompts = scorer.encode_prompts([*PROMPTS, *BACKGROUND])
    pixels = scorer.geometry.image_px
    frames = np.random.default_rng(0).integers(0, 255, (clips, scorer.geometry.num_frames, pixels, pixels, 3), np.uint8)
    scorer.logits(scorer.encode_clips(frames), None, prompts)
    started = time.perf_counter()
    for _ in range(rounds):
        scorer.logits(scorer.encode_clips(frames), None, prompts)
    return clips * rounds / (time.perf_counter() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--patch", type=int, default=32, choices=(16, 32))
    parser.add_argument("--seconds", type=float, default=600.0, help="stop after so long")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_checkpoint(folder / "checkpoint", patch=options.patch)
        bare = bare_rate(folder / "checkpoint")
        run = run_pipeline(write_config(folder, options.videos), limit_s=options.seconds)
    rate = run.windows / run.scoring_s if run.scoring_s else 0.0
    report = {
        "cores": os.cpu_count(),
        "windows": run.windows,
        "seconds": round(run.took_s, 1),
        "bare_windows_per_s": round(bare, 2),
        "pipeline_windows_per_s": round(rate, 2),
        "ratio": round(rate / bare, 2),
        "peak_mib": {role: round(mib) for role, mib in sorted(run.peak_mib.items())},
        "exit_code": run.exit_code,
    }
    if options.json:
        print(json.dumps(report))
    else:
        show(report)
    return run.exit_code


def show(report: dict[str, object]) -> None:
    table = Table("measure", "value", title="full-size X-CLIP through the pipeline")
    for key, value in report.items():
        table.add_row(key, json.dumps(value))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
