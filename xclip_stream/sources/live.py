"""Cameras: RTSP, video over HTTP, and what is plugged into this machine."""

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from av.error import ExitError, FFmpegError, InvalidDataError

from xclip_stream.errors import SourceUnavailable
from xclip_stream.heap import trim_heap
from xclip_stream.redaction import redact_url
from xclip_stream.sources.blocks import watched_blocks
from xclip_stream.sources.camera_opening import open_camera
from xclip_stream.sources.capture_clock import CaptureClock
from xclip_stream.sources.damage import Damage
from xclip_stream.sources.decoding import AvFrame, KeptFrame, OpenVideo, Packet, StillFrame, View, decoded
from xclip_stream.sources.idle_watch import SETTINGS, IdleWatch
from xclip_stream.sources.packet_ring import PacketTap
from xclip_stream.sources.timeline import Timeline
from xclip_stream.sources.watched_decoding import Arrival, Shown, WatchedDecoder
from xclip_stream.types import HwAccel, IdleMode, Idling

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
        hwaccel: what decodes it, where that is possible.
        idle: whether, and how boldly, the camera is watched without decoding it while nothing moves. Its frames then
            come at most a key frame interval late, and show what was decoded last.
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
        hwaccel: HwAccel | None = None,
        idle: IdleMode = "off",
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
        self._hwaccel = hwaccel
        self._now = now
        self._monotonic = monotonic
        self._video: OpenVideo | None = None
        self._timeline: Timeline | None = None
        self._capture_clock = CaptureClock()
        self._damage = Damage()
        self._next_index = 0
        self._still_frames = 0
        self._frame_at: float | None = None
        self._is_new_connection = True
        self._watch = None if idle == "off" else _watch(idle, view)

    @property
    def video(self) -> OpenVideo:
        """The open container; there is one inside the `with` block only."""
        if self._video is None:
            raise RuntimeError("a source is read inside its `with` block")
        return self._video

    @property
    def damage(self) -> Sequence[str]:
        return self._damage.lines()

    @property
    def idling(self) -> Idling | None:
        return None if self._watch is None else Idling(self._watch.state, self._still_frames)

    def __enter__(self) -> Self:
        self._video = open_camera(
            self._url,
            transport=self._transport,
            open_timeout_s=self._open_timeout_s,
            read_timeout_s=self._read_timeout_s,
            hwaccel=self._hwaccel,
        )
        self._is_new_connection = True
        if self._tap is not None:
            self._tap.reconnect(in_segments=self._video.in_segments)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None
            trim_heap()

    def __iter__(self) -> Iterator[AvFrame | StillFrame]:
        video = self.video
        timeline = self._timeline = self._timeline or Timeline(frame_s=video.frame_s)
        last: AvFrame | None = None
        kept: KeptFrame | None = None
        for shown in self._moments(video, timeline):
            arrived = shown.arrived
            if self._is_new_connection:
                self._reconnected(video, timeline, arrived.monotonic)
            self._frame_at = arrived.monotonic
            self._next_index += 1
            pts_s = timeline.place(shown.pts, shown.dts, shown.time_base or video.time_base)
            if pts_s is None:
                self._damage.note("late frame left out", at_s=timeline.last_s)
                continue
            captured_at = self._capture_clock.stamp(pts_s, now=arrived.now, monotonic=arrived.monotonic)
            index = self._next_index - 1
            if shown.frame is not None:
                last, kept = AvFrame(index, pts_s, captured_at, decoded(shown.frame), self._view), None
                yield last
            elif last is not None:
                kept = kept or KeptFrame(last)
                self._still_frames += 1
                yield StillFrame(index, pts_s, captured_at, kept)
        raise SourceUnavailable(f"{self._shown}: the stream ended")

    def _moments(self, video: OpenVideo, timeline: Timeline) -> Iterator[Shown]:
        def note(what: str) -> None:
            self._damage.note(what, at_s=timeline.last_s)

        if self._watch is not None:
            self._watch.reconnect()
        decoder = WatchedDecoder(watch=self._watch, note=note)
        waiting_since = self._monotonic()
        try:
            for packet in self._packets(video, note):
                if self._tap is not None:
                    self._tap.add(packet)
                now = self._monotonic()
                if now - waiting_since > PICTURELESS_S:
                    raise SourceUnavailable(f"{self._shown}: sends data, but no picture for {PICTURELESS_S:.0f} s")
                for shown in decoder.take(packet, Arrival(self._now(), now)):
                    yield shown
                    waiting_since = self._monotonic()
        except (TimeoutError, ExitError):
            yield from decoder.finish()
            raise self._silent() from None
        except FFmpegError as error:
            reason = error.strerror
            yield from decoder.finish()
            raise SourceUnavailable(f"{self._shown}: the connection broke ({reason})") from None
        yield from decoder.finish()

    def _packets(self, video: OpenVideo, note: Callable[[str], None]) -> Iterator[Packet]:
        """Yield packets that come in time.

        Raises:
            TimeoutError: one came late. At its first timeout FFmpeg gives the frame that it holds back, and is silent
                for as long again.
        """
        asked_at = self._monotonic()
        for packet in video.packets(
            note=note, is_fatal=lambda error: not isinstance(error, InvalidDataError), clock=self._monotonic
        ):
            if self._monotonic() - asked_at > _NEARLY * self._read_timeout_s:
                raise TimeoutError
            yield packet
            asked_at = self._monotonic()

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
            for packet in self._packets(self._video, lambda _: None):
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

    def _reconnected(self, video: OpenVideo, timeline: Timeline, arrived_at: float) -> None:
        """Let time go on by as much as passed since the last frame of the connection before, if there was one."""
        if self._frame_at is not None:
            timeline.reconnect(arrived_at - self._frame_at)
        self._capture_clock.reconnect(in_segments=video.in_segments)
        self._is_new_connection = False


def _watch(mode: IdleMode, view: View) -> IdleWatch:
    counts = watched_blocks([(region.x0, region.y0, region.x1, region.y1) for region in view.regions], view.masks)
    return IdleWatch(SETTINGS[mode], counts=counts)
