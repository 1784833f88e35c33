"""What the motion gate saves and what it misses, for each mode against `off`.

    python -m benchmarks.motion_gate [--minutes 16] [--footage FILE…] [--json]

Recordings of the demo's world that no training has seen, in which nobody comes for a quarter of a minute and longer,
through H.264 as a camera sends it: every window is scored, and the rules of the demo judge once all scores and once
those that a mode leaves. Of footage, which the demo's model knows nothing of, only the share that is saved is told.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from xclip_stream.config import load_config
from xclip_stream.demo.agreement import Told, compare
from xclip_stream.demo.evaluate import prompts_of, rule_of
from xclip_stream.demo.export import CHECKPOINT
from xclip_stream.demo.render import build_recording, write_recording
from xclip_stream.demo.scenes import Plan
from xclip_stream.demo.script import SHIFTED, USUAL, TruthEvent
from xclip_stream.demo.watching import SPAN_S, STRIDE_S, score_file, told_events, windows_of
from xclip_stream.model.scorer import Scorer
from xclip_stream.motion_gate import TOLERANCES, MotionGate, Run
from xclip_stream.pipeline.assembling import keep
from xclip_stream.protocols import SourceFrame
from xclip_stream.rules import Rule, weigh_rules
from xclip_stream.sources import open_source
from xclip_stream.types import WHOLE_FRAME, ClipGeometry, Frame, Pixels, Region, Scores
from xclip_stream.windowing import Windowing

SEED = 760_000
"""Training, thresholds, tests and the figures of the demo use others."""
PLAN = Plan(actions=0.5, pause_s=(15.0, 45.0))
RECORDINGS = {
    "an open place": (replace(PLAN, open_view=True), USUAL),
    "with trees, and people who stand about": (PLAN, USUAL),
    "people small, dark, noisy": (PLAN, SHIFTED),
}
MODES = ("off", *TOLERANCES)
REFRESH_S = 30.0
SAME_EVENT_S = SPAN_S
_RUN = Run("one", 1)


@dataclass(frozen=True, slots=True)
class Line:
    """What a mode does with the windows of one video.

    `missed` and `more` are events against those of `off`; `found` of `truth` are true ones. `largest_error` is how far
    the score of a rule is from what it would have been. None where the video has no truth.
    """

    video: str
    mode: str
    windows: int
    saved: float
    truth: int | None = None
    found: int | None = None
    told: int | None = None
    missed: int | None = None
    more: int | None = None
    largest_error: float | None = None


def stand_ins(windows: Sequence[Sequence[Frame]], mode: str) -> list[int | None]:
    """Return for each window the one whose scores stand for it; None where it has to be scored."""
    gate, found = MotionGate(mode=mode, refresh_s=REFRESH_S), list[int | None]()
    for seq, frames in enumerate(windows):
        found.append(gate.stands_for(frames, _RUN))
        if found[-1] is None:
            gate.note_sent(frames, _RUN, seq)
    return found


def with_stand_ins(scored: Sequence[Scores], standing: Sequence[int | None]) -> list[Scores]:
    return [
        scores if same_as is None else replace(scores, logits=scored[same_as].logits)
        for scores, same_as in zip(scored, standing, strict=True)
    ]


def framed(windows: Sequence[tuple[float, Sequence[Pixels]]]) -> list[list[Frame]]:
    """Return windows of pictures (S, S, 3) as windows of frames, each frame once."""
    frames: dict[int, Frame] = {}
    for at, pictures in windows:
        for place, picture in enumerate(pictures):
            time_s = at - (len(pictures) - 1 - place) * SPAN_S / len(pictures)
            frames.setdefault(id(picture), Frame(len(frames), time_s, time_s, picture[np.newaxis]))
    return [[frames[id(picture)] for picture in pictures] for _, pictures in windows]


def judge_recording(
    name: str, path: Path, truth: Sequence[TruthEvent], scorer: Scorer, rules: Sequence[Rule]
) -> list[Line]:
    windows = list(windows_of(path))
    scored, frames = score_file(path, scorer, prompts_of(rules)), framed(windows)
    expected, lines = told_events(scored, rules), list[Line]()
    for mode in MODES:
        standing = stand_ins(frames, mode)
        given = with_stand_ins(scored, standing)
        told = told_events(given, rules)
        lines.append(
            Line(
                video=name,
                mode=mode,
                windows=len(scored),
                saved=_share(standing),
                truth=len(truth),
                found=compare(truth, told).hits,
                told=len(told),
                missed=_not_in(expected, told),
                more=_not_in(told, expected),
                largest_error=max(_error(*pair, rules) for pair in zip(given, scored, strict=True)),
            )
        )
    return lines


def judge_footage(path: Path, *, size_px: int = 224) -> list[Line]:
    windows = list(footage_windows(path, size_px=size_px))
    found = {mode: stand_ins(windows, mode) for mode in MODES}
    return [Line(path.name, mode, len(windows), _share(standing)) for mode, standing in found.items()]


def footage_windows(path: Path, *, size_px: int) -> Iterator[Sequence[Frame]]:
    windowing: Windowing[Frame] = Windowing(num_frames=8, span_s=SPAN_S, stride_s=STRIDE_S)
    geometry = ClipGeometry(num_frames=8, image_px=size_px)
    with open_source(str(path), geometry=geometry, regions=(Region(WHOLE_FRAME),)) as source:
        for seen in source:
            for cut in windowing.push(seen.pts_s, partial(_keep, seen)):
                yield cut.frames


def _keep(seen: SourceFrame, _highest_seq: int) -> Frame:
    return keep(seen)


def _share(standing: Sequence[int | None]) -> float:
    return sum(same_as is not None for same_as in standing) / max(1, len(standing))


def _not_in(told: Sequence[Told], others: Sequence[Told]) -> int:
    """Count the events that have none of the same rule near them among the others."""
    return sum(
        not any(other.rule_id == each.rule_id and abs(other.at_s - each.at_s) <= SAME_EVENT_S for other in others)
        for each in told
    )


def _error(given: Scores, true: Scores, rules: Sequence[Rule]) -> float:
    if given is true:
        return 0.0
    pairs = zip(weigh_rules(given, rules), weigh_rules(true, rules), strict=True)
    return max(abs(mine.score - other.score) for (_, _, mine), (_, _, other) in pairs)


def measure(minutes: float, footage: Sequence[Path], config: Path) -> list[Line]:
    torch.set_num_threads(1)
    scorer = Scorer.from_checkpoint(CHECKPOINT)
    rules = [rule_of(rule) for rule in load_config(config).rules]
    lines = list[Line]()
    for number, (name, (plan, world)) in enumerate(RECORDINGS.items()):
        recording = build_recording(SEED + number, minutes * 60, plan=plan, world=world)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recording.mp4"
            truth = write_recording(recording, path)
            lines += judge_recording(name, path, truth, scorer, rules)
    for path in footage:
        lines += judge_footage(path)
    return lines


def show(lines: Sequence[Line]) -> None:
    table = Table(title=f"span {SPAN_S:g} s, stride {STRIDE_S:g} s, refresh {REFRESH_S:g} s")
    for heading in (
        "video",
        "mode",
        "windows",
        "saved",
        "true events found",
        "told",
        "missed",
        "more",
        "largest error",
    ):
        table.add_column(heading, justify="left" if heading in {"video", "mode"} else "right")
    for line in lines:
        found = "" if line.found is None else f"{line.found} of {line.truth}"
        counts = ("" if count is None else str(count) for count in (line.told, line.missed, line.more))
        error = "" if line.largest_error is None else f"{line.largest_error:.3f}"
        table.add_row(line.video, line.mode, str(line.windows), f"{line.saved:.0%}", found, *counts, error)
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=16.0, help="of each recording")
    parser.add_argument("--footage", type=Path, nargs="*", default=[], help="videos, of which the saving is told")
    parser.add_argument("--config", type=Path, default=Path("configs/demo.yaml"))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    lines = measure(options.minutes, options.footage, options.config)
    if options.json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        show(lines)


if __name__ == "__main__":
    main()
