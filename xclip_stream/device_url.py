"""The address of a camera that is plugged in: `/dev/video0`, or `v4l2:///dev/video0?size=1280x720`. Pure."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

DEVICE_SCHEME = "v4l2"
_DEVICE_PATH = re.compile(r"/dev/(video\d+|v4l/by-(id|path)/[^/]+)")
_OPTIONS = {
    "size": (re.compile(r"[1-9]\d{0,4}x[1-9]\d{0,4}"), "like 1280x720"),
    "fps": (re.compile(r"[1-9]\d{0,2}(\.\d+)?"), "like 15"),
    "format": (re.compile(r"[a-z0-9_]+"), "like mjpeg, h264 or yuyv422"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUrl:
    """A device, and what is asked of it; None leaves it to the device."""

    path: str
    size: str | None = None
    fps: str | None = None
    format: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a path or URL apart.

        Raises:
            ValueError: says what is wrong with it.
        """
        if is_device_path(text):
            return cls(path=text)
        parts = urlsplit(text)
        if parts.scheme.lower() != DEVICE_SCHEME or parts.netloc or not parts.path.startswith("/"):
            raise ValueError("is written v4l2:///dev/video0, with three slashes")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        for name, value in options.items():
            if name not in _OPTIONS:
                raise ValueError(f"has no option {name!r}: it has {', '.join(_OPTIONS)}")
            pattern, example = _OPTIONS[name]
            if not pattern.fullmatch(value):
                raise ValueError(f"has a wrong {name}: it is written {example}")
        return cls(path=unquote(parts.path), **options)


def is_device_path(text: str) -> bool:
    """Return whether a path is that of a camera of this machine, as Linux names them."""
    return _DEVICE_PATH.fullmatch(text) is not None
