"""Lets go of local evidence that is too old, or too much."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

# Source, day, event: what `evidence_name` makes, and nothing else is touched. Drafts begin with a dot.
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAME = re.compile(r"\.?[0-9a-f]{32}\.(jpg|mp4)(\.draft)?")
_DRAFTS_LIVE_S = 3600.0
"""A draft that nobody has written to for so long is that of a reader that was killed."""
_STAMP = np.dtype([("modified_at", np.float64), ("num_bytes", np.int64)])


@dataclass(frozen=True, slots=True)
class _Kept:
    name: str
    path: str
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

    The folder is gone through twice, and 16 bytes are held of each file: there may be a hundred thousand, and a process
    that has once held more of them seldom gives it back.

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
        too_much_until = self._too_much_until()
        files = num_bytes = removed = removed_bytes = 0
        oldest_at = inf
        for kept in self._files():
            has_to_go = kept.modified_at <= too_much_until or self._is_too_old(kept)
            if has_to_go and _is_removed(kept):
                removed += 1
                removed_bytes += kept.num_bytes
            else:
                files += 1
                num_bytes += kept.num_bytes
                oldest_at = min(oldest_at, kept.modified_at)
        self._remove_empty_days()
        oldest_s = max(0.0, self._now() - oldest_at) if files else 0.0
        return Swept(files, num_bytes, oldest_s, removed, removed_bytes)

    def _too_much_until(self) -> float:
        """Return when the last of those files was written that have to go for the rest to be small enough."""
        stamps = np.fromiter(((kept.modified_at, kept.num_bytes) for kept in self._files()), _STAMP)
        newest_first = stamps[np.argsort(stamps["modified_at"])[::-1]]
        too_much = np.cumsum(newest_first["num_bytes"]) > self._max_bytes
        return float(newest_first["modified_at"][too_much.argmax()]) if too_much.any() else -inf

    def _is_too_old(self, kept: _Kept) -> bool:
        limit_s = _DRAFTS_LIVE_S if kept.name.startswith(".") else self._max_age_s
        return self._now() - kept.modified_at > limit_s

    def _days(self) -> list[Path]:
        return [folder for folder in self._folder.glob("*/*") if _DAY.fullmatch(folder.name)]

    def _files(self) -> Iterator[_Kept]:
        for day in self._days():
            with suppress(OSError), os.scandir(day) as entries:
                for entry in entries:
                    if not _NAME.fullmatch(entry.name) or entry.is_symlink():
                        continue
                    with suppress(OSError):  # it was removed or renamed meanwhile
                        status = entry.stat()
                        yield _Kept(entry.name, entry.path, status.st_mtime, status.st_size)

    def _remove_empty_days(self) -> None:
        for folder in self._days():
            # One with something in it stays: that is the error.
            with suppress(OSError):
                if self._now() - folder.stat().st_mtime > _DRAFTS_LIVE_S:
                    folder.rmdir()


def _is_removed(kept: _Kept) -> bool:
    try:
        Path(kept.path).unlink()
    except OSError:
        return False
    return True
