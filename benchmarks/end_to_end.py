"""`end_to_end_*_vs_naive`: a 1080p file to its events, against a script after the documentation of transformers.

Both have loaded their model and have watched something before; the time goes from the first frame to the last event.
Each round lets the script and then each of our precisions watch the same file, one at a time, with the same windows,
prompts and rule; a file of its own, so that nobody knows its frames. What is loaded stays loaded, so that start-up is
no part of it; it is told beside.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.footage import SEED, described, write_full_hd, write_small
from benchmarks.machine import best_of_float32, cpu_s_of, decode_sampled, products
from benchmarks.processes import use_by_role
from benchmarks.ratios import ratio_spread, spread_of
from benchmarks.results import Figure
from benchmarks.running import Running, Watched
from benchmarks.scale import Scale
from benchmarks.score import FRAMES, quantised
from benchmarks.site import ALWAYS, BACKGROUND, PROMPTS, SPAN_S, STRIDE_S, Site, about_prompts, full_size
from benchmarks.system import ROOT
from xclip_stream.model import Scorer, XCLIPProcessor

EXACT, INT8 = "end_to_end_exact_vs_naive", "end_to_end_int8_vs_naive"
AT_LEAST = {EXACT: 2.0, INT8: 3.5}
WITHIN_S = 600.0
RIVAL = (
    "PyAV and XCLIPModel of transformers with its processor, text scored with each window, as its documentation has it"
)


def measure(scale: Scale) -> Sequence[Figure]:
    checkpoint = full_size(scale.folder / "B32")
    seconds = scale.pick(quick=5.5, full=24.5)
    scale.say("rendering a video for each round")
    videos = render(scale.folder, scale.rounds, seconds=seconds)
    small = write_small(scale.folder / "small.mp4", seconds=5.0)
    naive_rounds: list[dict[str, Any]] = []
    ours: dict[str, list[Watched]] = {}
    facts: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        naive = stack.enter_context(naive_script(checkpoint))
        runs = {}
        for key, model in variants(checkpoint, scale).items():
            folder = scale.folder / key
            folder.mkdir()
            started = time.monotonic()
            runs[key] = stack.enter_context(
                Running(Site(folder, checkpoint=checkpoint, rule=ALWAYS, model=model), folder)
            )
            runs[key].watch(small, "warm-up", within_s=WITHIN_S)
            facts[key] = {
                "ready_s": round(time.monotonic() - started, 1),
                "model": runs[key].model(),
                "keys": dict(model),
            }
            scale.say(f"{key}: ready after {facts[key]['ready_s']} s")
        naive_memory = {}
        for number, video in enumerate(videos):
            naive_rounds.append(naive.watch(video))
            naive_memory = {role: asdict(use) for role, use in use_by_role([naive.pid]).items()}
            for key, run in runs.items():
                watched = run.watch(video, f"round-{number}", within_s=WITHIN_S)
                check_same(naive_rounds[-1], watched)
                ours.setdefault(key, []).append(watched)
            scale.say(f"round {number + 1} of {scale.rounds}: " + said(naive_rounds[-1], ours))
        for key, run in runs.items():
            facts[key]["memory"] = {role: asdict(use) for role, use in run.use().items()}
    about = {
        "video": described(videos[0]),
        "windows": naive_rounds[0]["windows"],
        "prompts": about_prompts(XCLIPProcessor.from_pretrained(str(checkpoint))),
        "window": {"span_s": SPAN_S, "stride_s": STRIDE_S},
        "naive": {
            "ready_s": round(naive.ready_s, 1),
            "seconds": asdict(spread_of([float(one["seconds"]) for one in naive_rounds])),
            "cpu_ms_per_window": per_window([float(one["cpu_s"]) for one in naive_rounds], naive_rounds[0]["windows"]),
            "memory": naive_memory,
        },
    }
    floors = floor_s(checkpoint, videos[0], windows=naive_rounds[0]["windows"], rounds=scale.rounds)
    return [
        figure(key, ours[key], naive_rounds, facts[key], about, floor_s=floors["int8" if key == INT8 else "float32"])
        for key in runs
    ]


def render(folder: Path, count: int, *, seconds: float) -> list[Path]:
    """Write so many videos, a process for each processor; all of them differ."""
    paths = [folder / f"video-{number}.mp4" for number in range(count)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        writing = [pool.submit(write_full_hd, path, seconds=seconds, seed=SEED + n) for n, path in enumerate(paths)]
        for one in writing:
            one.result()
    return paths


def variants(checkpoint: Path, scale: Scale) -> dict[str, dict[str, Any]]:
    """Return what each of our runs says of its model; the eight-bit form of random weights is judged by nobody."""
    os.environ["XDG_CACHE_HOME"] = str(scale.folder / "cache")
    scale.say("exporting the model, and making its eight-bit form")
    exact = Scorer.from_checkpoint(checkpoint, device="cpu", backend="openvino")
    quantised(exact, scale.folder / "int8", clips=scale.pick(quick=2, full=16))
    return {EXACT: {"dtype": "float32"}, INT8: {"quantized": str(scale.folder / "int8")}}


class NaiveScript:
    """The script, loaded and waiting."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid
        self.ready_s = float(self._answer()["ready_s"])

    def watch(self, video: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{video}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the naive script ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def naive_script(checkpoint: Path) -> Iterator[NaiveScript]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.naive", str(checkpoint)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    try:
        yield NaiveScript(process)
    finally:
        process.kill()
        process.wait()


def check_same(naive: Mapping[str, Any], ours: Watched) -> None:
    """Raise RuntimeError unless both have seen the same windows and found an event."""
    if ours.windows != naive["windows"]:
        raise RuntimeError(f"we have {ours.windows} windows and the naive script {naive['windows']}")
    if not ours.events or not naive["events"]:
        raise RuntimeError(f"we have {ours.events} events and the naive script {naive['events']}")


def figure(
    key: str,
    ours: Sequence[Watched],
    naive: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    floor_s: float,
) -> Figure:
    ratio = ratio_spread([float(one["seconds"]) for one in naive], [one.seconds for one in ours])
    windows = ours[0].windows
    return Figure(
        key=key,
        value=ratio.median,
        rival=RIVAL,
        spread=ratio,
        at_least=AT_LEAST[key],
        times_the_floor=median(one.seconds for one in ours) / floor_s,
        floor="bare decoding of the sampled frames and what they are made of, and the multiplications of the model at "
        "the peak of the machine, spread over all cores",
        details={
            **about,
            "seconds": asdict(spread_of([one.seconds for one in ours])),
            "cpu_ms_per_window": {
                role: round(1000 * median(one.cpu_s.get(role, 0.0) for one in ours) / windows, 1)
                for role in ours[0].cpu_s
            },
            "floor_s": round(floor_s, 3),
            **facts,
        },
    )


def floor_s(checkpoint: Path, video: Path, *, windows: int, rounds: int) -> dict[str, float]:
    """Return, for each precision, the seconds below which this machine cannot watch the video."""
    frames = np.zeros((1, 8, 224, 224, 3), np.uint8)
    scorer = Scorer.from_checkpoint(str(checkpoint), device="cpu", backend="torch")
    prompts = scorer.encode_prompts([*PROMPTS, *BACKGROUND])
    with FlopCounterMode(display=False) as counted:
        scorer.logits(scorer.encode_clips(frames), None, prompts)
    operations = counted.get_total_flops()
    cores = len(os.sched_getaffinity(0))
    peak = products(rounds=rounds)[f"threads_{torch.get_num_threads()}"]
    every_s = SPAN_S / FRAMES
    decoding_s = median(cpu_s_of(lambda: decode_sampled(video, every_s=every_s)) for _ in range(rounds)) / cores
    best = {"float32": best_of_float32(peak)} | ({} if peak["int8"] is None else {"int8": peak["int8"]["best"]})
    return {name: decoding_s + windows * operations / (rate * 1e9) for name, rate in best.items()}


def per_window(seconds: Sequence[float], windows: int) -> float:
    return round(1000 * median(seconds) / windows, 1)


def said(naive: Mapping[str, Any], ours: Mapping[str, Sequence[Watched]]) -> str:
    own = ", ".join(f"{key} {watched[-1].seconds:.1f} s" for key, watched in ours.items())
    return f"naive {naive['seconds']:.1f} s, {own}"
