"""How many idle cameras a core watches, against decoding all of them, and what is missed meanwhile.

    python -m benchmarks.idle [--rounds 3] [--seconds 90] [--streams crf-1s,crf-2s,cbr-1s,cbr-2s] [--keep FOLDER]
                                [--footage FOLDER] [--scenes SEED,SEED] [--json]

Each stream is 1080p25 H.264 of a camera that stands still, with sensor noise: people walk through its first half
minute, from which the watcher learns, and nothing moves in the rest. That is measured, up to its last key frame: what
is held when a stream ends is decoded, once in the life of a connection. Its processor time is compared with that of
decoding it with PyAV on one thread, in rounds one after the other, and a ratio is the median of the rounds' ratios. To
encode the streams takes a minute and a half each; `--keep` keeps them for the next time.

Misses are counted on rendered scenes with long pauses, of seeds that nothing was tuned on, and on the video files of
`--footage` where there are any: a movement is missed when not one frame of it was decoded, a moment where a frame with
movement was given as still. What moves is told by another measure than the watcher's, from every frame.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.ratios import Spread, ratio_spread
from benchmarks.results import Figure
from benchmarks.scale import Scale
from xclip_stream.demo.render import build_recording, write_recording
from xclip_stream.demo.scenes import Plan
from xclip_stream.sources.decoding import OpenVideo
from xclip_stream.sources.files import open_file
from xclip_stream.sources.idle_watch import SETTINGS, IdleWatch
from xclip_stream.sources.watched_decoding import Arrival, WatchedDecoder
from xclip_stream.types import IdleMode

MODES: tuple[IdleMode, ...] = ("off", "conservative", "aggressive")
SIZE, FPS = (1920, 1080), 25
STREAMS = {
    "crf-1s": (1, {"crf": "25"}),
    "crf-2s": (2, {"crf": "25"}),
    "cbr-1s": (1, {"b": "4M", "minrate": "4M", "maxrate": "4M", "bufsize": "2M"}),
    "cbr-2s": (2, {"b": "4M", "minrate": "4M", "maxrate": "4M", "bufsize": "2M"}),
}
LEARN_S = 30.0
"""When nothing moves any more in a stream."""
FOOTAGE = Path(__file__).parents[2] / "shared" / "data" / "surveillance"
SCENES = (770_003, 770_004)
"""Training, thresholds, tests and other benchmarks use other seeds."""
SCENE_S = 240.0
PLAN = Plan(actions=0.5, pause_s=(15.0, 45.0), open_view=True)
"""Nobody is there for a quarter of a minute and longer."""
AT_ONCE = Arrival(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Idle:
    """What one idle camera costs: milliseconds of a core for each second of its video."""

    stream: str
    mode: str
    watched_ms: float
    decoded_ms: float
    times: float
    still_share: float
    """The share of its frames that were not decoded."""
    spread: Spread
    """Of `times`, over the rounds."""


@dataclass(frozen=True, slots=True)
class Misses:
    """What was missed in one video. Movements are those of at least a third of a second."""

    video: str
    mode: str
    movements: int
    missed: int
    moments: int
    missed_moments: int
    still_share: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured."""

    idle_cameras_vs_full_decode: float
    """Of the stream of constant quality with a key frame a second, in the mode that cameras have by default."""
    missed_movements: int
    """In that mode, over all videos."""
    idle: tuple[Idle, ...]
    misses: tuple[Misses, ...]


def measure(scale: Scale) -> Sequence[Figure]:
    """Return the figure of `make bench`: of a stream of constant quality, beside one of constant rate."""
    found = measure_idle(
        streams=scale.pick(quick=["crf-1s"], full=["crf-1s", "cbr-1s"]),
        rounds=scale.rounds,
        seconds=scale.pick(quick=40.0, full=90.0),
        scenes=scale.pick(quick=SCENES[:1], full=SCENES),
        footage=None if scale.quick else FOOTAGE,
        keep=scale.folder,
        say=scale.say,
    )
    usual = next(line for line in found.idle if line.mode == "conservative")
    return [
        Figure(
            key="idle_cameras_vs_full_decode",
            value=found.idle_cameras_vs_full_decode,
            rival="PyAV decoding every frame on one thread",
            spread=usual.spread,
            at_least=10.0,
            details={
                "mode": "conservative, as cameras have it by default",
                "missed_movements": found.missed_movements,
                "cameras_a_core": {line.mode: round(1000 / line.watched_ms, 1) for line in found.idle[: len(MODES)]},
                "streams": [asdict(line) for line in found.idle],
                "misses": [asdict(line) for line in found.misses],
            },
        )
    ]


def measure_idle(
    *,
    streams: Sequence[str] = tuple(STREAMS),
    rounds: int = 3,
    seconds: float = 90.0,
    scenes: Sequence[int] = SCENES,
    footage: Path | None = FOOTAGE,
    keep: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Measure; `say` is told what is being done."""
    with tempfile.TemporaryDirectory() as name:
        folder = keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        idle = [line for stream in streams for line in cost_of(stream, folder, rounds, seconds, say)]
        videos = []
        for seed in scenes:
            videos.append(folder / f"scene-{seed}.mp4")
            if not videos[-1].exists():
                say(f"rendering scene {seed}")
                write_recording(build_recording(seed, SCENE_S, plan=PLAN), videos[-1])
        if footage is not None and footage.is_dir():
            videos += sorted(path for path in footage.iterdir() if path.suffix in {".mp4", ".avi", ".mkv"})
        misses = [line for video in videos for line in misses_of(video, say)]
    usual = [line.times for line in idle if line.mode == "conservative"]
    return Measured(
        idle_cameras_vs_full_decode=usual[0] if usual else 0.0,
        missed_movements=sum(line.missed for line in misses if line.mode == "conservative"),
        idle=tuple(idle),
        misses=tuple(misses),
    )


def cost_of(stream: str, folder: Path, rounds: int, seconds: float, say: Callable[[str], None]) -> Iterator[Idle]:
    path = folder / f"{stream}-{seconds:g}.mp4"
    if not path.exists():
        say(f"encoding {stream}")
        encode(path, seconds, stream)
    until_s = seconds - STREAMS[stream][0]
    quiet_s = until_s - LEARN_S
    runs: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in MODES}
    for number in range(rounds):
        say(f"{stream}: round {number + 1} of {rounds}")
        decoded_s = decode(path, after_s=LEARN_S, until_s=until_s)
        for mode in MODES:
            moments, took_s = watch(path, mode, after_s=LEARN_S, until_s=until_s)
            still = [is_still for at_s, is_still in moments if LEARN_S <= at_s < until_s]
            runs[mode].append((took_s, decoded_s, sum(still) / len(still)))
    for mode, rows in runs.items():
        watched, decoded, shares = zip(*rows, strict=True)
        yield Idle(
            stream=stream,
            mode=mode,
            watched_ms=1000 * statistics.median(watched) / quiet_s,
            decoded_ms=1000 * statistics.median(decoded) / quiet_s,
            times=(spread := ratio_spread(decoded, watched)).median,
            still_share=statistics.median(shares),
            spread=spread,
        )


def watch(
    path: Path, mode: IdleMode, *, after_s: float = 0.0, until_s: float = math.inf
) -> tuple[list[tuple[float, bool]], float]:
    """Read a video as a camera is read; return each frame's time and whether it was still, and processor seconds.

    Args:
        after_s: what comes before this time of the video is not measured.
        until_s: the time of a key frame; what comes after it is not read.
    """
    moments = list[tuple[float, bool]]()
    with closing(open_file(path)) as video:
        decoder = WatchedDecoder(watch=None if mode == "off" else IdleWatch(SETTINGS[mode]), note=lambda _: None)
        began_s: float | None = None
        for packet in packets_of(video):
            at_s = seconds_of(packet.dts, video)
            if began_s is None and at_s >= after_s:
                began_s = time.thread_time()
            for shown in decoder.take(packet, AT_ONCE):
                moments.append((seconds_of(shown.pts, video), shown.frame is None))
            if at_s >= until_s:
                break
        took_s = time.thread_time() - (began_s or 0.0)
    return moments, took_s


def decode(path: Path, *, after_s: float, until_s: float) -> float:
    """Decode a video with PyAV on one thread; return the processor seconds for what comes between two key frames."""
    with closing(open_file(path)) as video:
        video.seek(round(after_s / video.time_base))
        began_s: float | None = None
        for packet in packets_of(video):
            at_s = seconds_of(packet.dts, video)
            if at_s >= until_s:
                break
            if began_s is None and at_s >= after_s:
                began_s = time.thread_time()
            packet.decode()
        return time.thread_time() - (began_s or 0.0)


def packets_of(video: OpenVideo) -> Iterator["av.Packet[av.VideoStream]"]:
    return video.packets(note=lambda _: None, is_fatal=lambda _: False)


def seconds_of(stamp: int | None, video: OpenVideo) -> float:
    return float((stamp or 0) * video.time_base)


def misses_of(path: Path, say: Callable[[str], None]) -> Iterator[Misses]:
    say(f"watching {path.name}")
    moving = list(movements_of(path))
    for mode in MODES[1:]:
        moments, _ = watch(path, mode)
        still = {at_s for at_s, is_still in moments if is_still}
        movements = [one for one in moving if one[-1] - one[0] >= 0.3]
        yield Misses(
            video=path.name,
            mode=mode,
            movements=len(movements),
            missed=sum(all(at_s in still for at_s in one) for one in movements),
            moments=sum(map(len, moving)),
            missed_moments=sum(at_s in still for one in moving for at_s in one),
            still_share=len(still) / len(moments),
        )


def movements_of(path: Path) -> Iterator[list[float]]:
    """Yield the times of the frames of each movement: those that differ from the frame a fifth of a second before."""
    earlier = list[tuple[float, NDArray[np.int16]]]()
    movement = list[float]()
    reformatter = VideoReformatter()
    with closing(open_file(path)) as video:
        for packet in packets_of(video):
            try:
                frames = packet.decode()
            except FFmpegError:
                continue
            for frame in frames:
                at_s = seconds_of(frame.pts, video)
                small = reformatter.reformat(frame, width=240, height=136, format="gray", interpolation="AREA")
                picture = small.to_ndarray().astype(np.int16)
                earlier = [one for one in earlier if at_s - one[0] < 0.5]
                before = next((one for t, one in reversed(earlier) if at_s - t >= 0.19), None)
                earlier.append((at_s, picture))
                if before is not None and differ(before, picture):
                    if movement and at_s - movement[-1] > 1.0:
                        yield movement
                        movement = []
                    movement.append(at_s)
    if movement:
        yield movement


def differ(before: NDArray[np.int16], after: NDArray[np.int16]) -> bool:
    change = after - before
    change -= np.int16(np.median(change))
    size = np.abs(change)
    return bool(np.count_nonzero(size > max(8.0, 12.0 * float(np.median(size)))) >= 3)


def encode(path: Path, seconds: float, stream: str) -> None:
    key_s, options = STREAMS[stream]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        group = str(key_s * FPS)
        video.options = {"preset": "superfast", "bf": "0", "g": group, "sc_threshold": "0", **options}
        chroma = np.full((SIZE[1] // 2, SIZE[0]), 128, np.uint8)
        for index, luma in enumerate(scene(seconds)):
            frame = av.VideoFrame.from_ndarray(np.vstack([luma, chroma]), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


def scene(seconds: float, *, seed: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Yield grey pictures of a wall on which light falls, with sensor noise. A person walks by, again and again, in
    the first half minute but for its first third and its last sixth."""
    width, height = SIZE
    random = np.random.default_rng(seed)
    wall = np.full((height, width), 110.0, np.float32)
    for columns, depth in ((9, 60), (30, 30), (120, 18), (480, 10)):
        coarse = random.normal(0.0, 1.0, (columns * 9 // 16 + 1, columns)).astype(np.float32)
        wall += depth * np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))
    np.clip(wall, 16, 235, out=wall)
    noise = random.normal(0.0, 3.0, (height + 64, width + 64)).astype(np.float32)
    for index in range(round(seconds * FPS)):
        at_s = index / FPS
        y, x = random.integers(0, 64, 2)
        flip_y, flip_x = random.choice((-1, 1), 2)
        picture = wall + noise[y : y + height, x : x + width][::flip_y, ::flip_x]
        if LEARN_S / 3 <= at_s < LEARN_S * 5 / 6 and at_s % 5.0 < 3.0:
            draw_person(picture, at_s)
        yield np.clip(picture, 0, 255).astype(np.uint8)


def draw_person(picture: NDArray[np.float32], at_s: float) -> None:
    """Draw somebody 170 pixels tall, as at the far end of a yard."""
    middle, top = 200 + 150 * (at_s % 5.0), 600
    stride = 15 * np.sin(7 * at_s)

    def draw(x: float, y: float, size: tuple[float, float], level: float) -> None:
        left, right = int(x - size[0] / 2), int(x + size[0] / 2)
        folds = np.sin(0.35 * np.arange(left, right) + 3 * at_s)[None] * np.cos(0.2 * np.arange(int(size[1])))[:, None]
        picture[int(y) : int(y) + int(size[1]), left:right] = level + 12 * folds

    draw(middle - stride, top + 93, (16, 77), 50)
    draw(middle + stride, top + 93, (16, 77), 58)
    draw(middle, top + 25, (44, 77), 70)
    draw(middle + stride, top + 30, (14, 60), 90)
    draw(middle, top, (22, 26), 160)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=90.0, help="length of each stream, of which the last minute counts"
    )
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--scenes", default=",".join(map(str, SCENES)), help="seeds of the demo scenes")
    parser.add_argument("--footage", type=Path, default=FOOTAGE)
    parser.add_argument("--keep", type=Path, help="a folder for what is encoded and rendered")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    console = Console(stderr=True)
    measured = measure_idle(
        streams=[name for name in options.streams.split(",") if name],
        rounds=options.rounds,
        seconds=options.seconds,
        scenes=[int(seed) for seed in options.scenes.split(",") if seed],
        footage=options.footage,
        keep=options.keep,
        say=lambda line: console.print(line, style="dim"),
    )
    if options.json:
        print(json.dumps(asdict(measured), indent=2))
        return 0
    cost = Table("stream", "mode", "ms a second of video", "decoding it", "times", "not decoded")
    for line in measured.idle:
        numbers = f"{line.watched_ms:.1f}", f"{line.decoded_ms:.1f}", f"{line.times:.1f}", f"{line.still_share:.0%}"
        cost.add_row(line.stream, line.mode, *numbers)
    misses = Table("video", "mode", "movements missed", "moments missed", "not decoded")
    for one in measured.misses:
        missed = f"{one.missed} of {one.movements}", f"{one.missed_moments} of {one.moments}"
        misses.add_row(one.video, one.mode, *missed, f"{one.still_share:.0%}")
    Console().print(cost, misses)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
