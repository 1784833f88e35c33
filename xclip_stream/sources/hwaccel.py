"""Decoding by a graphics processor: by FFmpeg, where it can, and otherwise on the processor as ever."""

from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.error import FFmpegError

from xclip_stream.types import HwAccel


def decoder_on(hwaccel: HwAccel) -> HWAccel:
    """Return what has a container decoded there, and frames come back. What it does not know is decoded here."""
    return HWAccel(hwaccel, allow_software_fallback=True)


def why_not_usable(hwaccel: HwAccel) -> str | None:
    """Return why nothing can be decoded there, or None where it can. Without a device no container opens with it."""
    if hwaccel not in hwdevices_available():
        return "the FFmpeg of this PyAV was built without it"
    try:
        decoder_on(hwaccel).create(Codec("h264", "r"))
    except NotImplementedError:
        return "the FFmpeg of this PyAV has no decoder for it"
    except FFmpegError as error:
        return f"there is no such device, or its driver is missing ({error.strerror})"
    return None
