"""Decides which windows of a camera need not be scored, because they show what one shows that was: pure.

A window is compared picture by picture with the last one that was sent to be scored, not with the one before it: what
changes slowly adds up, and is seen in the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xclip_stream.tiles import AGGRESSIVE, CONSERVATIVE, Tiles, Tolerance, has_changed, tiles_of
from xclip_stream.types import Frame, IdleMode, Pixels

TOLERANCES: Mapping[IdleMode, Tolerance] = {"conservative": CONSERVATIVE, "aggressive": AGGRESSIVE}
"""How much may differ, by the name of the mode; a mode that is not here lets every window through."""


@dataclass(frozen=True, slots=True)
class Run:
    """What has to be the same for one window to stand for another: the epoch, and the connection to the camera."""

    epoch: str
    connection: int


@dataclass(frozen=True, slots=True)
class _Sent:
    """The last window that was sent to be scored."""

    seq: int
    run: Run
    captured_at: float
    tiles: tuple[Tiles, ...]


class MotionGate:
    """Knows the last window that was sent to be scored, and tells whether it can stand for the next one.

    Args:
        refresh_s: a window stands for those that were captured less than so many seconds after it.
    """

    def __init__(self, *, mode: IdleMode, refresh_s: float) -> None:
        self._tolerance = TOLERANCES.get(mode)
        self._refresh_s = refresh_s
        self._sent: _Sent | None = None
        self._known: dict[int, tuple[Pixels, Tiles]] = {}
        """The tiles of the frames that were seen last, by the identity of their pictures: windows share frames."""

    def stands_for(self, frames: Sequence[Frame], run: Run) -> int | None:
        """Return the `seq` of the window whose scores stand for a window of these frames; None: it has to be scored."""
        sent, tolerance = self._sent, self._tolerance
        if sent is None or tolerance is None or sent.run != run or len(sent.tiles) != len(frames):
            return None
        if not 0.0 <= frames[-1].captured_at - sent.captured_at < self._refresh_s:
            return None
        pairs = zip(self._tiles(frames, tolerance), sent.tiles, strict=True)
        return None if any(has_changed(now, before, tolerance) for now, before in pairs) else sent.seq

    def note_sent(self, frames: Sequence[Frame], run: Run, seq: int) -> None:
        """Take notice of a window that goes to be scored."""
        if self._tolerance is not None:
            self._sent = _Sent(seq, run, frames[-1].captured_at, self._tiles(frames, self._tolerance))

    def forget(self, seq: int | None = None) -> None:
        """Let the next window be scored; with `seq` only if that is the window that would stand for it."""
        if self._sent is not None and seq in {None, self._sent.seq}:
            self._sent = None

    def _tiles(self, frames: Sequence[Frame], tolerance: Tolerance) -> tuple[Tiles, ...]:
        found = {}
        for frame in frames:
            pictures = frame.pictures
            key = id(pictures)
            if key not in found:
                found[key] = self._known.get(key) or (pictures, tiles_of(pictures, tile_px=tolerance.tile_px))
        self._known = found
        return tuple(found[id(frame.pictures)][1] for frame in frames)
