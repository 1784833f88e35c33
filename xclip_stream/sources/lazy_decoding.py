"""Decodes of a file only the frames that somebody asks for, and those that they are made of.

A window shows a frame every half second. What comes between the last of them and the next key frame is decoded for
nothing, and so are pictures in between that no other refers to. What is shown is the same to the bit.

The packets from one key frame to the next are a group. Where a group is well formed and refers to nothing before it,
its moments are told from the time stamps of its packets, and a frame is decoded when it is asked for. Any other is
decoded as it comes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

from xclip_stream.sources.decoding import Packet, decoded
from xclip_stream.sources.packet_kinds import PacketKinds

_MAX_GROUP_BYTES, _MAX_GROUP_PACKETS = 32 * 1024 * 1024, 500
"""A longer group is decoded as it comes: its packets take memory, and who waits for its last frame waits for all."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame of the file, in the order in which they are shown.

    `decode` returns it. That is possible until the next moment is taken.
    """

    pts: int | None
    dts: int | None
    time_base: Fraction | None
    decode: Callable[[], av.VideoFrame]


class LazyDecoder:
    """Turns the packets of one video into moments.

    Args:
        keeps_times: whether packets have the times at which their frames are shown.
        note: told of each piece of damage that is met.
    """

    def __init__(self, stream: VideoStream, *, keeps_times: bool, note: Callable[[str], None]) -> None:
        self._codec = stream.codec_context
        self._keeps_times = keeps_times
        self._kinds = PacketKinds(self._codec.name, self._codec.extradata or b"")
        self._note = note
        self._last: av.VideoFrame | None = None
        self._group: _Group | None = None
        """The last one, where it was decoded on demand. Of any other the decoder may hold frames back to be shown."""
        self.decoded = 0
        """How many packets the decoder was given so far."""

    def moments(self, packets: Iterable[Packet]) -> Iterator[Moment]:
        """Yield a moment for each frame that can be decoded, and for each that perhaps could but is not asked for.

        Raises:
            FFmpegError: `packets` has; what came before it was yielded.
        """
        for packets_, is_whole in _groups(packets):
            group = self._well_formed(packets_) if is_whole and self._keeps_times else None
            if group is None:
                yield from self._as_they_come(packets_)
            else:
                yield from self._held_back()
                yield from self._on_demand(group)
        yield from self._held_back()

    def _well_formed(self, packets: Sequence[Packet]) -> "_Group | None":
        """Return the group of which frames can be decoded on demand."""
        found: list[_Coded] = []
        for packet in packets:
            kind = None if packet.is_corrupt or packet.is_discard else self._kinds.read(bytes(packet))
            if kind is None or packet.pts is None or not (found or kind.restarts):
                return None
            found.append(_Coded(packet, packet.pts, kind.is_referred_to))
        group = _Group(found, self._decode)
        is_clear = group.shown[0] is found[0] and all(one.pts < other.pts for one, other in pairwise(group.shown))
        return group if is_clear else None

    def _on_demand(self, group: "_Group") -> Iterator[Moment]:
        self._group = group
        group.begin()
        first = self._last or group.frame(group.first_pts)
        if first is None:
            return  # nothing that could be shown has come yet
        last: av.VideoFrame = first

        def show(pts: int) -> av.VideoFrame:
            """Return the frame that is shown at `pts`; where it is lost the one behind it, or else the one before."""
            nonlocal last
            last = group.frame(pts) or last
            return last

        # Decoded, a frame would come out with the stamp of a packet at its own place in the order of decoding.
        for coded, at_its_place in zip(group.shown, group.packets, strict=True):
            if group.has_lost(coded.pts):
                continue
            yield Moment(coded.pts, at_its_place.packet.dts, coded.packet.time_base, partial(show, coded.pts))
        self._last = last

    def _as_they_come(self, packets: Sequence[Packet]) -> Iterator[Moment]:
        known = range(0)
        """The times of frames that may still come out of the group before, whose moments are over: in order, first."""
        if self._group is not None:
            if self._group.is_drained:
                self._codec.flush_buffers()
            self._group.complete()  # it may be referred to
            known = range(self._group.first_pts, self._group.last_pts + 1)
            self._group = None
        for packet in packets:
            for frame in self._decode(packet):
                if frame.pts is not None and frame.pts in known:
                    known = range(frame.pts + 1, known.stop)
                else:
                    known = range(0)
                    yield self._moment(frame)

    def _held_back(self) -> Iterator[Moment]:
        """Yield the frames that the decoder holds back, and make it ready for another group."""
        if self._group is None:
            yield from map(self._moment, self._decode(None))
        self._codec.flush_buffers()

    def _moment(self, frame: av.VideoFrame) -> Moment:
        self._last = frame
        return Moment(frame.pts, frame.dts, frame.time_base, decoded(frame))

    def _decode(self, packet: "Packet | None") -> list[av.VideoFrame]:
        self.decoded += packet is not None
        try:
            frames = self._codec.decode(packet)
        except FFmpegError:
            self._note("packet that cannot be decoded")
            return []
        for frame in frames:
            if frame.is_corrupt:
                self._note("frame decoded with errors")
        return frames


@dataclass(frozen=True, slots=True)
class _Coded:
    packet: Packet
    pts: int
    is_referred_to: bool


class _Group:
    """The packets from one key frame to the next, decoded as far as frames were asked for."""

    def __init__(self, packets: Sequence[_Coded], decode: Callable[["Packet | None"], list[av.VideoFrame]]) -> None:
        self.packets = packets
        self.shown = sorted(packets, key=lambda coded: coded.pts)
        """The same in the order in which they are shown."""
        self._decode = decode
        self._taken = 0
        self.is_drained = False
        """Whether the decoder takes nothing more before it is flushed."""
        self._ready: deque[av.VideoFrame] = deque()

    @property
    def first_pts(self) -> int:
        return self.packets[0].pts

    @property
    def last_pts(self) -> int:
        return self.shown[-1].pts

    def begin(self) -> None:
        """Decode the key frame, since new parameters of the stream may come with it."""
        self._advance(self.first_pts)

    def frame(self, pts: int) -> av.VideoFrame | None:
        """Return the frame that is shown at `pts`, or if it is lost the next of the group; `pts` never goes back."""
        while True:
            while self._ready and (self._ready[0].pts or 0) < pts:
                self._ready.popleft()
            if self._ready:
                return self._ready[0]
            if not self._advance(pts):
                return None

    def has_lost(self, pts: int) -> bool:
        """Return whether it turned out that the frame at `pts`, behind the last one asked for, cannot be decoded."""
        come = [frame.pts for frame in self._ready if (frame.pts or 0) >= pts]
        return come[0] != pts if come else self.is_drained

    def complete(self) -> None:
        """Let the decoder have all of the group, so that the next one may refer to it."""
        for coded in self.packets if self.is_drained else self.packets[self._taken :]:
            self._decode(coded.packet)

    def _advance(self, pts: int) -> bool:
        """Take the next packet on the way to `pts`; False behind the last one."""
        if self._taken < len(self.packets):
            coded = self.packets[self._taken]
            self._taken += 1
            if coded.is_referred_to or coded.pts >= pts:
                self._ready += self._decode(coded.packet)
        elif not self.is_drained:
            self.is_drained = True
            self._ready += self._decode(None)
        else:
            return False
        return True


def _groups(packets: Iterable[Packet]) -> Iterator[tuple[list[Packet], bool]]:
    """Yield the packets from key frame to key frame, and whether they are all of their group."""
    group: list[Packet] = []
    num_bytes, is_whole = 0, True
    trouble: FFmpegError | None = None
    try:
        for packet in packets:
            if not packet.size:
                continue
            is_full = len(group) == _MAX_GROUP_PACKETS or num_bytes + packet.size > _MAX_GROUP_BYTES
            if group and (packet.is_keyframe or is_full):
                yield group, is_whole and packet.is_keyframe
                group, num_bytes, is_whole = [], 0, packet.is_keyframe
            group.append(packet)
            num_bytes += packet.size
    except FFmpegError as error:
        trouble = error
    if group:
        yield group, is_whole
    if trouble is not None:
        raise trouble
