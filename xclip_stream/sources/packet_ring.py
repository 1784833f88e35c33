"""The last packets of a camera, so that a clip can begin before anybody knew that there would be one."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import dropwhile

from av.error import FFmpegError
from av.video.stream import VideoStream

from xclip_stream.sources.capture_clock import CaptureClock
from xclip_stream.sources.decoding import Packet
from xclip_stream.sources.encoded import TELLING_SIZE, TICK, EncodedPacket, Head, head_of, resized
from xclip_stream.sources.nal_units import length_bytes, sequence_sets
from xclip_stream.sources.timeline import Timeline, seconds_of

Numbered = tuple[int, EncodedPacket]


class PacketRing:
    """Holds what came in the last `span_s`, and the rest of the key frame interval before; never more than `max_bytes`.

    It begins with a key frame, always. One thread adds and others read; each packet has a number, one more than that of
    the packet before.
    """

    def __init__(self, *, span_s: float, max_bytes: int) -> None:
        self._span_s = span_s
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._packets: deque[Numbered] = deque()
        self._keys: deque[float] = deque()
        """The times of the key frames that are held."""
        self._bytes = 0
        self._next_number = 0

    @property
    def num_bytes(self) -> int:
        """What the packets take."""
        return self._bytes

    def add(self, packet: EncodedPacket) -> None:
        with self._lock:
            if packet.is_key:
                self._keys.append(packet.at)
            elif not self._packets:
                return
            self._packets.append((self._next_number, packet))
            self._next_number += 1
            self._bytes += len(packet.data)
            while self._packets and (self._bytes > self._max_bytes or self._first_is_old(packet.at)):
                self._drop_first_interval()

    def since(self, at: float) -> list[Numbered]:
        """Return the packets from the last key frame at or before `at` on, or all where there is none so old."""
        with self._lock:
            found = list(self._packets)
        starts = [i for i, (_, packet) in enumerate(found) if packet.is_key and packet.at <= at]
        return found[starts[-1] if starts else 0 :]

    def after(self, number: int) -> list[Numbered]:
        """Return the packets after this one; where some of them are gone, from the first key frame that is left."""
        with self._lock:
            if not self._packets or self._packets[-1][0] <= number:
                return []
            return list(dropwhile(lambda numbered: numbered[0] <= number, self._packets))

    def _first_is_old(self, now: float) -> bool:
        return len(self._keys) > 1 and (now - self._keys[1] > self._span_s or self._keys[0] > now)

    def _drop_first_interval(self) -> None:
        """Drop the first key frame and all up to the next one."""
        self._keys.popleft()
        while self._packets:
            _, packet = self._packets.popleft()
            self._bytes -= len(packet.data)
            if self._packets and self._packets[0][1].is_key:
                return


class PacketTap:
    """Gives the packets of a camera to a ring, with their event time, in the thread that reads them.

    Args:
        now: Unix seconds.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        ring: PacketRing,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring = ring
        self._now = now
        self._monotonic = monotonic
        self._clock = CaptureClock()
        self._timeline: Timeline | None = None
        self._arrived_at: float | None = None
        self._head: Head | None = None
        self._knows_head = False
        self._sets = b""

    def reconnect(self, *, in_segments: bool = False) -> None:
        """Note that the next packet comes from a new connection; the argument is that of `CaptureClock`."""
        if self._timeline is not None and self._arrived_at is not None:
            self._timeline.reconnect(self._monotonic() - self._arrived_at)
        self._clock.reconnect(in_segments=in_segments)
        self._knows_head = False

    def add(self, packet: Packet) -> None:
        """Keep a packet, once there was a key frame to begin with."""
        if not packet.size:
            return
        self._arrived_at = self._monotonic()
        timeline = self._timeline = self._timeline or Timeline(frame_s=_frame_s(packet.stream))
        stamp = packet.pts if packet.dts is None else packet.dts
        pts_s = timeline.place(stamp, None, packet.time_base or TICK)
        media_s = timeline.last_s if pts_s is None else pts_s
        at = self._clock.stamp(media_s, now=self._now(), monotonic=self._arrived_at)
        data = bytes(packet)
        if packet.is_keyframe:
            self._learn_head(packet.stream, data)
        if self._knows_head and self._head is not None:
            self._ring.add(EncodedPacket(at, media_s, shown_after_s(packet), packet.is_keyframe, data, self._head))

    def _learn_head(self, stream: VideoStream, key_frame: bytes) -> None:
        if self._knows_head and self._head is not None:
            self._note_size(self._head, key_frame)
            return
        try:
            head = head_of(stream, key_frame)
        except FFmpegError:
            return  # its size is not known yet; the next key frame is another try
        self._head = self._head if self._head == head else head
        self._knows_head = True
        self._sets = _sets_in(head, key_frame)

    def _note_size(self, head: Head, key_frame: bytes) -> None:
        """Follow a camera that goes on in another size without a new connection."""
        sets = _sets_in(head, key_frame)
        if not sets or sets == self._sets:
            return
        self._sets = sets
        with suppress(FFmpegError):
            self._head = resized(head, key_frame)


def _sets_in(head: Head, key_frame: bytes) -> bytes:
    """Return what says the size in a key frame; b"" where it does not, or stands beside the stream."""
    if head.codec not in TELLING_SIZE or length_bytes(head.codec, head.extradata):
        return b""
    return sequence_sets(head.codec, key_frame)


def _frame_s(stream: VideoStream) -> float:
    rate = float(stream.average_rate or 0.0)
    return 1.0 / rate if 0.1 <= rate <= 240.0 else 1.0 / 25.0


def shown_after_s(packet: Packet) -> float:
    """Return how long after its decoding a packet is shown."""
    if packet.pts is None or packet.dts is None:
        return 0.0
    return seconds_of(packet.pts - packet.dts, packet.time_base or TICK)
