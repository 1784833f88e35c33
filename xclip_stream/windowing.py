"""Sliding windows over frames, cut by presentation time: pure, and blind to what a frame is.

A source is sampled on a grid: slot k of a segment stands at the segment's first frame plus k times the spacing
`span_s / num_frames`, and is filled by the first frame that is not earlier. A window is `num_frames` slots in a row and
the next one begins `stride_s` later, so windows share frames. A hole in the source ends the segment, and the grid
begins anew behind it: no window straddles a hole.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from xclip_stream.errors import ConfigError

F = TypeVar("F")

_EARLY_S = 0.001
"""How much too early a frame may be for its slot: containers round times to a millisecond."""


@dataclass(frozen=True, slots=True)
class Cut(Generic[F]):
    """The frames of window `seq`, oldest first; a frame stands more than once where the source is slow."""

    seq: int
    frames: tuple[F, ...]


class Windowing(Generic[F]):
    """Cuts the frames of one source into windows numbered 0, 1, 2…

    Args:
        num_frames: frames of a window.
        span_s: seconds that a window covers; its spacing is `span_s / num_frames`.
        stride_s: seconds between the starts of two windows: a whole number of spacings.
        max_gap_s: frames further apart than this have a hole between them; by default one second, or two spacings
            where that is more.

    Raises:
        ConfigError: the stride is not a whole number of spacings.
    """

    def __init__(self, *, num_frames: int, span_s: float, stride_s: float, max_gap_s: float | None = None) -> None:
        self._num_frames = num_frames
        self._spacing_s = span_s / num_frames
        self._stride_slots = _whole_slots(num_frames, span_s, stride_s)
        self._max_gap_s = max(1.0, 2 * self._spacing_s) if max_gap_s is None else max_gap_s
        self._next_seq = 0
        self._first_seq = 0
        self._grid: _Grid | None = None
        self._last_pts_s = 0.0
        self._recent: deque[F] = deque(maxlen=num_frames)

    @property
    def next_seq(self) -> int:
        """The number of the next window, which is how many were cut so far."""
        return self._next_seq

    def push(self, pts_s: float, sample: Callable[[int], F]) -> list[Cut[F]]:
        """Take notice of a frame and return the windows that are complete now.

        `sample` is called only for a frame that fills a slot, with the highest `seq` that the frame can belong to, and
        returns what is kept of it. Call this for every frame of the source, in the order of `pts_s`: holes are seen
        between frames, not between slots.
        """
        cuts = self.flush() if self._is_hole(pts_s - self._last_pts_s) else []
        self._last_pts_s = pts_s
        if self._grid is None:
            self._grid = _Grid(first_pts_s=pts_s, spacing_s=self._spacing_s)
        due = [slot for slot in self._grid.take(pts_s) if self._is_used(slot)]
        if due:
            frame = sample(self._first_seq + due[-1] // self._stride_slots)
            for slot in due:
                cuts += self._fill(slot, frame)
        return cuts

    def flush(self) -> list[Cut[F]]:
        """End the segment: at a hole or at the end. One too short for a window gives one, its last frame repeated."""
        cuts = []
        if self._recent and self._next_seq == self._first_seq:
            missing = self._num_frames - len(self._recent)
            cuts = [self._cut((*self._recent, *[self._recent[-1]] * missing))]
        self._first_seq = self._next_seq
        self._grid = None
        self._recent.clear()
        return cuts

    def _is_hole(self, distance_s: float) -> bool:
        return self._grid is not None and distance_s > self._max_gap_s + _EARLY_S

    def _is_used(self, slot: int) -> bool:
        """False for the slots between two windows where the stride is longer than the span."""
        return slot % self._stride_slots < self._num_frames

    def _fill(self, slot: int, frame: F) -> list[Cut[F]]:
        self._recent.append(frame)
        start = slot + 1 - self._num_frames
        return [self._cut(tuple(self._recent))] if start >= 0 and start % self._stride_slots == 0 else []

    def _cut(self, frames: tuple[F, ...]) -> Cut[F]:
        self._next_seq += 1
        return Cut(self._next_seq - 1, frames)


class _Grid:
    """The slots of one segment, each taken once."""

    def __init__(self, *, first_pts_s: float, spacing_s: float) -> None:
        self._first_pts_s = first_pts_s
        self._spacing_s = spacing_s
        self._next_slot = 0

    def take(self, pts_s: float) -> range:
        """Return the slots that a frame at `pts_s` fills."""
        first = self._next_slot
        # A guess that rounding cannot make too high; the comparison is what counts.
        slot = max(first, math.floor((pts_s - self._first_pts_s) / self._spacing_s) - 1)
        while self._first_pts_s + slot * self._spacing_s <= pts_s + _EARLY_S:
            slot += 1
        self._next_slot = slot
        return range(first, slot)


def _whole_slots(num_frames: int, span_s: float, stride_s: float) -> int:
    spacing_s = span_s / num_frames
    slots = round(stride_s / spacing_s)
    if slots < 1 or not math.isclose(slots * spacing_s, stride_s, rel_tol=1e-6):
        nearest_s = max(1, slots) * spacing_s
        raise ConfigError(
            f"window: stride_s {stride_s:g} must be a whole number of frame spacings, "
            f"which are span_s {span_s:g} / {num_frames} frames = {spacing_s:g} s; the nearest is {nearest_s:g}"
        )
    return slots
