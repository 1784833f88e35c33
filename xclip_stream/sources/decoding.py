"""One open container and the packets of its video, and the frames that are made of them."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from xclip_stream.errors import SourceRejected
from xclip_stream.sources.encoded import TICK
from xclip_stream.sources.facts import SANE_RATES, VideoFacts, facts_of
from xclip_stream.sources.hwaccel import decoder_on
from xclip_stream.sources.pictures import jpeg_picture, masked, pictures_of, upright
from xclip_stream.types import Box, ClipGeometry, HwAccel, Pixels, Region

Packet: TypeAlias = "av.Packet[VideoStream]"

_MAX_READ_ERRORS = 20
"""Read errors in a row after which nothing more is to be expected."""
_USUAL_RATE = 25.0
_KEEPING_TIMES = frozenset({"mp4", "matroska", "mpegts", "flv"})
_WITHOUT_TIMES = frozenset({"mpjpeg", "mjpeg", "h264", "hevc", "mpegvideo"})
"""What consists of pictures and nothing else. FFmpeg counts them on at 25 a second, however many there are."""
_WITHOUT_INDEX = frozenset({"mpegts", "mpeg"})
_MICROSECONDS = Fraction(1, av.time_base)


@dataclass(frozen=True, slots=True)
class View:
    """What is kept of each frame: these regions of it, at model size. Nobody sees what the masks cover."""

    regions: tuple[Region, ...]
    geometry: ClipGeometry
    masks: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class AvFrame:
    """A frame, converted when asked (`SourceFrame` of the protocols), and of a file decoded only then."""

    index: int
    pts_s: float
    captured_at: float
    decode: Callable[[], av.VideoFrame]
    view: View

    def pictures(self) -> Pixels:
        return pictures_of(self.decode(), self.view.regions, self.view.geometry, masks=self.view.masks)

    def jpeg(self, *, width_px: int) -> bytes:
        return jpeg_picture(masked(upright(self.decode()), self.view.masks), width_px=width_px)


def decoded(frame: av.VideoFrame) -> Callable[[], av.VideoFrame]:
    """Return what an `AvFrame` asks for its frame, of one that is decoded already."""
    return lambda: frame


class KeptFrame:
    """A decoded frame that is shown again and again: its pictures are made once."""

    def __init__(self, frame: AvFrame) -> None:
        self._frame = frame
        self._pictures: Pixels | None = None

    def pictures(self) -> Pixels:
        if self._pictures is None:
            self._pictures = self._frame.pictures()
        return self._pictures

    def jpeg(self, *, width_px: int) -> bytes:
        return self._frame.jpeg(width_px=width_px)


@dataclass(frozen=True, slots=True)
class StillFrame:
    """A frame that was not decoded, since nothing had moved (`SourceFrame`); `shown` is the last one that was."""

    index: int
    pts_s: float
    captured_at: float
    shown: KeptFrame

    def pictures(self) -> Pixels:
        return self.shown.pictures()

    def jpeg(self, *, width_px: int) -> bytes:
        return self.shown.jpeg(width_px=width_px)


class OpenVideo:
    """An open container and its video stream, both used by one thread only: PyAV crashes otherwise."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self.tap: Callable[[av.Packet[VideoStream]], None] | None = None
        """Is shown each packet before it is decoded; for whoever measures a stream."""

    @property
    def stream(self) -> VideoStream:
        return self._stream

    @property
    def duration_s(self) -> float | None:
        """How long the container says that it is."""
        return None if self._container.duration is None else self._container.duration / av.time_base

    @property
    def stream_duration_s(self) -> float | None:
        """How long the container says that its video is."""
        base, ticks = self._stream.time_base, self._stream.duration
        return None if ticks is None or base is None else float(ticks * base)

    @property
    def codec(self) -> str:
        return self._stream.codec_context.name

    @property
    def facts(self) -> VideoFacts:
        """What the container says of itself."""
        return facts_of(self._container, self._stream)

    @property
    def frame_s(self) -> float:
        """The time between two frames where no time stamp tells it."""
        rate = float(self._stream.average_rate or 0.0)
        return 1.0 / (rate if SANE_RATES[0] <= rate <= SANE_RATES[1] else _USUAL_RATE)

    @property
    def reorders_s(self) -> float:
        """By how much later frames come out of a decoder, in order, than their packets went in."""
        return self._stream.codec_context.reorder_depth * self.frame_s

    @property
    def time_base(self) -> Fraction:
        """The unit of time stamps."""
        return self._stream.time_base or _MICROSECONDS

    @property
    def keeps_times(self) -> bool:
        """Whether packets have the times at which their frames are shown: AVI, say, knows but their order."""
        return any(name in _KEEPING_TIMES for name in self._container.format.name.split(","))

    @property
    def lacks_index(self) -> bool:
        """Whether nothing in it says where a time is. Recordings can be joined in it, each with times of its own."""
        return self._container.format.name in _WITHOUT_INDEX

    @property
    def in_segments(self) -> bool:
        """Whether some seconds of it come together, as in HLS."""
        return self._container.format.name == "hls"

    @property
    def _has_times(self) -> bool:
        return self._container.format.name not in _WITHOUT_TIMES

    def close(self) -> None:
        self._container.close()

    def seek(self, pts: int) -> None:
        """Go to the key frame at or before a time stamp, or stay where that is not possible."""
        # Looking for a time where there is none, FFmpeg would end up behind the last packet.
        if self._has_times:
            with suppress(FFmpegError):
                self._container.seek(pts, stream=self._stream)

    def seek_byte(self, position: int) -> None:
        """Go to the packet that begins there.

        Raises:
            FFmpegError: that is not possible.
        """
        self._container.seek(position, unsupported_byte_offset=True)

    def packets(
        self,
        *,
        note: Callable[[str], None],
        is_fatal: Callable[[FFmpegError], bool],
        clock: Callable[[], float] | None = None,
    ) -> Iterator[Packet]:
        """Yield the packets of the video, and at the end an empty one.

        Args:
            note: told of each piece of damage.
            is_fatal: whether a read error is the end; others are passed over, a few in a row.
            clock: asked when each packet is decoded of a stream that has no times of its own; in seconds.

        Raises:
            FFmpegError: a fatal read error, or too many of the others.
        """
        errors = 0
        times = None if self._has_times else clock
        while True:
            try:
                # A generator, whose own packet PyAV 18 frees only where it is closed or read to its end.
                demuxed = cast("Generator[Packet, None, None]", self._container.demux(self._stream))
                with closing(demuxed):
                    for packet in demuxed:
                        errors = 0
                        if times is not None and packet.size:
                            packet.time_base, packet.pts, packet.dts = TICK, None, round(times() / TICK)
                        if self.tap is not None:
                            self.tap(packet)
                        yield packet
            except FFmpegError as error:
                errors += 1
                note("read error")
                if is_fatal(error) or errors > _MAX_READ_ERRORS:
                    raise
            except IndexError:
                # PyAV 18 stumbles at the end over streams that appeared on the way, as they do in a damaged transport
                # stream; by then it has flushed the streams known from the start, of which ours is one.
                return
            else:
                return


def open_video(
    url: str,
    *,
    options: Mapping[str, str],
    shown: str,
    input_format: str | None = None,
    timeouts_s: tuple[float, float] | None = None,
    hwaccel: HwAccel | None = None,
) -> OpenVideo:
    """Open the best video stream of `url`.

    Args:
        options: FFmpeg's options; it ignores unknown ones silently.
        shown: how messages name the source.
        timeouts_s: for opening, and for each read.
        hwaccel: what decodes it, where that is possible.

    Raises:
        FFmpegError: it cannot be opened.
        SourceRejected: there is no video in it.
    """
    container = av.open(
        url,
        format=input_format,
        container_options=dict(options),
        timeout=timeouts_s,
        metadata_errors="replace",
        hwaccel=None if hwaccel is None else decoder_on(hwaccel),
    )
    stream = container.streams.best("video")
    # The cover picture of a sound file counts as a video stream of one frame.
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        container.close()
        raise SourceRejected(f"{shown}: there is no video in it")
    # One thread: what comes out of damaged data must be the same at each run, and there are as many readers as cameras.
    stream.codec_context.thread_count = 1
    return OpenVideo(container, stream)
