"""How a camera of each kind is opened, and what it means when it cannot be."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

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

from xclip_stream.device_url import DEVICE_SCHEME, DeviceUrl, is_device_path
from xclip_stream.errors import LoginRejected, NoSuchAddress, SourceError, SourceRejected, SourceUnavailable
from xclip_stream.network_url import CAMERA_SCHEMES
from xclip_stream.redaction import redact_url
from xclip_stream.sources.decoding import OpenVideo, open_video
from xclip_stream.types import HwAccel

LIVE_SCHEMES = (*CAMERA_SCHEMES, DEVICE_SCHEME)

_RTSP_PROTOCOLS = "rtsp,rtsps,rtp,srtp,tcp,udp,tls,crypto"
# Without "file", so that a playlist from the network cannot name a file of this machine.
_HTTP_PROTOCOLS = "http,https,tcp,tls,crypto"
_HTTP_FORMATS = (
    "asf,flv,h264,hevc,hls,ivf,matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mpjpeg,nut,ogg"
)

_ANALYSE_US = 200_000
"""How much of a stream FFmpeg may look at before it gives the first frame: what it looks at comes late."""
_FLV_PROBE_BYTES = 65_536
"""The same of FLV, which does not say beforehand which streams it has: FFmpeg would wait for others, and without a rate
knows only after thirty frames how long that took. So much has sound in it that comes first, and a key frame or some."""

# What opening a camera may end in, first match first; all else is SourceUnavailable.
_FAILURES: tuple[tuple[type[Exception], type[SourceError], str], ...] = (
    (HTTPUnauthorizedError, LoginRejected, "wrong user or password"),
    (HTTPForbiddenError, LoginRejected, "wrong user or password"),
    (HTTPNotFoundError, SourceRejected, "no such stream there (404); check the path of the URL"),
    (HTTPClientError, SourceRejected, "the camera refuses the request; is there video at this path?"),
    (ProtocolNotFoundError, SourceRejected, "this protocol is not supported"),
    (DecoderNotFoundError, SourceRejected, "there is no decoder for its video"),
    (ConnectionRefusedError, SourceUnavailable, "connection refused; is the camera on, and the port right?"),
    (TimeoutError, SourceUnavailable, "no answer"),
    (ExitError, SourceUnavailable, "no answer"),
    (InvalidDataError, SourceUnavailable, "sends no video that can be read"),
)

_NOT_THERE = (SourceUnavailable, "is not there; is the camera plugged in?")
_NO_RIGHT = (SourceRejected, "this user may not read it; add the user to its group, mostly `video`")
_NO_CAMERA = (SourceRejected, "is not a camera")

# The same for what is plugged into this machine, by the number of the error.
_DEVICE_FAILURES: Mapping[int | None, tuple[type[SourceError], str]] = {
    errno.ENOENT: _NOT_THERE,
    errno.ENODEV: _NOT_THERE,
    errno.ENXIO: _NOT_THERE,
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.ENOTTY: _NO_CAMERA,
    errno.EISDIR: _NO_CAMERA,
    errno.EBUSY: (SourceUnavailable, "is in use by another program"),
    errno.EINVAL: (
        SourceRejected,
        # A camera has mostly two devices, of which one gives no pictures but what belongs to them.
        "gives no pictures as they are asked for; leave out size, fps and format, or try its other device",
    ),
}


def is_camera_url(url: str) -> bool:
    """Return whether `url` is read as a camera."""
    scheme, separator, _ = url.partition("://")
    return is_device_path(url) or (bool(separator) and scheme.lower() in LIVE_SCHEMES)


def open_camera(
    url: str, *, transport: str, open_timeout_s: float, read_timeout_s: float, hwaccel: HwAccel | None = None
) -> OpenVideo:
    """Open a camera.

    Args:
        url: rtsp, rtsps, http, https or v4l2; or the path of a device.
        transport: of RTSP, "tcp" or "udp".
        open_timeout_s: how long connecting may take.
        read_timeout_s: how long a connected camera may be silent.
        hwaccel: what decodes it, where that is possible.

    Raises:
        SourceError: it cannot be opened; the message does not carry the password.
    """
    shown = redact_url(url)
    address = _address(url, transport=transport, silence_s=max(open_timeout_s, read_timeout_s))
    try:
        return open_video(
            address.target,
            options=address.options,
            shown=shown,
            input_format=address.input_format,
            timeouts_s=(open_timeout_s, read_timeout_s),
            hwaccel=hwaccel,
        )
    except FFmpegError as error:
        # The driver's own text carries the password.
        verdict, reason = _device_failure(error) if address.input_format == DEVICE_SCHEME else _failure(error)
        raise verdict(f"{shown}: {reason}") from None


@dataclass(frozen=True, slots=True)
class _Address:
    """A camera in FFmpeg's terms."""

    target: str = field(repr=False)
    options: Mapping[str, str]
    input_format: str | None = None


def _address(url: str, *, transport: str, silence_s: float) -> _Address:
    """Return how a camera is opened; the connection ends after `silence_s`, if nobody ends it before."""
    scheme = urlsplit(url).scheme.lower()
    if scheme == DEVICE_SCHEME or is_device_path(url):
        return _device_address(url)
    url = scheme + url[len(scheme) :]  # FFmpeg knows its protocols in small letters only
    # Of a camera that does not say its rate FFmpeg would hold back twenty frames to guess it: at night, four seconds.
    options = {"analyzeduration": str(_ANALYSE_US), "fpsprobesize": "0"}
    timeout_us = str(int(silence_s * 1e6))
    if scheme in {"rtsp", "rtsps"}:
        options |= {
            "protocol_whitelist": _RTSP_PROTOCOLS,
            "rtsp_transport": transport,
            "allowed_media_types": "video",
            # In microseconds. Its old name, "stimeout", would be ignored without a word, and opening could hang.
            "timeout": timeout_us,
        }
        return _Address(url, options, "rtsp")
    options |= {
        "protocol_whitelist": _HTTP_PROTOCOLS,
        "format_whitelist": _HTTP_FORMATS,
        "rw_timeout": timeout_us,
    }
    if urlsplit(url).path.lower().endswith("flv"):
        options["probesize"] = str(_FLV_PROBE_BYTES)
    return _Address(url, options)


def _device_address(url: str) -> _Address:
    try:
        device = DeviceUrl.parse(url)
    except ValueError as error:
        raise NoSuchAddress(f"{url}: {error}") from None
    wanted = {"video_size": device.size, "framerate": device.fps, "input_format": device.format}
    return _Address(device.path, {name: value for name, value in wanted.items() if value is not None}, DEVICE_SCHEME)


def _failure(error: FFmpegError) -> tuple[type[SourceError], str]:
    for cause, verdict, reason in _FAILURES:
        if isinstance(error, cause):
            return verdict, reason
    return SourceUnavailable, f"cannot be reached ({error.strerror})"


def _device_failure(error: FFmpegError) -> tuple[type[SourceError], str]:
    return _DEVICE_FAILURES.get(error.errno, (SourceUnavailable, f"cannot be opened ({error.strerror})"))
