"""Lets go of local evidence that is too old, or too much."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Source, day, event: what `evidence_name` makes, and nothing else is touched. Drafts begin with a dot.
_NAME = re.compile(r"[^/]+/\d{4}-\d\d-\d\d/\.?[0-9a-f]{32}\.(jpg|mp4)(\.draft)?")
_DRAFTS_LIVE_S = 3600.0
"""A draft that nobody has written to for so long is that of a reader that was killed."""


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    modified_at: float
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep found and did."""

    files: int
    num_bytes: int
    """What is left."""
    oldest_s: float
    """Age of the oldest file that is left; 0 for none."""
    removed: int
    removed_bytes: int


class Retention:
    """Keeps a folder of evidence within an age and a size; the oldest goes first.

    Args:
        now: Unix seconds.
    """

    def __init__(self, folder: Path, *, max_age_s: float, max_bytes: int, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes
        self._now = now

    def sweep(self) -> Swept:
        """Remove what has to go. What cannot be removed stays, and is tried again the next time."""
        found = sorted(self._files(), key=lambda kept: kept.modified_at)
        left = sum(kept.num_bytes for kept in found)
        removed: set[_Kept] = set()
        for kept in found:
            if left <= self._max_bytes and not self._is_too_old(kept):
                continue
            with suppress(OSError):
                kept.path.unlink()
                left -= kept.num_bytes
                removed.add(kept)
        self._remove_empty_days()
        oldest = next((kept for kept in found if kept not in removed), None)
        return Swept(
            files=len(found) - len(removed),
            num_bytes=left,
            oldest_s=0.0 if oldest is None else max(0.0, self._now() - oldest.modified_at),
            removed=len(removed),
            removed_bytes=sum(kept.num_bytes for kept in removed),
        )

    def _is_too_old(self, kept: _Kept) -> bool:
        limit_s = _DRAFTS_LIVE_S if kept.path.name.startswith(".") else self._max_age_s
        return self._now() - kept.modified_at > limit_s

    def _files(self) -> Iterator[_Kept]:
        for path in self._folder.glob("*/*/*"):
            if not _NAME.fullmatch(path.relative_to(self._folder).as_posix()) or path.is_symlink():
                continue
            with suppress(OSError):  # it was removed or renamed meanwhile
                status = path.stat()
                yield _Kept(path, status.st_mtime, status.st_size)

    def _remove_empty_days(self) -> None:
        for folder in self._folder.glob("*/????-??-??"):
            # One with something in it stays: that is the error.
            with suppress(OSError):
                if self._now() - folder.stat().st_mtime > _DRAFTS_LIVE_S:
                    folder.rmdir()
