"""The picture of an event, where it is a file of this machine."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from xclip_stream.types import Event

MAX_SNAPSHOT_BYTES = 5 * 1024 * 1024
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def snapshot_file(event: Event) -> Path | None:
    """Return the file of an event's snapshot; None where there is none here, or where it is no picture or too large."""
    parts = urlsplit(event.snapshot_url or "")
    path = Path(unquote(parts.path))
    if parts.scheme not in {"", "file"} or not path.is_absolute() or path.suffix.lower() not in PICTURES:
        return None
    try:
        fits = path.is_file() and path.stat().st_size <= MAX_SNAPSHOT_BYTES
    except OSError:
        return None
    return path if fits else None
