"""Looks into what is not decoded otherwise, for whoever decides about it: by a decoder of its own, and cheaply."""

from collections.abc import Iterable, Sequence

import av
import numpy as np
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from xclip_stream.sources.blocks import GRID_PX, Grey
from xclip_stream.sources.decoding import Packet
from xclip_stream.sources.idle_watch import IdleWatch


class SmallPictures:
    """Makes small grey pictures of frames; one for each camera, since it keeps what it needs for frames of a size."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def of(self, frame: av.VideoFrame) -> Grey:
        width, height = GRID_PX
        # One thread, for the reason that `upright` gives.
        small = self._reformatter.reformat(
            frame, width=width, height=height, format="gray", interpolation="AREA", threads=1
        )
        return np.array(small.to_ndarray(), np.uint8)


class Scout:
    """Shows a watch pictures of idle intervals, one after the other. No frame leaves it."""

    def __init__(self, small: SmallPictures) -> None:
        self._small = small
        self._decoder: VideoCodecContext | None = None
        self._taken = 0
        self._latest: tuple[av.VideoFrame, float] | None = None
        """The last frame that came out, where the watch has not seen it."""

    @property
    def taken(self) -> int:
        """How many packets of this interval it has decoded."""
        return self._taken

    def begin_interval(self) -> None:
        """Let go of the interval before; the next packet is a key frame."""
        if self._taken and self._decoder is not None:
            self._decoder.flush_buffers()
        self._taken, self._latest = 0, None

    def look_at(self, watch: IdleWatch, key: Packet, at_s: float) -> None:
        """Show the key frame that ends an interval."""
        self.begin_interval()
        self._taken = 1
        try:
            frames = [*self._decode(key), *self._decode(None)]
        except (FFmpegError, ValueError):
            self._decoder = None
            frames = []
        good = [frame for frame in frames if not frame.is_corrupt]
        watch.look(self._small.of(good[-1]) if good else None, at_s)

    def look_through(self, watch: IdleWatch, packets: Sequence[tuple[Packet, float]], *, is_over: bool) -> None:
        """Show what comes out of the next packets of an interval, until the watch has seen enough to wake.

        Args:
            packets: those that follow the ones taken before, each with its media time in seconds.
            is_over: whether they are the last ones, so that what the decoder holds back comes out too.
        """
        at_s = packets[-1][1] if packets else 0.0
        try:
            for packet, at_s in packets:
                self._taken += 1
                self._show(watch, self._decode(packet), at_s)
                if watch.must_wake:
                    return
            if is_over:
                self._show(watch, self._decode(None), at_s)
        except (FFmpegError, ValueError):
            self._decoder = None
            watch.look_through(None, at_s)
            return
        # What made it look has only just begun: the last picture counts, whenever the one before was.
        if self._latest is not None:
            watch.look_through(self._small.of(self._latest[0]), self._latest[1])
            self._latest = None

    def _show(self, watch: IdleWatch, frames: Iterable[av.VideoFrame], at_s: float) -> None:
        for frame in frames:
            if frame.is_corrupt:
                watch.look_through(None, at_s)
            elif watch.wants_picture(at_s):
                watch.look_through(self._small.of(frame), at_s)
                self._latest = None
            else:
                self._latest = frame, at_s

    def _decode(self, packet: "Packet | None") -> Iterable[av.VideoFrame]:
        if self._decoder is None:
            if packet is None:
                return []
            self._decoder = _cheap_decoder(packet)
        return self._decoder.decode(packet)


def _cheap_decoder(packet: Packet) -> VideoCodecContext:
    context = packet.stream.codec_context
    decoder = CodecContext.create(context.name, "r")
    if not isinstance(decoder, VideoCodecContext):
        raise ValueError("no decoder for video")
    decoder.extradata = context.extradata
    decoder.thread_count = 1
    # What it smooths does not show in a small picture, and is a quarter of the work.
    decoder.options = {"skip_loop_filter": "all"}
    return decoder
