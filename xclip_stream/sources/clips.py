"""Writes clips: MP4 files of a camera's own packets, or of what they show where something has to be painted over it."""

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from os import SEEK_END
from pathlib import Path
from typing import Protocol

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.stream import VideoStream

from xclip_stream.errors import EvidenceError
from xclip_stream.sources.encoded import REMUXED, TICK, EncodedPacket, decoder_of, shown_ticks, stream_like
from xclip_stream.sources.painting import Painter
from xclip_stream.sources.pictures import upright

# A file that can be looked at while it grows, and is whole up to its last key frame should the writer be killed.
_GROWING = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_BOX_HEAD = struct.Struct(">I4s")
"""The size and the kind of a part of an MP4 (ISO/IEC 14496-12, 4.2): fragments have a `moof` before their data."""
_SEEKABLE = {"movflags": "faststart"}
_ENCODING = {"preset": "veryfast", "crf": "23", "bf": "0", "tune": "zerolatency"}
_KEY_FRAME_EVERY = 50


class ClipWriter(Protocol):
    """Writes packets to a file that grows. What it raises is what PyAV raises."""

    def add(self, packet: EncodedPacket) -> None: ...

    def close(self) -> None: ...


def open_writer(path: Path, first: EncodedPacket, *, painter: Painter, caption: str) -> ClipWriter:
    """Begin a clip; the first packet, still to be added, is its time 0 and says how all are coded.

    What browsers do not play is encoded as H.264, and so is what has to be painted on, turned or put in order.
    """
    head = first.head
    if painter.paints or head.rotation or not head.has_times or head.codec not in REMUXED:
        return _Encoder(path, first, painter=painter, caption=caption)
    return _Remuxer(path, first)


def make_seekable(growing: Path, path: Path) -> None:
    """Copy a clip that grew into a file whose index stands at its beginning.

    Raises:
        EvidenceError: there is nothing in the clip, or the copy cannot be written.
    """
    with evidence_errors(path), av.open(str(growing)) as source:
        packets = _copy(source, path)
    if not packets:
        raise EvidenceError(f"{growing}: there is not one frame in it")


def _copy(source: InputContainer, path: Path) -> int:
    """Write a seekable copy; return the number of its packets."""
    packets = 0
    with av.open(str(path), "w", format="mp4", options=_SEEKABLE) as clip:
        stream = source.streams.video[0]
        copy = _like(clip, stream)
        for packet in source.demux(stream):
            if packet.is_corrupt:
                break  # the last one of a clip whose writer was killed
            if packet.size:
                packet.stream = copy
                clip.mux(packet)
                packets += 1
    return packets


@contextmanager
def evidence_errors(path: Path) -> Iterator[None]:
    """Translate what goes wrong with a file."""
    try:
        yield
    except (FFmpegError, OSError) as error:
        raise EvidenceError(f"{path}: cannot be written ({error.strerror or type(error).__name__})") from error
    except (IndexError, ValueError) as error:
        raise EvidenceError(f"{path}: {error}") from error


class _Ticks:
    """Time stamps of a clip: from 0 on, each greater than the one before, whatever the times of the packets are."""

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._last = -1

    def next(self, at: float) -> int:
        self._last = max(self._last + 1, round((at - self._began_at) / TICK))
        return self._last


class _Remuxer:
    """Writes packets as they are."""

    def __init__(self, path: Path, first: EncodedPacket) -> None:
        self._ticks = _Ticks(first.at)
        with ExitStack() as stack:
            self._container = stack.enter_context(av.open(str(path), "w", format="mp4", options=_GROWING))
            self._stream = _like(self._container, stack.enter_context(stream_like(first.head)))
            self._stack = stack.pop_all()

    def add(self, packet: EncodedPacket) -> None:
        made = packet.packet(dts=self._ticks.next(packet.at))
        made.stream = self._stream
        self._container.mux(made)

    def close(self) -> None:
        self._stack.close()


class _Encoder:
    """Decodes packets, paints over the frames and encodes them."""

    def __init__(self, path: Path, first: EncodedPacket, *, painter: Painter, caption: str) -> None:
        self._ticks = _Ticks(first.at)
        self._painter = painter
        self._caption = caption
        self._rotation = first.head.rotation
        self._last_pts = -1
        self._stream: VideoStream | None = None
        self._decoder = decoder_of(first.head)
        self._container = av.open(str(path), "w", format="mp4", options=_GROWING)

    def add(self, packet: EncodedPacket) -> None:
        made = packet.packet(dts=self._ticks.next(packet.at))
        # Damage on the way from the camera costs a frame, not the clip.
        with suppress(InvalidDataError):
            for frame in self._decoder.decode(made):
                self._encode(frame)

    def close(self) -> None:
        with self._container:
            for frame in self._decoder.decode(None):
                self._encode(frame)
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))

    def _encode(self, frame: av.VideoFrame) -> None:
        rgb = self._painter.paint(upright(frame, rotation=self._rotation), self._caption)
        rgb = rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]
        if self._stream is None:
            self._stream = self._begin(width=rgb.shape[1], height=rgb.shape[0])
        painted = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        self._last_pts = max(self._last_pts + 1, shown_ticks(frame) or 0)
        painted.pts, painted.time_base = self._last_pts, TICK
        self._container.mux(self._stream.encode(painted))

    def _begin(self, *, width: int, height: int) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=Fraction(25), options=_ENCODING)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TICK
        stream.codec_context.gop_size = _KEY_FRAME_EVERY
        stream.codec_context.thread_count = 1
        return stream


def _like(container: OutputContainer, template: VideoStream) -> VideoStream:
    stream = container.add_stream_from_template(template, opaque=True)
    if stream.codec_context.name == "hevc":
        # Players of Apple take no other tag, and browsers this one too.
        stream.codec_context.codec_tag = "hvc1"
    return stream


def has_frames(path: Path) -> bool:
    """Tell whether a clip that somebody began has something in it."""
    try:
        with av.open(str(path)) as container:
            return any(packet.size for packet in container.demux(video=0))
    except (FFmpegError, OSError, IndexError):
        return False


def is_growing(path: Path) -> bool:
    """Tell whether a clip has the form in which it is written, and not the one in which it is finished."""
    with suppress(OSError), path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        at = 0
        while at + _BOX_HEAD.size <= size:
            file.seek(at)
            num_bytes, kind = _BOX_HEAD.unpack(file.read(_BOX_HEAD.size))
            if kind in {b"moof", b"mdat"}:
                return bool(kind == b"moof")
            at += max(num_bytes, _BOX_HEAD.size)
    return True
