"""Paths as users write them. Pure but for the names of home folders, which the system is asked for."""

from pathlib import Path


def without_tilde(path: str | Path) -> Path:
    """Return the path with a `~` or `~user` at its beginning replaced.

    Raises:
        ValueError: there is no such home folder; does not quote the path.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, and there is no such home folder: write the whole path") from None
