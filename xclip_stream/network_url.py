"""Whether a URL names a host and a port. Pure; the messages never quote it, since it may hold a password."""

import re
from urllib.parse import urlsplit

CAMERA_SCHEMES = ("rtsp", "rtsps", "http", "https")
"""Of cameras that are reached over the network."""

_WITHOUT_SCHEME = re.compile(r"[^/\s]*:[^/\s]*@|[\w.-]+:\d+/")
_ENCODE = "percent-encode special characters of a password"


def lacks_scheme(text: str) -> bool:
    """Tell whether a text is an address that was meant as a URL: `10.0.0.5:554/stream` or `user:password@camera`."""
    return _WITHOUT_SCHEME.match(text) is not None


def check_address(url: str) -> None:
    """Check the host and the port of a URL that has a scheme.

    Raises:
        ValueError: says what is wrong with them.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"is not a valid URL ({_ENCODE})") from None
    if not parts.hostname or any(mark.isspace() for mark in url):
        raise ValueError("is not a valid URL: it has no host, or has spaces in it")
    try:
        is_port = parts.port != 0
    except ValueError:
        is_port = False
    if not is_port:
        raise ValueError(f"its port must be a number from 1 to 65535 ({_ENCODE})")
