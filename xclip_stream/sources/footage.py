"""The encoded video of a source by event time: of a camera from the ring of its packets, of a file from the file."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain
from math import inf, isinf
from pathlib import Path

import av
from av.error import FFmpegError, InvalidDataError

from xclip_stream.errors import EvidenceError, FootageGone
from xclip_stream.evidence import CLOCK_ROOM_S
from xclip_stream.protocols import Clip
from xclip_stream.sources.clips import ClipWriter, evidence_errors, has_frames, is_growing, make_seekable, open_writer
from xclip_stream.sources.coverage import Coverage
from xclip_stream.sources.encoded import TICK, EncodedPacket, decoder_of, shown_ticks
from xclip_stream.sources.file_packets import FilePackets
from xclip_stream.sources.packet_ring import PacketRing
from xclip_stream.sources.painting import Painter
from xclip_stream.sources.pictures import jpeg_picture, upright
from xclip_stream.sources.timeline import seconds_of


class LiveFootage:
    """The last packets of a camera."""

    grows = True

    def __init__(self, ring: PacketRing, *, painter: Painter) -> None:
        self._ring = ring
        self._painter = painter

    def begin_clip(self, path: Path, *, begins_at: float, caption: str) -> Clip:
        if path.exists():
            if has_frames(path):
                return _FoundClip(path)
            path.unlink()
        return _LiveClip(path, self._ring, begins_at=begins_at, painter=self._painter, caption=caption)

    def reaches(self, at: float) -> bool:
        found = self._ring.since(at)
        return bool(found) and found[0][1].at <= at + CLOCK_ROOM_S

    def snapshot(self, at: float, *, caption: str) -> bytes:
        packets = [packet for _, packet in self._ring.since(at)]
        return picture_of(packets, at, painter=self._painter, caption=caption)


class FileFootage:
    """A video file.

    Args:
        start_time: event time of its first frame, Unix seconds.
        beat: called often: to read through a file takes its time.
    """

    grows = False

    def __init__(self, path: Path, *, start_time: float, painter: Painter, beat: Callable[[], None]) -> None:
        self._packets = FilePackets(path, start_time=start_time, beat=beat)
        self._painter = painter

    def reaches(self, at: float) -> bool:  # noqa: ARG002 - a file has all its times
        return True

    def begin_clip(self, path: Path, *, begins_at: float, caption: str) -> Clip:
        return _FileClip(path, lambda: self._packets.since(begins_at), painter=self._painter, caption=caption)

    def snapshot(self, at: float, *, caption: str) -> bytes:
        return picture_of(self._packets.since(at), at, painter=self._painter, caption=caption)


class _LiveClip:
    """A clip that is written while its packets come."""

    def __init__(self, path: Path, ring: PacketRing, *, begins_at: float, painter: Painter, caption: str) -> None:
        found = ring.since(begins_at)
        if not found:
            raise EvidenceError(f"{path}: no video has come yet")
        self._path = path
        self._ring = ring
        self._number, first = found[0][0] - 1, found[0][1]
        self._coverage = Coverage(first.at)
        self._head = first.head
        self._is_empty = True
        with evidence_errors(path):
            self._writer = open_writer(path, first, painter=painter, caption=caption)

    def extend(self, *, ends_at: float) -> bool:
        with evidence_errors(self._path):
            for number, packet in self._ring.after(self._number):
                if packet.head != self._head:
                    return True
                self._coverage.add(packet.at, media_s=packet.media_s)
                if packet.at > ends_at:
                    if self._is_empty:
                        raise FootageGone(f"{self._path}: the camera's video of that time is gone")
                    return True
                self._writer.add(packet)
                self._is_empty = False
                self._number = number
        return False

    def lacks_from(self, begins_at: float, ends_at: float | None) -> float | None:
        return self._coverage.lacks_from(begins_at, ends_at)

    def finish(self, path: Path) -> None:
        with evidence_errors(self._path):
            self._writer.close()
        make_seekable(self._path, path)

    def close(self) -> None:
        with suppress(FFmpegError, OSError):
            self._writer.close()


class _FileClip:
    """A clip that is written at once, when its end is known."""

    def __init__(
        self, path: Path, packets: Callable[[], Generator[EncodedPacket, None, None]], *, painter: Painter, caption: str
    ) -> None:
        self._path = path
        self._packets = packets
        self._painter = painter
        self._caption = caption

    def extend(self, *, ends_at: float) -> bool:
        if isinf(ends_at):
            return False
        with evidence_errors(self._path), closing(self._packets()) as packets:
            writer: ClipWriter | None = None
            for packet in packets:
                writer = writer or open_writer(self._path, packet, painter=self._painter, caption=self._caption)
                if packet.at > ends_at:
                    break
                writer.add(packet)
            if writer is None:
                raise EvidenceError(f"{self._path}: there is no video of that time")
            writer.close()
        return True

    def lacks_from(self, begins_at: float, ends_at: float | None) -> float | None:  # noqa: ARG002 - as in the file
        return None

    def finish(self, path: Path) -> None:
        make_seekable(self._path, path)

    def close(self) -> None:
        """It is closed already."""


class _FoundClip:
    """A clip that another reader has left: what it has is all there will be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._was_growing = is_growing(path)

    def extend(self, *, ends_at: float) -> bool:  # noqa: ARG002 - the protocol's
        return True

    def lacks_from(self, begins_at: float, ends_at: float | None) -> float | None:  # noqa: ARG002 - not in the file
        return begins_at if self._was_growing else None

    def finish(self, path: Path) -> None:
        make_seekable(self._path, path)

    def close(self) -> None:
        """Nothing is open."""


def picture_of(packets: Iterable[EncodedPacket], at: float, *, painter: Painter, caption: str) -> bytes:
    """Return the frame that is shown at `at`, or next to it, as a JPEG; the packets begin with a key frame.

    Raises:
        EvidenceError: there is none that can be decoded.
    """
    packets = iter(packets)
    first = next(packets, None)
    nearest: av.VideoFrame | None = None
    distance_s = inf
    try:
        for shown_at, frame in _decoded(first, packets) if first else ():
            if abs(shown_at - at) > distance_s:
                break
            nearest, distance_s = frame, abs(shown_at - at)
    except FFmpegError as error:
        raise EvidenceError(f"the frame cannot be decoded ({error.strerror})") from error
    if first is None or nearest is None:
        raise EvidenceError("there is no frame to take a picture of")
    rgb = painter.paint(upright(nearest, rotation=first.head.rotation), caption)
    return jpeg_picture(rgb, width_px=rgb.shape[1])


def _decoded(first: EncodedPacket, packets: Iterable[EncodedPacket]) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the frames of packets that are coded as the first is, each with the event time at which it is shown."""
    decoder, last = decoder_of(first.head), -1
    for packet in chain([first], packets):
        if packet.head != first.head:
            break
        last = max(last + 1, round((packet.at - first.at) / TICK))
        # Damage on the way from the camera costs a frame, not the picture.
        with suppress(InvalidDataError):
            yield from _timed(decoder.decode(packet.packet(dts=last)), first.at)
    yield from _timed(decoder.decode(None), first.at)


def _timed(frames: Iterable[av.VideoFrame], began_at: float) -> Iterator[tuple[float, av.VideoFrame]]:
    for frame in frames:
        ticks = shown_ticks(frame)
        if ticks is not None:
            yield began_at + seconds_of(ticks, TICK), frame
