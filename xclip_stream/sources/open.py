"""From a URL or path to the source that reads it."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from xclip_stream.device_url import DEVICE_SCHEME
from xclip_stream.errors import NoSuchAddress
from xclip_stream.network_url import check_address, lacks_scheme
from xclip_stream.redaction import redact_url
from xclip_stream.sources.camera_opening import LIVE_SCHEMES, is_camera_url
from xclip_stream.sources.decoding import View
from xclip_stream.sources.files import FileSource
from xclip_stream.sources.live import LiveSource
from xclip_stream.sources.packet_ring import PacketTap
from xclip_stream.types import WHOLE_FRAME, Box, ClipGeometry, HwAccel, IdleMode, Region


def is_live_url(url: str) -> bool:
    """Return whether `url` is read as a camera; everything else is a file, or refused."""
    return is_camera_url(url)


def open_source(
    url: str,
    *,
    geometry: ClipGeometry,
    regions: Sequence[Region] = (Region(WHOLE_FRAME),),
    masks: Sequence[Box] = (),
    start_time: float = 0.0,
    transport: str = "tcp",
    open_timeout_s: float = 10.0,
    read_timeout_s: float = 5.0,
    tap: PacketTap | None = None,
    hwaccel: HwAccel | None = None,
    idle: IdleMode = "off",
) -> FileSource | LiveSource:
    """Return the source for `url`; nothing is opened before it is entered.

    Args:
        url: a path, a file:// URL, a camera's rtsp, rtsps, http or https URL, or a device such as /dev/video0.
        geometry: the pictures that the model wants.
        regions: the parts of each frame to give, in this order; by default the whole of it.
        masks: the parts of each frame that are blacked out before anything is done with it.
        start_time: of a file, event time of its first frame in Unix seconds.
        transport: of RTSP, "tcp" or "udp".
        open_timeout_s: how long connecting to a camera may take.
        read_timeout_s: how long a connected camera may be silent.
        tap: keeps the packets of a camera as they come.
        hwaccel: what decodes it, where that is possible.
        idle: of a camera, how boldly it is watched without decoding it while nothing moves.

    Raises:
        NoSuchAddress: no source has such a URL.
    """
    view = View(tuple(regions), geometry, tuple(masks))
    if is_live_url(url):
        _check_address(url)
        return LiveSource(
            url,
            view=view,
            transport=transport,
            open_timeout_s=open_timeout_s,
            read_timeout_s=read_timeout_s,
            tap=tap,
            hwaccel=hwaccel,
            idle=idle,
        )
    return FileSource(local_path(url), view=view, start_time=start_time, hwaccel=hwaccel)


def open_recording(
    url: str, *, tap: PacketTap, transport: str, open_timeout_s: float, read_timeout_s: float
) -> LiveSource:
    """Return the source of a camera's stream that is recorded and not decoded. The arguments are those above."""
    nothing = View((), ClipGeometry(num_frames=1, image_px=1))
    return LiveSource(
        url,
        view=nothing,
        transport=transport,
        open_timeout_s=open_timeout_s,
        read_timeout_s=read_timeout_s,
        tap=tap,
    )


def local_path(url: str) -> Path:
    """Return the path that `url` names, a plain path or a file:// URL.

    Raises:
        NoSuchAddress: it is a URL of another kind, or one that lacks its scheme.
    """
    scheme = _scheme(url)
    if scheme == "file":
        return Path(unquote(urlsplit(url).path))
    if scheme:
        raise NoSuchAddress(f"{redact_url(url)}: {scheme}:// is not supported; use a file or {', '.join(LIVE_SCHEMES)}")
    if lacks_scheme(url):
        raise NoSuchAddress(f"it looks like an address without its scheme: begin it with {LIVE_SCHEMES[0]}://")
    return Path(url)


def _check_address(url: str) -> None:
    if _scheme(url) in {"", DEVICE_SCHEME}:
        return
    try:
        check_address(url)
    except ValueError as error:
        raise NoSuchAddress(f"{redact_url(url)}: {error}") from None


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator else ""
