"""Encoded video outside of its container: packets as plain bytes, and what a decoder or a writer has to know of them.

PyAV's own packets belong to the container and the thread that read them; these may go to any thread.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

TICK = Fraction(1, 90_000)
"""The unit of time stamps in what is written; also that of MPEG and RTP."""
REMUXED = frozenset({"h264", "hevc", "av1", "vp9"})
"""What browsers play from an MP4, and a clip holds as it came."""

TELLING_SIZE = frozenset({"h264", "hevc"})
"""What says its size in the stream, and can be read without a container; both by FFmpeg's name of the format."""


@dataclass(frozen=True, slots=True)
class Head:
    """How a run of packets is coded. Two are equal when one clip can hold the packets of both."""

    codec: str
    decoder: str
    """FFmpeg's name of what decodes it, which is not always that of the codec."""
    width: int
    height: int
    extradata: bytes
    tag: str = ""
    """The four letters by which containers tell one way of a codec from another."""
    pixel_format: str | None = field(default=None, compare=False)
    bits: int = 0
    """Of a pixel, where its container says it."""
    has_times: bool = True
    """Whether it is known when packets are shown, and not only when they are decoded."""
    rotation: int = 0
    """Degrees counter-clockwise by which its container says that pictures have to be turned."""
    template: bytes = field(default=b"", repr=False, compare=False)
    """A small file in the NUT format with the first key frame, where packets can be written to a clip as they are. What
    is opened of it is a stream like the one that was read, with its parameters untouched."""


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One packet. `at` is the event time of its decoding, `shown_after_s` how long after that it is shown.

    `media_s` is the media time of its decoding. It tells of missing packets; event time jumps also where some are late.
    """

    at: float
    media_s: float
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
        made.pts = dts + max(0, round(self.shown_after_s / TICK)) if self.head.has_times else None
        made.is_keyframe = self.is_key
        return made


def head_of(stream: VideoStream, key_frame: bytes, *, has_times: bool = True, rotation: int = 0) -> Head:
    """Return how the packets of a stream are coded. To be called in the thread that reads it.

    Raises:
        FFmpegError: its size is not known yet.
    """
    context = stream.codec_context
    head = Head(
        codec=context.codec.canonical_name,
        decoder=context.name,
        width=context.width,
        height=context.height,
        extradata=context.extradata or b"",
        tag=_tag(context),
        pixel_format=context.pix_fmt,
        bits=context.bits_per_coded_sample,
        has_times=has_times,
        rotation=rotation,
    )
    if head.codec not in REMUXED:
        return head
    try:
        return replace(head, template=_template(stream, key_frame))
    except FFmpegError:
        if head.codec not in TELLING_SIZE:
            raise
        return _as_told_by(key_frame, head)


def resized(head: Head, key_frame: bytes) -> Head:
    """Return how packets are coded from a key frame on that has other parameter sets: as before, or in another size.

    Raises:
        FFmpegError: its size cannot be told.
    """
    told = _as_told_by(key_frame, replace(head, extradata=b""))
    return head if (told.width, told.height) == (head.width, head.height) else told


def shown_ticks(frame: av.VideoFrame) -> int | None:
    """Return when a frame is shown, in the unit of its packets; None where nothing tells it."""
    # Without times a decoder still says with which packet a frame came out, but of the last ones.
    return frame.dts if frame.pts is None else frame.pts


def decoder_of(head: Head) -> VideoCodecContext:
    """Return a new decoder of packets that are coded so."""
    decoder = CodecContext.create(head.decoder, "r")
    if not isinstance(decoder, VideoCodecContext):
        raise TypeError(f"{head.decoder} decodes no video")
    decoder.thread_count = 1
    decoder.width, decoder.height = head.width, head.height
    decoder.bits_per_coded_sample = head.bits
    if head.extradata:
        decoder.extradata = head.extradata
    if head.tag:
        decoder.codec_tag = head.tag
    if head.pixel_format:
        decoder.pix_fmt = head.pixel_format
    return decoder


@contextmanager
def stream_like(head: Head) -> Iterator[VideoStream]:
    """Yield a stream that is coded as `head` says: a template for a writer."""
    with av.open(io.BytesIO(head.template), format="nut") as container:
        yield container.streams.video[0]


def _as_told_by(key_frame: bytes, head: Head) -> Head:
    """Return the head of a stream that was opened before a key frame came, and so without its size, which stays so."""
    with av.open(io.BytesIO(head.extradata + key_frame), format=head.codec) as bare:
        stream = bare.streams.video[0]
        context = stream.codec_context
        return replace(
            head,
            width=context.width,
            height=context.height,
            extradata=head.extradata or context.extradata or b"",
            template=_template(stream, key_frame),
        )


def _tag(context: VideoCodecContext) -> str:
    try:
        return context.codec_tag.strip("\0") and context.codec_tag
    except UnicodeDecodeError:  # some are numbers
        return ""


def _template(stream: VideoStream, key_frame: bytes) -> bytes:
    body = io.BytesIO()
    with av.open(body, "w", format="nut") as container:
        copy = container.add_stream_from_template(stream, opaque=True)
        packet: av.Packet[Stream] = av.Packet(key_frame)
        packet.time_base, packet.pts, packet.dts, packet.is_keyframe = TICK, 0, 0, True
        packet.stream = copy
        container.mux(packet)
    return body.getvalue()
