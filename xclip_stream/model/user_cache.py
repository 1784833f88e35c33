"""Where what was computed of a model is kept for the next start."""

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Return the folder of that name in the user's cache; it may not be there yet."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "xclip-stream" / name
