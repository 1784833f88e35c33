"""The packets of a video file by media time, which is that of its reader: 0 is its first frame that is shown."""

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count, dropwhile, islice
from math import inf
from pathlib import Path

import av
from av.error import FFmpegError

from xclip_stream.errors import EvidenceError, SourceError
from xclip_stream.sources.decoding import OpenVideo, Packet
from xclip_stream.sources.encoded import TICK, EncodedPacket, Head, head_of, shown_ticks
from xclip_stream.sources.files import open_file
from xclip_stream.sources.timeline import Timeline, seconds_of

_SEEK_ROOMS_S = (1.0, inf)
"""How much before a time to seek until a key frame is found before it: where nothing else helps, from the beginning."""
_KEYS_APART_S = 1.0
"""A file in which each frame is a key frame has no use for all of them."""
_JUDGED_BY = 32
"""Frames by which it is told whether their stamps of presentation are right."""
_MAX_EARLY = 32
"""Packets without a time of decoding that are held; no decoder holds back more than 16 frames."""


class FilePackets:
    """Reads packets of one file, from any time on.

    What has an index is sought in by time stamps. A transport or program stream has none, and those of joined
    recordings begin anew in it: it is read through once, so that its key frames are known.

    Args:
        start_time: event time of its first frame, Unix seconds.
        beat: called often: to read through a file takes its time.
    """

    def __init__(self, path: Path, *, start_time: float, beat: Callable[[], None]) -> None:
        self._path = path
        self._start_time = start_time
        self._beat = beat
        self._beginning: _Beginning | None = None
        self._keys: list[_Anchor] | None = None

    def since(self, at: float) -> Generator[EncodedPacket, None, None]:
        """Yield the packets from the last key frame shown at or before `at` on, to the end of the file.

        Raises:
            EvidenceError: the file cannot be read any more.
        """
        held: list[EncodedPacket] = []
        for packet in self._from_near(at):
            if packet.is_key and packet.shown_at <= at:
                held.clear()
            held.append(packet)
            if packet.at > at:
                yield from held
                held.clear()
        yield from held

    def _from_near(self, at: float) -> Generator[EncodedPacket, None, None]:
        """Yield the packets from a key frame at or before `at` on; where there is none, from the first one."""
        for room_s in _SEEK_ROOMS_S:
            media_s = max(0.0, at - room_s - self._start_time)
            with closing(self._read(media_s)) as packets:
                first = next(packets, None)
                if media_s == 0.0 or (first is not None and first.shown_at <= at):
                    yield from () if first is None else chain([first], packets)
                    return

    def _read(self, media_s: float) -> Generator[EncodedPacket, None, None]:
        """Yield the packets from the key frame on that a seek to `media_s` leads to."""
        try:
            beginning = self._beginning = self._beginning or _beginning_of(self._path)
            with closing(open_file(self._path)) as video:
                anchor = self._seek(video, beginning, media_s)
                yield from self._encoded(video, beginning, anchor)
        except (FFmpegError, SourceError, ValueError) as error:
            raise EvidenceError(f"{self._path}: cannot be read again ({error})") from error

    def _seek(self, video: OpenVideo, beginning: "_Beginning", media_s: float) -> "_Anchor":
        """Go to a key frame before `media_s`; return what tells the media times from there on."""
        if media_s and not video.lacks_index:
            video.seek(beginning.anchor.stamp + int(media_s / video.time_base))
        elif media_s:
            if self._keys is None:
                self._keys = _keys_of(self._path, beginning, beat=self._beat)
            before = bisect_right(self._keys, media_s, key=lambda key: key.at_s)
            if before:
                video.seek_byte(self._keys[before - 1].byte)
                return self._keys[before - 1]
        return beginning.anchor

    def _encoded(
        self, video: OpenVideo, beginning: "_Beginning", anchor: "_Anchor"
    ) -> Generator[EncodedPacket, None, None]:
        head: Head | None = None
        shown_after_s = video.reorders_s
        packets = _with_decoding_stamps(video, beat=self._beat)
        from_key_on = dropwhile(lambda found: not found[0].is_keyframe, packets)
        for packet, stamp, media_s in _placed(from_key_on, anchor, frame_s=video.frame_s):
            data = bytes(packet)
            if head is None:
                head = head_of(packet.stream, data, has_times=beginning.has_times, rotation=beginning.rotation)
            if beginning.has_times:
                shown_after_s = 0.0 if packet.pts is None else seconds_of(packet.pts - stamp, packet.time_base or TICK)
            yield EncodedPacket(self._start_time + media_s, media_s, shown_after_s, packet.is_keyframe, data, head)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A time stamp in a file, its media time, and the byte from which on it is found."""

    stamp: int
    at_s: float = 0.0
    byte: int = 0

    def media_s(self, stamp: int, unit: Fraction) -> float:
        """Return the media time of another stamp of the same recording."""
        return self.at_s + seconds_of(stamp - self.stamp, unit)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What the first frames of a file say: media time begins at the time stamp of the first that is shown.

    `has_times` is false where the stamps of presentation are wrong, as in AVI files with B-frames.
    """

    anchor: _Anchor
    rotation: int = 0
    has_times: bool = True


def _beginning_of(path: Path) -> _Beginning:
    with closing(open_file(path)) as video:
        frames = _frames_of(video)
        for frame in frames:
            stamp = shown_ticks(frame)
            if stamp is not None:
                first = [frame, *islice(frames, _JUDGED_BY)] if video.reorders_s else [frame]
                has_times = not video.reorders_s or _are_in_order(first)
                return _Beginning(_Anchor(stamp), frame.rotation, has_times)
    return _Beginning(_Anchor(0))


def _are_in_order(frames: Sequence[av.VideoFrame]) -> bool:
    pts = [frame.pts for frame in frames if frame.pts is not None]
    return len(pts) == len(frames) and pts == sorted(pts)


def _frames_of(video: OpenVideo) -> Iterator[av.VideoFrame]:
    for packet in _packets_of(video):
        with suppress(FFmpegError):
            yield from packet.decode()


def _keys_of(path: Path, beginning: _Beginning, *, beat: Callable[[], None]) -> list[_Anchor]:
    """Return key frames of a file in order, at least `_KEYS_APART_S` apart."""
    keys: list[_Anchor] = []
    with closing(open_file(path)) as video:
        packets = _with_decoding_stamps(video, beat=beat)
        for packet, stamp, at_s in _placed(packets, beginning.anchor, frame_s=video.frame_s):
            is_apart = not keys or at_s - keys[-1].at_s >= _KEYS_APART_S
            if packet.is_keyframe and packet.pos is not None and is_apart:
                keys.append(_Anchor(stamp, at_s, packet.pos))
    return keys


def _placed(
    packets: Iterable[tuple[Packet, int]], anchor: _Anchor, *, frame_s: float
) -> Iterator[tuple[Packet, int, float]]:
    """Yield packets with their time stamps and their media times, which begin by the anchor and go on as a reader's."""
    timeline, began_s = Timeline(frame_s=frame_s), None
    for packet, stamp in packets:
        unit = packet.time_base or TICK
        began_s = anchor.media_s(stamp, unit) if began_s is None else began_s
        timeline.place(stamp, None, unit)
        yield packet, stamp, began_s + timeline.last_s


def _packets_of(video: OpenVideo) -> Iterator[Packet]:
    """Return the packets of a file; where they have no times they are counted on, as its reader does with frames."""
    times = (number * video.frame_s for number in count())
    return video.packets(note=lambda _: None, is_fatal=lambda _: False, clock=times.__next__)


def _with_decoding_stamps(video: OpenVideo, *, beat: Callable[[], None]) -> Iterator[tuple[Packet, int]]:
    """Yield packets with the times at which they are decoded.

    Matroska keeps those at which they are shown, and FFmpeg cannot tell the others of the first ones before there are
    some more: they are taken to be decoded just before these. In a program stream some packets have no times at all.
    """
    frame = max(1, round(video.frame_s / video.time_base))
    early: list[Packet] = []
    last: int | None = None
    for packet in _packets_of(video):
        beat()
        if not packet.size:
            continue
        if last is None:
            if packet.dts is None:
                early = [*early, packet][-_MAX_EARLY:]
                continue
            stamps = [packet.dts, *(each.pts for each in early if each.pts is not None)]
            last = min(stamps) - frame * (len(early) + 1)
            for each in early:
                last += frame
                yield each, last
        last = last + frame if packet.dts is None else packet.dts
        yield packet, last
    if last is None:
        yield from ((each, each.pts) for each in early if each.pts is not None)
