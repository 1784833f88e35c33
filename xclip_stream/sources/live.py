"""Cameras: RTSP, and video over HTTP."""

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import av
from av.error import (
    DecoderNotFoundError,
    ExitError,
    FFmpegError,
    HTTPClientError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
    InvalidDataError,
    ProtocolNotFoundError,
)

from xclip_stream.errors import LoginRejected, SourceError, SourceRejected, SourceUnavailable
from xclip_stream.redaction import redact_url
from xclip_stream.sources.capture_clock import CaptureClock
from xclip_stream.sources.damage import Damage
from xclip_stream.sources.decoding import AvFrame, OpenVideo, View, open_video
from xclip_stream.sources.timeline import Timeline

_RTSP_PROTOCOLS = "rtsp,rtsps,rtp,srtp,tcp,udp,tls,crypto"
# Without "file", so that a playlist from the network cannot name a file of this machine.
_HTTP_PROTOCOLS = "http,https,tcp,tls,crypto"
_HTTP_FORMATS = (
    "asf,flv,h264,hevc,hls,ivf,matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mpjpeg,nut,ogg"
)

_ANALYSE_US = 200_000
"""How much of a stream FFmpeg may look at before it gives the first frame: what it looks at comes late."""
_NEARLY = 0.98
"""Two clocks measure the same silence."""
PICTURELESS_S = 20.0
"""Packets without one picture for this long mean that something is wrong; a key frame may take its time."""

# What opening a camera may end in, first match first; all else is SourceUnavailable.
_FAILURES: tuple[tuple[type[Exception], type[SourceError], str], ...] = (
    (HTTPUnauthorizedError, LoginRejected, "wrong user or password"),
    (HTTPForbiddenError, LoginRejected, "wrong user or password"),
    (HTTPNotFoundError, SourceRejected, "no such stream there (404); check the path of the URL"),
    (HTTPClientError, SourceRejected, "the camera refuses the request"),
    (ProtocolNotFoundError, SourceRejected, "this protocol is not supported"),
    (DecoderNotFoundError, SourceRejected, "there is no decoder for its video"),
    (ConnectionRefusedError, SourceUnavailable, "connection refused; is the camera on, and the port right?"),
    (TimeoutError, SourceUnavailable, "no answer"),
    (ExitError, SourceUnavailable, "no answer"),
    (InvalidDataError, SourceUnavailable, "sends no video that can be read"),
)


class LiveSource:
    """A camera. Entering connects to it; leaving and entering again connects anew, and time goes on.

    The stream of a camera has no end: that it ended, fell silent or broke is a SourceUnavailable.

    Args:
        url: rtsp, rtsps, http or https; user and password in it are used and never shown.
        view: what is kept of each frame.
        transport: of RTSP, "tcp" or "udp".
        open_timeout_s: how long connecting may take.
        read_timeout_s: how long a connected camera may be silent.
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
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._shown = redact_url(url)
        self._view = view
        self._transport = transport
        self._open_timeout_s = open_timeout_s
        self._read_timeout_s = read_timeout_s
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
        is_rtsp = urlsplit(self._url).scheme.lower() in {"rtsp", "rtsps"}
        try:
            self._video = open_video(
                self._url,
                options=self._rtsp_options() if is_rtsp else self._http_options(),
                shown=self._shown,
                input_format="rtsp" if is_rtsp else None,
                timeouts_s=(self._open_timeout_s, self._read_timeout_s),
            )
        except FFmpegError as error:
            raise _opening_failed(error, self._shown) from None
        self._is_new_connection = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.close()
            self._video = None

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

        def check_for_pictures() -> None:
            nonlocal asked_at
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

    def _silent(self) -> SourceUnavailable:
        """Return a new error: one kept in a variable would hold this frame, and with it the decoder, in a cycle."""
        return SourceUnavailable(f"{self._shown}: has been silent for {self._read_timeout_s:g} s")

    def _reconnected(self, timeline: Timeline, arrived_at: float) -> None:
        """Let time go on by as much as passed since the last frame of the connection before, if there was one."""
        if self._frame_at is not None:
            timeline.reconnect(arrived_at - self._frame_at)
        self._capture_clock.reconnect()
        self._is_new_connection = False

    def _rtsp_options(self) -> dict[str, str]:
        return {
            "protocol_whitelist": _RTSP_PROTOCOLS,
            "rtsp_transport": self._transport,
            "allowed_media_types": "video",
            "analyzeduration": str(_ANALYSE_US),
            # In microseconds. Its old name, "stimeout", would be ignored without a word, and opening could hang.
            "timeout": str(int(self._read_timeout_s * 1e6)),
        }

    def _http_options(self) -> dict[str, str]:
        return {
            "protocol_whitelist": _HTTP_PROTOCOLS,
            "format_whitelist": _HTTP_FORMATS,
            "analyzeduration": str(_ANALYSE_US),
            "rw_timeout": str(int(self._read_timeout_s * 1e6)),
        }


def _opening_failed(error: FFmpegError, shown: str) -> SourceError:
    """Say what is wrong in our words: the driver's text carries the password."""
    for cause, verdict, reason in _FAILURES:
        if isinstance(error, cause):
            return verdict(f"{shown}: {reason}")
    return SourceUnavailable(f"{shown}: cannot be reached ({error.strerror})")
