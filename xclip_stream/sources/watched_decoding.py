"""Decodes the packets of a camera, but not those of intervals in which nothing moves.

While the camera is idle the packets since the last key frame are held. Once they are known to be still, a frame for
each is given that shows the last decoded picture; once something moves they are decoded, from the key frame on. Where
that is in doubt a scout looks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import FFmpegError

from xclip_stream.sources.decoding import Packet
from xclip_stream.sources.idle_watch import IdleWatch
from xclip_stream.sources.scouting import Scout, SmallPictures
from xclip_stream.sources.size_signal import weight_of
from xclip_stream.sources.slice_qp import SliceQuantisers
from xclip_stream.sources.timeline import seconds_of

_MAX_HELD_BYTES = 32 * 1024 * 1024
_JUMP_S = 5.0
"""Stamps that are further apart than this have jumped, as when a camera sets its clock."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a packet came, on both clocks in seconds."""

    now: float
    monotonic: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A moment of the camera in the order in which it is shown; without a frame where that of before still holds."""

    frame: av.VideoFrame | None
    pts: int | None
    dts: int | None
    time_base: Fraction | None
    arrived: Arrival


@dataclass(frozen=True, slots=True)
class _Held:
    packet: Packet
    arrived: Arrival
    at_s: float


class WatchedDecoder:
    """Turns the packets of one connection into moments.

    Args:
        watch: decides what is decoded; without one everything is.
        note: told of each piece of damage.
    """

    def __init__(self, *, watch: IdleWatch | None, note: Callable[[str], None]) -> None:
        self._watch = watch
        self._note = note
        self._small = SmallPictures()
        self._scout = Scout(self._small)
        self._quantisers: SliceQuantisers | None = None
        self._interval: list[_Held] = []
        """What has come since the last key frame, decoded or not."""
        self._has_open = False
        self._lead: list[_Held] = []
        """The interval before, where this one may refer to it: the groups of pictures are open."""
        self._held_bytes = 0
        self._at_s: float | None = None
        self._shown_pts: int | None = None
        self._skips_shown = False

    def take(self, packet: Packet, arrived: Arrival) -> Iterator[Shown]:
        """Take the next packet, an empty one at the end of the stream; yield what is known now."""
        watch = self._watch
        if watch is not None and packet.size:
            yield from self._place(watch, packet)
        if watch is None or not packet.size or self._at_s is None:
            yield from self.finish()
            yield from self._decode(_Held(packet, arrived, 0.0))
            return
        held = _Held(packet, arrived, self._at_s)
        if packet.is_keyframe:
            yield from self._begin_interval(watch, held)
        self._interval.append(held)
        self._held_bytes += packet.size
        watch.add(self._weight(packet))
        if not watch.is_idle:
            yield from self._decode(held)
            return
        if watch.doubts_end():
            self._look_through(watch, is_over=False)
        if watch.must_wake or self._is_amiss(watch, held):
            yield from self._wake(watch)

    def finish(self) -> Iterator[Shown]:
        """Yield what is held: there will be no more packets."""
        if self._watch is not None and self._watch.is_idle:
            yield from self._wake(self._watch)

    def _place(self, watch: IdleWatch, packet: Packet) -> Iterator[Shown]:
        """Note the time of a packet; the first ones of a connection may have none. Where time jumps, begin anew."""
        stamp, unit = packet.pts if packet.dts is None else packet.dts, packet.time_base
        if stamp is None or unit is None:
            return
        at_s = seconds_of(stamp, unit)
        if self._at_s is not None and not -_JUMP_S <= at_s - self._at_s <= _JUMP_S:
            yield from self.finish()
            watch.reconnect()
        self._at_s = at_s

    def _begin_interval(self, watch: IdleWatch, key: _Held) -> Iterator[Shown]:
        was_idle = watch.is_idle
        if was_idle:
            if watch.doubts_whole(key.at_s):
                self._look_through(watch, is_over=True)
            elif watch.wants_look(key.at_s):
                self._scout.look_at(watch, key.packet, key.at_s)
            if watch.must_wake:
                yield from self._wake(watch)
                was_idle = False
            else:
                yield from self._still()
        watch.begin_interval(key.at_s)
        self._scout.begin_interval()
        self._has_open = self._has_open or _is_open(self._interval)
        self._lead = self._interval if self._has_open else []
        self._interval, self._held_bytes = [], 0
        if watch.is_idle and not was_idle:
            yield from self._drain(key)
        elif was_idle and not watch.is_idle:
            yield from self._restart()

    def _is_amiss(self, watch: IdleWatch, held: _Held) -> bool:
        return held.packet.is_corrupt or self._held_bytes > _MAX_HELD_BYTES or watch.has_run_over(held.at_s)

    def _look_through(self, watch: IdleWatch, *, is_over: bool) -> None:
        """Let the watch see what it has not seen of this interval; of one that refers to the one before, nothing."""
        at_s = self._interval[-1].at_s
        if self._lead:
            watch.look_through(None, at_s)
            return
        rest = self._interval[self._scout.taken :]
        self._scout.look_through(watch, [(held.packet, held.at_s) for held in rest], is_over=is_over)
        if is_over:
            watch.note_looked_through(at_s)

    def _still(self) -> Iterator[Shown]:
        """Yield a moment for each packet of the interval."""
        order = self._interval
        if all(held.packet.pts is not None for held in order):
            order = sorted(order, key=lambda held: held.packet.pts or 0)
        # Decoded, a frame would come out with the stamp of a packet at its own place in the order of decoding.
        for held, decoded in zip(order, self._interval, strict=True):
            yield self._shown(None, held.packet.pts, decoded.packet.dts, held.packet.time_base, decoded.arrived)

    def _wake(self, watch: IdleWatch) -> Iterator[Shown]:
        """Decode what is held, from the key frame on."""
        watch.wake()
        yield from self._restart()
        for held in self._interval:
            yield from self._decode(held)

    def _restart(self) -> Iterator[Shown]:
        """Let the decoder, which was drained, begin with the interval before where this one refers to it."""
        self._skips_shown = bool(self._lead)
        for held in self._lead:
            yield from self._decode(held)

    def _drain(self, key: _Held) -> Iterator[Shown]:
        """Yield the frames that the decoder holds back, and make it ready for another key frame."""
        context = key.packet.stream.codec_context
        try:
            yield from self._frames(context.decode(None), key)
        except FFmpegError:
            self._note("packet that cannot be decoded")
        context.flush_buffers()

    def _decode(self, held: _Held) -> Iterator[Shown]:
        try:
            frames = held.packet.decode()
        except FFmpegError:
            self._note("packet that cannot be decoded")
            return
        yield from self._frames(frames, held)

    def _frames(self, frames: Iterable[av.VideoFrame], held: _Held) -> Iterator[Shown]:
        for frame in frames:
            if self._skips_shown and frame.pts is not None and self._shown_pts is not None:
                if frame.pts <= self._shown_pts:
                    continue
                self._skips_shown = False
            if frame.is_corrupt:
                self._note("frame decoded with errors")
            if self._watch is not None and self._at_s is not None and self._watch.wants_picture(held.at_s):
                self._watch.see(self._small.of(frame), held.at_s)
            yield self._shown(frame, frame.pts, frame.dts, frame.time_base, held.arrived)

    def _shown(
        self, frame: av.VideoFrame | None, pts: int | None, dts: int | None, time_base: Fraction | None, at: Arrival
    ) -> Shown:
        self._shown_pts = pts
        return Shown(frame, pts, dts, time_base, at)

    def _weight(self, packet: Packet) -> float:
        context = packet.stream.codec_context
        if context.name != "h264":
            return weight_of(packet.size, None)
        if self._quantisers is None:
            self._quantisers = SliceQuantisers(context.extradata or b"")
        return weight_of(packet.size, self._quantisers.read(bytes(packet)))


def _is_open(interval: list[_Held]) -> bool:
    """Return whether pictures come before their key frame is shown, as then they refer to the interval before."""
    first = interval[0].packet.pts if interval else None
    return first is not None and any(held.packet.pts is not None and held.packet.pts < first for held in interval)
