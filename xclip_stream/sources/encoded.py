"""Encoded video outside of its container: packets as plain bytes, and what a decoder or a writer has to know of them.

PyAV's own packets belong to the container and the thread that read them; these may go to any thread.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.stream import Stream
from av.video.stream import VideoStream

TICK = Fraction(1, 90_000)
"""The unit of time stamps in what is written; also that of MPEG and RTP."""


@dataclass(frozen=True, slots=True)
class Head:
    """How a run of packets is coded. Two are equal when one clip can hold the packets of both.

    `body` is a small file in the NUT format with the first key frame: what is opened of it is a stream like the one
    that was read, with its parameters untouched, for whoever needs one.
    """

    codec: str
    width: int
    height: int
    extradata: bytes
    body: bytes = field(repr=False, compare=False)
    rotation: int = 0
    """Degrees counter-clockwise by which its container says that pictures have to be turned. `body` does not say it."""


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One packet. `at` is the event time of its decoding, `shown_after_s` how long after that it is shown."""

    at: float
    shown_after_s: float
    is_key: bool
    data: bytes = field(repr=False)
    head: Head = field(repr=False)

    @property
    def shown_at(self) -> float:
        """The event time at which it is shown."""
        return self.at + self.shown_after_s

    def packet(self, *, dts: int) -> "av.Packet[Stream]":
        """Return a new packet of PyAV that is decoded at `dts`, in ticks."""
        made: av.Packet[Stream] = av.Packet(self.data)
        made.time_base = TICK
        made.dts = dts
        made.pts = dts + max(0, round(self.shown_after_s / TICK))
        made.is_keyframe = self.is_key
        return made


def head_of(stream: VideoStream, key_frame: bytes, *, rotation: int = 0) -> Head:
    """Return how the packets of a stream are coded. To be called in the thread that reads it.

    Raises:
        ValueError, FFmpegError: only its own container can hold it.
    """
    context = stream.codec_context
    if context.name == "rawvideo":
        raise ValueError("NUT takes bare pixels, and gives them back as of another kind")
    body = io.BytesIO()
    with av.open(body, "w", format="nut") as container:
        copy = container.add_stream_from_template(stream, opaque=True)
        packet: av.Packet[Stream] = av.Packet(key_frame)
        packet.time_base, packet.pts, packet.dts, packet.is_keyframe = TICK, 0, 0, True
        packet.stream = copy
        container.mux(packet)
    name, extradata = context.codec.canonical_name, context.extradata or b""
    return Head(name, context.width, context.height, extradata, body.getvalue(), rotation)


@contextmanager
def stream_like(head: Head) -> Iterator[VideoStream]:
    """Yield a stream that is coded as `head` says: a template for a writer, and with a decoder of its own."""
    container = av.open(io.BytesIO(head.body), format="nut")
    with container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        yield stream
