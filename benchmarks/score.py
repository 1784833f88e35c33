"""Windows a second of our X-CLIP on a CPU against that of transformers: exact, with reuse, and in eight bits.

    python -m benchmarks --only score [--quick]

A B/32 of the published shape with random weights, the same in all; every round gives all variants the same new windows,
one variant after the other, and a ratio is the median of the rounds' ratios. The rival keeps its text features.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from benchmarks.machine import best_of_float32, products
from benchmarks.ratios import ratio_spread, spread_of
from benchmarks.reference import Rival
from benchmarks.results import Figure
from benchmarks.scale import Scale
from benchmarks.site import BACKGROUND, PROMPTS, about_prompts, full_size
from xclip_stream.demo.render import build_recording, write_recording
from xclip_stream.model import Scorer
from xclip_stream.model.openvino_backend import CLIPS_AT_ONCE, OpenVinoBackend, exported_stages
from xclip_stream.model.quantise import quantise_stages
from xclip_stream.model.quantised import write_manifest
from xclip_stream.model.stage_files import ExportedStages, settings_digest

Windows = NDArray[np.uint8]

FRAMES, SIDE = 8, 224
NEW_FRAMES = 2
"""Of a window that no window before it has had: span 4 s, stride 1 s."""
GFLOP = 71.6
"""Of a window: twice the multiply-accumulates of vision tower, projections and integration, counted on the network."""
ROOT = Path(__file__).parents[1]


def measure(scale: Scale) -> Sequence[Figure]:
    os.environ["XDG_CACHE_HOME"] = str(scale.folder / "cache")
    checkpoint = full_size(scale.folder / "B32")
    scale.say("exporting the model")
    cold = time_to_ready(checkpoint, scale.folder)
    exact = Scorer.from_checkpoint(checkpoint, device="cpu")
    by_openvino = Scorer.from_checkpoint(checkpoint, device="cpu", backend="openvino")
    by_torch = Scorer.from_checkpoint(checkpoint, device="cpu", backend="torch")
    scale.say("making its eight-bit form")
    quick = quantised(exact, scale.folder / "int8", clips=scale.pick(quick=2, full=16))
    prompts = [*PROMPTS, *BACKGROUND]
    scorers = {"exact": exact, "openvino": by_openvino, "torch": by_torch, "int8": quick}
    ways = Ways(scorers, Rival(exact.model, exact.processor, prompts), prompts)
    rounds = [ways.round(number) for number in range(scale.rounds + 1)][1:]  # the first warms up
    for number, one in enumerate(rounds, 1):
        scale.say(f"round {number}: " + ", ".join(f"{name} {1000 * cost.wall_s:.0f} ms" for name, cost in one.items()))
    peaks = products(rounds=scale.pick(quick=2, full=5))[f"threads_{torch.get_num_threads()}"]
    float32, int8 = best_of_float32(peaks), None if peaks["int8"] is None else peaks["int8"]["best"]
    shared = {
        "exact": exact.summary,
        "batch": exact.clips_at_once,
        "prompts": about_prompts(exact.processor),
        "ms_per_window": costs(rounds, lambda cost: cost.wall_s),
        "cpu_ms_per_window": costs(rounds, lambda cost: cost.cpu_s),
        "largest_difference_of_a_logit": ways.largest_difference(),
        "ready": {"first_start": cold, "later": time_to_ready(checkpoint, scale.folder)},
        "ready_int8": time_to_ready(checkpoint, scale.folder, quantized=scale.folder / "int8"),
    }
    return [
        figure("score_exact_vs_cached", rounds, ours="exact", rival="rival", at_least=1.4, peak=float32)(
            {**shared, "other_batches": others(rounds)}
        ),
        figure("score_reuse_vs_cached", rounds, ours="reuse", rival="rival", at_least=1.5, peak=float32)(
            {"frames_a_window": FRAMES, "new_frames_a_window": NEW_FRAMES}
        ),
        figure("score_int8_vs_cached", rounds, ours="int8", rival="rival, batch", at_least=4.0, peak=int8)(
            {"fidelity_on_the_demo_model": fidelity(scale), "other_batches": others(rounds)}
        ),
    ]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one window: seconds of time, and of all processors."""

    wall_s: float
    cpu_s: float


class Ways:
    """All ways from windows to logits, each ready to be timed.

    Args:
        scorers: our model: `exact`, as it is computed where nothing is asked for, and otherwise as the name says.
    """

    def __init__(self, scorers: Mapping[str, Scorer], rival: Rival, prompts: list[str]) -> None:
        self._scorers = scorers
        self._features = {name: scorer.encode_prompts(prompts) for name, scorer in self._scorers.items()}
        self._rival = rival
        self._tail = frames(0, FRAMES - NEW_FRAMES)

    def round(self, number: int) -> dict[str, Cost]:
        """Time every way once, on windows that nobody has seen before."""
        windows = frames(1000 + number, CLIPS_AT_ONCE * FRAMES).reshape(CLIPS_AT_ONCE, FRAMES, SIDE, SIDE, 3)
        stream = np.concatenate([self._tail, frames(5000 + number, CLIPS_AT_ONCE * NEW_FRAMES)])
        starts = range(0, CLIPS_AT_ONCE * NEW_FRAMES, NEW_FRAMES)
        overlapping = np.stack([stream[start : start + FRAMES] for start in starts])
        self._tail = stream[NEW_FRAMES - FRAMES :]
        alone = [window[None] for window in windows]
        return {
            "rival": timed(self._rival.score, alone),
            "exact": timed(self.ours("exact"), [windows]),
            "reuse": timed(self.ours("exact"), [overlapping]),
            "exact, alone": timed(self.ours("exact"), [np.flip(window, 2).copy() for window in alone]),
            "openvino": timed(self.ours("openvino"), [windows]),
            "torch": timed(self.ours("torch"), alone),
            "int8": timed(self.ours("int8"), [windows]),
            "int8, alone": timed(self.ours("int8"), [np.flip(window, 2).copy() for window in alone]),
            "rival, batch": timed(self._rival.score, [windows]),
            "rival, as documented": timed(self._rival.score_as_documented, alone[:1]),
        }

    def ours(self, name: str) -> Callable[[Windows], object]:
        scorer, features = self._scorers[name], self._features[name]
        return lambda windows: scorer.logits(scorer.encode_clips(windows), None, features)

    def largest_difference(self) -> dict[str, float]:
        """Return how far a logit of ours is from the rival's at most."""
        windows = frames(9, 2 * FRAMES).reshape(2, FRAMES, SIDE, SIDE, 3)
        expected = self._rival.score(windows)
        return {name: float(np.abs(self.ours(name)(windows) - expected).max()) for name in self._scorers}  # type: ignore[operator]  # logits


def frames(seed: int, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def timed(score: Callable[[Windows], object], batches: Sequence[Windows]) -> Cost:
    """Return the cost of one window."""
    number = sum(len(batch) for batch in batches)
    start, used = time.perf_counter(), time.process_time()
    for batch in batches:
        score(batch)
    return Cost((time.perf_counter() - start) / number, (time.process_time() - used) / number)


def figure(
    key: str,
    rounds: Sequence[Mapping[str, Cost]],
    *,
    ours: str,
    rival: str,
    at_least: float,
    peak: float | None,
) -> Callable[[Mapping[str, Any]], Figure]:
    """Return what makes the figure of a ratio, given its details."""
    spread = ratio_spread([one[rival].wall_s for one in rounds], [one[ours].wall_s for one in rounds])
    floor_s = None if peak is None else GFLOP / peak
    own_s = spread_of([one[ours].wall_s for one in rounds]).median
    batch = "in the same batches" if rival == "rival, batch" else "window by window"
    return lambda details: Figure(
        key=key,
        value=spread.median,
        rival=f"transformers in float32 with its text features kept, {batch}",
        spread=spread,
        at_least=at_least,
        times_the_floor=None if floor_s is None else own_s / floor_s,
        floor="its arithmetic at the best rate for this precision, of a square product in torch or of the matrix unit",
        details=details,
    )


def costs(rounds: Sequence[Mapping[str, Cost]], of: Callable[[Cost], float]) -> dict[str, float]:
    """Return the median milliseconds of each way."""
    return {name: round(1000 * spread_of([of(one[name]) for one in rounds]).median, 1) for name in rounds[0]}


def others(rounds: Sequence[Mapping[str, Cost]]) -> dict[str, float]:
    """Return the ratios that no figure is made of: other batches, torch, and the documentation's way."""
    pairs = {
        "exact, one window at a time": ("rival", "exact, alone"),
        "exact, against the rival's batches": ("rival, batch", "exact"),
        "int8, one window at a time": ("rival", "int8, alone"),
        "int8, against the rival window by window": ("rival", "int8"),
        "exact by openvino": ("rival", "openvino"),
        "torch, one window at a time": ("rival", "torch"),
        "exact, against the documentation's way": ("rival, as documented", "exact"),
    }
    return {
        name: round(ratio_spread([one[rival].wall_s for one in rounds], [one[ours].wall_s for one in rounds]).median, 3)
        for name, (rival, ours) in pairs.items()
    }


def quantised(exact: Scorer, folder: Path, *, clips: int) -> Scorer:
    """Return the eight-bit form of a model, calibrated on noise: its speed is that of any other calibration."""
    files = exported_stages(exact.model, exact.processor.rules, sha256=exact.sha256)
    stages = quantise_stages(files, list(frames(3, clips * FRAMES).reshape(clips, FRAMES, SIDE, SIDE, 3)), folder)
    settings = settings_digest(exact.model.config, exact.processor.rules)
    write_manifest(stages, weights_sha256=exact.sha256, settings=settings, model=exact.name, report={})
    return Scorer(exact.model, exact.processor, "int8", "", OpenVinoBackend(ExportedStages(folder)))


READY = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.protocols import ClipRequest
import numpy as np
checkpoint, quantized = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
scorer = BatchScorer.from_checkpoint(checkpoint, prompt_lists=[("a", "b")], device="cpu", quantised=quantized)
ready = time.perf_counter() - started
scorer.score([ClipRequest(frames=np.zeros((1, 8, 224, 224, 3), np.uint8), prompts=("a", "b"))])
sizes = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
mib = {name.lower() + "_mib": round(int(sizes[name].split()[0]) / 1024) for name in ("Rss", "Anonymous")}
print(json.dumps({"ready_s": round(ready, 2), "first_window_s": round(time.perf_counter() - started, 2), **mib}))
"""


def time_to_ready(checkpoint: Path, folder: Path, *, quantized: Path | None = None) -> dict[str, float]:
    """Return how long a fresh process takes to be ready and to score its first window, and what it holds then."""
    command = [sys.executable, "-c", READY, str(checkpoint), *([] if quantized is None else [str(quantized)])]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def fidelity(scale: Scale) -> dict[str, Any]:
    """Return how faithful the demo's model is in eight bits, by the command that refuses what is not."""
    scale.say("judging the demo's model in eight bits")
    folder = scale.folder / "demo"
    folder.mkdir()
    write_recording(build_recording(990_001, scale.pick(quick=70.0, full=600.0)), folder / "yard.mp4")
    demo = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    site = {"version": 1, "model": {"checkpoint": "demo"}, "rules": demo["rules"]}
    (folder / "site.yaml").write_text(yaml.safe_dump({**site, "sources": [{"id": "yard", "url": "yard.mp4"}]}))
    program = "from xclip_stream.cli import main; main()"
    command = [sys.executable, "-c", program, "quantize", "site.yaml", "--json"]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"quantize failed: {done.stderr.strip().splitlines()[-1]}")
    report: dict[str, Any] = json.loads(done.stdout)
    if report["problems"]:
        raise RuntimeError(f"the gate refuses the demo's model: {'; '.join(report['problems'])}")
    return {**report["fidelity"], "gate": "passed"}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
