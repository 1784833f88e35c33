"""Videos to measure with, made of the demo's rendered scenes: nothing is downloaded, and everybody has the same."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xclip_stream.demo.render import build_recording
from xclip_stream.demo.scenes import FPS

Picture = NDArray[np.uint8]
SEED = 11
FULL_HD_FPS = 25
NOISE = 2.0
"""Standard deviation, of 255."""
NOISE_FRAMES = 5


def write_full_hd(path: Path, *, seconds: float, seed: int = SEED) -> Path:
    """Write a scene of 1920 × 1080 pixels and 25 frames a second as H.264, with the noise of a sensor."""
    noise = np.random.default_rng(seed).normal(0.0, NOISE, (NOISE_FRAMES, 1080, 1920, 1)).astype(np.int16)

    def noisy() -> Iterator[Picture]:
        for index, picture in enumerate(in_between(scene(seconds, seed=seed), FULL_HD_FPS / FPS)):
            large = np.asarray(Image.fromarray(picture).resize((1920, 1080), Image.Resampling.BICUBIC), np.int16)
            yield np.clip(large + noise[index % NOISE_FRAMES], 0, 255).astype(np.uint8)

    return write_h264(path, noisy(), fps=FULL_HD_FPS)


def in_between(pictures: Iterator[Picture], times: float) -> Iterator[Picture]:
    """Yield so many times as many pictures, each a blend of the two that it lies between."""
    before, number = next(pictures), 0
    for index, after in enumerate(pictures):
        while number / times < index + 1:
            share = number / times - index
            yield np.asarray((1 - share) * before + share * after, np.uint8)
            number += 1
        before = after


def write_small(path: Path, *, seconds: float, fps: int = FPS) -> Path:
    """Write a scene of 320 × 180 pixels: what costs next to nothing to decode.

    Args:
        fps: 10 frames a second, or what divides them.
    """
    return write_h264(path, islice(scene(seconds), 0, None, FPS // fps), fps=fps)


def scene(seconds: float, *, seed: int = SEED) -> Iterator[Picture]:
    """Yield rendered pictures (180, 320, 3), `FPS` a second."""
    return islice(build_recording(seed, seconds).pictures(), round(seconds * FPS))


def write_h264(path: Path, pictures: Iterator[Picture], *, fps: int) -> Path:
    """Write pictures as H.264 without frames that are sent out of order, a key frame in two seconds."""
    options = {"crf": "23", "preset": "veryfast", "g": str(2 * fps), "bf": "0"}
    first = next(pictures)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
        for index, picture in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_looped(path: Path, source: Path, *, seconds: float) -> Path:
    """Write a video that plays `source` again and again, without encoding it again."""
    with av.open(str(source)) as taken, av.open(str(path), "w") as container:
        stream = taken.streams.video[0]
        out = container.add_stream_from_template(stream)
        base, rate = stream.time_base or Fraction(1, FPS), stream.average_rate or Fraction(FPS)
        step, offset, last = round(1 / rate / base), 0, 0
        while (offset + last) * base < seconds:
            offset += last
            for packet in taken.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue
                last = max(last, packet.pts + step)
                packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, out
                container.mux(packet)
            taken.seek(0)
    return path


def described(path: Path) -> dict[str, object]:
    """Return what a video is."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        return {
            "codec": codec.name,
            "width_px": codec.width,
            "height_px": codec.height,
            "fps": float(stream.average_rate or 0),
            "seconds": round((container.duration or 0) / av.time_base, 2),
        }
