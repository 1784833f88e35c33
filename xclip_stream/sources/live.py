"""Cameras: RTSP, video over HTTP, and what is plugged into this machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import av
from av.error import ExitError, FFmpegError, InvalidDataError

from xclip_stream.errors import SourceUnavailable
from xclip_stream.redaction import redact_url
from xclip_stream.sources.camera_opening import open_camera
from xclip_stream.sources.capture_clock import CaptureClock
from xclip_stream.sources.damage import Damage
from xclip_stream.sources.decoding import AvFrame, OpenVideo, Packet, View
from xclip_stream.sources.heap import trim_heap
from xclip_stream.sources.packet_ring import PacketTap
from xclip_stream.sources.timeline import Timeline

_NEARLY = 0.98
"""Two clocks measure the same silence."""
PICTURELESS_S = 20.0
"""Packets without one picture for this long mean that something is wrong; a key frame may take its time."""


class LiveSource:
    """A camera. Entering connects to it; leaving and entering again connects anew, and time goes on.

    The stream of a camera has no end: that it ended, fell silent or broke is a SourceUnavailable.

    Args:
        url: rtsp, rtsps, http, https or v4l2; user and password in it are used and never shown.
        view: what is kept of each frame.
        transport: of RTSP, "tcp" or "udp".
        open_timeout_s: how long connecting may take.
        read_timeout_s: how long a connected camera may be silent.
        tap: keeps the packets as they come.
    """

    live = True
    duration_s: float | None = None

    def __init__(
        self,
        url: str,
        *,
        view: View,
        transport: str = "tcp",
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 5.0,
        tap: PacketTap | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._shown = redact_url(url)
        self._view = view
        self._transport = transport
        self._open_timeout_s = open_timeout_s
        self._read_timeout_s = read_timeout_s
        self._tap = tap
        self._now = now
        self._monotonic = monotonic
        self._video: OpenVideo | None = None
        self._timeline: Timeline | None = None
        self._capture_clock = CaptureClock()
        self._damage = Damage()
        self._next_index = 0
        self._frame_at: float | None = None
        self._is_new_connection = True

    @property
    def video(self) -> OpenVideo:
        """The open container; there is one inside the `with` block only."""
        if self._video is None:
            raise RuntimeError("a source is read inside its `with` block")
        return self._video

    @property
    def damage(self) -> Sequence[str]:
        return self._damage.lines()

    def __enter__(self) -> Self:
        self._video = open_camera(
            self._url,
            transport=self._transport,
            open_timeout_s=self._open_timeout_s,
            read_timeout_s=self._read_timeout_s,
        )
        self._is_new_connection = True
        if self._tap is not None:
            self._tap.reconnect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None
            trim_heap()

    def __iter__(self) -> Iterator[AvFrame]:
        video = self.video
        timeline = self._timeline = self._timeline or Timeline(frame_s=video.frame_s)
        for frame in self._frames(video, timeline):
            arrived_at = self._monotonic()
            if self._is_new_connection:
                self._reconnected(timeline, arrived_at)
            self._frame_at = arrived_at
            self._next_index += 1
            pts_s = timeline.place(frame.pts, frame.dts, frame.time_base or video.time_base)
            if pts_s is None:
                self._damage.note("late frame left out", at_s=timeline.last_s)
                continue
            captured_at = self._capture_clock.stamp(pts_s, now=self._now(), monotonic=arrived_at)
            yield AvFrame(self._next_index - 1, pts_s, captured_at, frame, self._view)
        raise SourceUnavailable(f"{self._shown}: the stream ended")

    def _frames(self, video: OpenVideo, timeline: Timeline) -> Iterator[av.VideoFrame]:
        waiting_since = asked_at = self._monotonic()

        def check_for_pictures(packet: Packet) -> None:
            nonlocal asked_at
            if self._tap is not None:
                self._tap.add(packet)
            now = self._monotonic()
            # At its first timeout FFmpeg gives the frame that it holds back, and is silent for as long again.
            if now - asked_at > _NEARLY * self._read_timeout_s:
                raise self._silent()
            if now - waiting_since > PICTURELESS_S:
                raise SourceUnavailable(f"{self._shown}: sends data, but no picture for {PICTURELESS_S:.0f} s")
            asked_at = now

        frames = video.frames(
            note=lambda what: self._damage.note(what, at_s=timeline.last_s),
            on_packet=check_for_pictures,
            is_fatal=lambda error: not isinstance(error, InvalidDataError),
        )
        try:
            for frame in frames:
                yield frame
                waiting_since = asked_at = self._monotonic()
        except (TimeoutError, ExitError):
            raise self._silent() from None
        except FFmpegError as error:
            raise SourceUnavailable(f"{self._shown}: the connection broke ({error.strerror})") from None

    def record(self, stopping: Callable[[], bool], *, note_packet: Callable[[], None]) -> None:
        """Give the packets to the tap, without decoding them, until `stopping`; to be called instead of iterating.

        Args:
            note_packet: called after each packet.

        Raises:
            SourceUnavailable: the stream has ended, as it does when a camera is lost.
        """
        if self._video is None or self._tap is None:
            raise RuntimeError("a source is recorded inside its `with` block, and into a tap")
        try:
            for packet in self._video.packets(
                note=lambda _: None, is_fatal=lambda error: not isinstance(error, InvalidDataError)
            ):
                self._tap.add(packet)
                note_packet()
                if stopping():
                    return
        except (TimeoutError, ExitError):
            raise self._silent() from None
        except FFmpegError as error:
            raise SourceUnavailable(f"{self._shown}: the connection broke ({error.strerror})") from None
        raise SourceUnavailable(f"{self._shown}: the stream ended")

    def _silent(self) -> SourceUnavailable:
        """Return a new error: one kept in a variable would hold this frame, and with it the decoder, in a cycle."""
        return SourceUnavailable(f"{self._shown}: has been silent for {self._read_timeout_s:g} s")

    def _reconnected(self, timeline: Timeline, arrived_at: float) -> None:
        """Let time go on by as much as passed since the last frame of the connection before, if there was one."""
        if self._frame_at is not None:
            timeline.reconnect(arrived_at - self._frame_at)
        self._capture_clock.reconnect()
        self._is_new_connection = False
