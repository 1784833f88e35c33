"""H.264 in and out for rendered pictures."""

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from xclip_stream.demo.figures import Picture
from xclip_stream.demo.places import HEIGHT, WIDTH
from xclip_stream.demo.scenes import FPS

CRF = 22


def write_h264(target: Path | io.BytesIO, pictures: Iterable[Picture], *, crf: int = CRF) -> None:
    """Encode pictures (180, 320, 3) at `FPS` into an mp4 file, one key frame every two seconds."""
    where = target if isinstance(target, io.BytesIO) else str(target)
    with av.open(where, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": "veryfast", "g": str(2 * FPS), "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_video(source: Path | io.BytesIO) -> Iterable[tuple[float, Picture]]:
    """Decode a file: (seconds, picture) in order."""
    with av.open(source if isinstance(source, io.BytesIO) else str(source), "r") as container:
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0):
            yield float(frame.time or 0.0), np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def through_h264(pictures: list[Picture], *, crf: int) -> list[Picture]:
    """The pictures as they come back out of an H.264 file."""
    packed = io.BytesIO()
    write_h264(packed, pictures, crf=crf)
    packed.seek(0)
    return [picture for _, picture in read_video(packed)]
