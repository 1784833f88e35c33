"""Looks at a source for some seconds, opened as a reader opens it, and says what it is like."""

import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from av.video.stream import VideoStream
from PIL import Image

from xclip_stream.errors import SourceError, XclipStreamError
from xclip_stream.redaction import redact_url
from xclip_stream.sources.decoding import AvFrame
from xclip_stream.sources.facts import VideoFacts
from xclip_stream.sources.files import FileSource
from xclip_stream.sources.live import LiveSource
from xclip_stream.sources.open import open_source
from xclip_stream.sources.packet_timing import Sighting, Timing, measure
from xclip_stream.sources.pictures import upright
from xclip_stream.types import ClipGeometry, Pixels

_NO_MODEL = ClipGeometry(num_frames=1, image_px=1)
"""Nothing is made for a model here."""
_MAX_PACKETS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a source is like."""

    shown_url: str
    live: bool
    facts: VideoFacts
    timing: Timing
    frames: int
    first_frame_s: float
    """From the beginning of opening it."""
    b_frames: bool
    rotation: int
    """Degrees counter-clockwise by which its pictures have to be turned."""
    duration_s: float | None
    damage: tuple[str, ...]
    picture: Pixels
    """The last frame, upright: uint8 RGB (H, W, 3)."""
    error: str | None
    """Why it ended before its time; None where it did not."""


def probe_source(
    url: str,
    *,
    seconds: float,
    transport: str = "tcp",
    open_timeout_s: float = 10.0,
    read_timeout_s: float = 5.0,
) -> Probe:
    """Open `url` and read it for some seconds: of time for a camera, of video for a file.

    Raises:
        SourceError: it cannot be opened, or gives no frame; the same error that a reader would have.
    """
    began_at = time.monotonic()
    source = open_source(
        url,
        geometry=_NO_MODEL,
        transport=transport,
        open_timeout_s=open_timeout_s,
        read_timeout_s=read_timeout_s,
    )
    with source:
        look = _Look(source, began_at=began_at, seconds=seconds)
        error = look.read()
        return look.result(redact_url(url), error)


class _Look:
    """The reading of one open source."""

    def __init__(self, source: FileSource | LiveSource, *, began_at: float, seconds: float) -> None:
        self._source = source
        self._began_at = began_at
        self._seconds = seconds
        self._sightings: list[Sighting] = []
        self._last: av.VideoFrame | None = None
        self._frames = 0
        self._first_at = 0.0
        self._b_frames = False

    def read(self) -> str | None:
        """Read until the time is over; return why it ended before that, if it did."""
        self._source.video.tap = self._note
        try:
            for frame in self._source:
                if not isinstance(frame, AvFrame):
                    continue  # of a camera that is idle, as one that is probed never is
                self._take(frame)
                if self._is_enough(frame):
                    break
        except SourceError as error:
            if self._last is None:
                raise
            return str(error)
        return None

    def result(self, shown_url: str, error: str | None) -> Probe:
        if self._last is None:
            raise SourceError(f"{shown_url}: gives no frame")
        return Probe(
            shown_url=shown_url,
            live=self._source.live,
            facts=self._source.video.facts,
            timing=measure(self._sightings, live=self._source.live),
            frames=self._frames,
            first_frame_s=self._first_at - self._began_at,
            b_frames=self._b_frames,
            rotation=self._last.rotation,
            duration_s=self._source.duration_s,
            damage=tuple(self._source.damage),
            picture=upright(self._last),
            error=error,
        )

    def _take(self, frame: AvFrame) -> None:
        self._frames += 1
        if self._last is None:
            self._first_at = time.monotonic()
        self._last = frame.decode()
        self._b_frames = self._b_frames or self._last.pict_type == PictureType.B

    def _is_enough(self, frame: AvFrame) -> bool:
        if not self._source.live:
            return frame.pts_s >= self._seconds
        return time.monotonic() - self._first_at >= self._seconds

    def _note(self, packet: "av.Packet[VideoStream]") -> None:
        # A packet without bytes only tells the decoder that the file is over.
        if packet.size and len(self._sightings) < _MAX_PACKETS:
            self._sightings.append(
                Sighting(
                    arrived_s=time.monotonic(),
                    decoding_s=_seconds(packet.dts, packet.time_base),
                    shown_s=_seconds(packet.pts, packet.time_base),
                    size_bytes=packet.size,
                    is_key=packet.is_keyframe,
                )
            )


def _seconds(ticks: int | None, time_base: Fraction) -> float | None:
    return None if ticks is None else float(ticks * time_base)


def shrunk(picture: Pixels, *, width_px: int, height_px: int) -> Pixels:
    """Return a picture (H, W, 3) made small enough for a box, in its own proportions."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((width_px, height_px))
    return np.asarray(image, np.uint8)


def save_picture(picture: Pixels, path: Path) -> None:
    """Write a picture (H, W, 3) into an image file; the ending of its name says which kind.

    Raises:
        XclipStreamError: it cannot be written.
    """
    try:
        Image.fromarray(np.ascontiguousarray(picture)).save(path)
    except OSError as error:
        raise XclipStreamError(f"{path}: cannot be written ({error.strerror or error})") from None
