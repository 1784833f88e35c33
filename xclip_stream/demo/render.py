"""Render recordings with known truth: `python -m xclip_stream.demo.render --seed 7 --seconds 60 --out scene.mp4`.

A long recording is made of chapters, each another place under another light, as from a camera that is moved between
scenes. The truth is written beside the file as JSON.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from xclip_stream.demo.figures import Picture
from xclip_stream.demo.scenes import EVENTLESS, FPS, RECORDING, Plan, Scene, build_scene
from xclip_stream.demo.script import CLEAR, REPORTED, SHIFTED, USUAL, TruthEvent, World
from xclip_stream.demo.video import write_h264

CHAPTER_S = 120.0
_LONGEST_DEMO_S = 150.0
_DEMO_TAIL_S = 5.0


@dataclass(frozen=True, slots=True)
class Recording:
    """Scenes one after the other, seconds counted from the start of the first."""

    scenes: tuple[Scene, ...]

    @property
    def duration_s(self) -> float:
        """How long all scenes are together."""
        return sum(scene.duration_s for scene in self.scenes)

    @property
    def truth(self) -> tuple[TruthEvent, ...]:
        """What really happens, in order of its start."""
        events, begin = list[TruthEvent](), 0.0
        for scene in self.scenes:
            events += [TruthEvent(e.action, begin + e.start_s, begin + e.end_s) for e in scene.truth]
            begin += scene.duration_s
        return tuple(sorted(events, key=lambda event: event.start_s))

    def pictures(self) -> Iterator[Picture]:
        """Every frame, `FPS` a second."""
        for scene in self.scenes:
            for frame in scene.frames():
                yield frame.picture


def build_recording(seed: int, duration_s: float, *, plan: Plan = RECORDING, world: World = USUAL) -> Recording:
    """A recording of `duration_s` in chapters of at most `CHAPTER_S`; the same arguments give the same pictures."""
    chapters, left = list[Scene](), round(duration_s * FPS)
    while left > 0:
        length = min(left, round(CHAPTER_S * FPS))
        chapters.append(build_scene(seed * 1000 + len(chapters), length / FPS, plan=plan, world=world))
        left -= length
    return Recording(tuple(chapters))


def build_demo(seed: int) -> Recording:
    """A yard in good light and open view, in which five different actions and two ordinary things happen in a random
    order: about 90 s."""
    rng = np.random.default_rng((seed, 31))
    ordinary = [str(name) for name in rng.permutation(("walk", "animal", "car"))[:2]]
    order = [str(name) for name in rng.permutation(REPORTED)[:5]]
    for name in ordinary:
        order.insert(int(rng.integers(1, len(order))), name)
    plan = Plan(order=tuple(order), pause_s=(0.5, 1.5), extras=0.0, open_view=True, place="yard")
    scene = build_scene(seed, _LONGEST_DEMO_S, plan=plan, world=CLEAR)
    last = max(segment_end for segment_end in scene.ends_s)
    return Recording((scene.until(np.ceil(last + _DEMO_TAIL_S)),))


def write_recording(recording: Recording, path: Path, *, progress: bool = False) -> tuple[TruthEvent, ...]:
    """Encode a recording as H.264 and write its truth beside it (`.truth.json`); returns the truth."""
    pictures = recording.pictures()
    total = round(recording.duration_s * FPS)
    shown = track(pictures, "rendering", total=total, console=Console(stderr=True)) if progress else pictures
    write_h264(path, shown)
    truth = recording.truth
    events = [asdict(event) for event in truth]
    described = {"duration_s": recording.duration_s, "fps": FPS, "events": events}
    truth_path(path).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return truth


def truth_path(path: Path) -> Path:
    """Where the truth of a rendered file stands."""
    return path.with_suffix(".truth.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Render one file as the command line says."""
    parser = argparse.ArgumentParser(description="Render a recording of the demo's world, with its truth.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=None, help="length; without it the short demo scene")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--eventless", action="store_true", help="ordinary scenes only")
    parser.add_argument("--shifted", action="store_true", help="people further away, in worse light")
    options = parser.parse_args(arguments)
    world, plan = SHIFTED if options.shifted else USUAL, EVENTLESS if options.eventless else RECORDING
    if options.seconds is None:
        recording = build_demo(options.seed)
    else:
        recording = build_recording(options.seed, options.seconds, plan=plan, world=world)
    try:
        options.out.open("ab").close()
    except OSError as error:
        parser.error(f"argument --out: {options.out}: cannot be written: {error.strerror}")
    truth = write_recording(recording, options.out, progress=True)
    console = Console()
    for event in truth:
        console.print(f"{event.start_s:7.1f} s – {event.end_s:7.1f} s  {event.action}")
    console.print(f"wrote {options.out} and {truth_path(options.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
