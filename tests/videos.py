"""Small real videos, encoded for a test."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from xclip_stream.types import ClipGeometry, Pixels

SIZE = (160, 120)
TICK = Fraction(1, 1000)
GEOMETRY = ClipGeometry(num_frames=4, image_px=32)


def steady(fps: float, seconds: float) -> list[float]:
    return [i / fps for i in range(round(fps * seconds))]


def grey(number: int, size: tuple[int, int] = SIZE) -> Pixels:
    """Return a picture whose brightness tells its number, 0 to 19, also after lossy coding."""
    return np.full((size[1], size[0], 3), 20 + 10 * (number % 20), np.uint8)


def noise(seed: int, size: tuple[int, int] = SIZE) -> Pixels:
    """Return a picture that takes many bytes to code."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def number_of(picture: Pixels) -> int:
    """Return the number that `grey` drew."""
    return round((float(picture.mean()) - 20) / 10)


def write_video(
    path: Path,
    times_s: Iterable[float],
    *,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    tick: Fraction = TICK,
    pictures: Sequence[Pixels] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode a frame for each time; frame i is `grey(i)` unless `pictures` are given."""
    with av.open(str(path), "w", container_options=container_options) as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = tick
        stream.options = {"preset": "ultrafast", "g": "10", "bf": "0"} if options is None else options
        for number, time_s in enumerate(times_s):
            rgb = pictures[number] if pictures else grey(number, size)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round(time_s / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for number in range(8):
            frame.pts = number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn_clockwise(path: Path) -> Path:
    """Write into an MP4 that its pictures are to be shown turned by 90 degrees (the matrix of `tkhd`, ISO 14496-12)."""
    content = bytearray(path.read_bytes())
    matrix_at = content.index(b"tkhd") + 4 + 40
    content[matrix_at : matrix_at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def join(path: Path, parts: Sequence[Path]) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
