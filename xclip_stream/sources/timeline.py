"""From the time stamps of a container to media time: seconds from 0 that never go back. Pure."""

from fractions import Fraction

_MPEG_CLOCK = Fraction(1, 90_000)
_MPEG_WRAP = 2**33
"""MPEG-TS counts 33 bits of a 90 kHz clock, and begins anew after 26.5 hours (ISO 13818-1)."""

BACK_S = 1.0
"""A stamp further back than this is a new count, not a late frame."""
AHEAD_S = 3600.0
"""A stamp further ahead than this is a new count, not a hole."""


def seconds_of(ticks: int, unit: Fraction) -> float:
    """Return a time stamp in seconds: as `float(ticks * unit)`, which takes ten times as long, for each packet."""
    return ticks * unit.numerator / unit.denominator


class Timeline:
    """Places the frames of one source, in decode order, on one line of media time.

    Missing stamps are counted on at the nominal rate, wrapped ones unwrapped. Where the count begins anew (a camera
    that set its clock, joined recordings) time goes on from the last frame; those of the old count that a decoder gives
    behind the first of the new one are late.

    Args:
        frame_s: the nominal time between two frames.
    """

    def __init__(self, *, frame_s: float) -> None:
        self._frame_s = frame_s
        self._stamps = _Stamps()
        self._last_s: float | None = None
        self._offset_s: float | None = None
        self._old_offset_s: float | None = None
        """That of the count before this one."""
        self._breaks = 0

    @property
    def last_s(self) -> float:
        """Media time of the last frame; 0 before the first."""
        return self._last_s or 0.0

    @property
    def breaks(self) -> int:
        """How often the count began anew, which nobody announced."""
        return self._breaks

    def place(self, pts: int | None, dts: int | None, time_base: Fraction) -> float | None:
        """Return the media time of the next frame, or None for one that is late and has to be left out."""
        stamp_s = self._stamps.next_s(pts, dts, time_base)
        next_s = 0.0 if self._last_s is None else self._last_s + self._frame_s
        if stamp_s is not None:
            placed_s = next_s if self._offset_s is None else stamp_s + self._offset_s
            if -BACK_S <= placed_s - self.last_s < 0:
                return None
            if not 0 <= placed_s - self.last_s <= BACK_S and self._is_of_old_count(stamp_s):
                return None
            if not 0 <= placed_s - self.last_s <= AHEAD_S:
                self._breaks += 1
                self._old_offset_s = self._offset_s
                placed_s = next_s
            self._offset_s = placed_s - stamp_s
            next_s = placed_s
        self._last_s = next_s
        return next_s

    def _is_of_old_count(self, stamp_s: float) -> bool:
        return self._old_offset_s is not None and abs(stamp_s + self._old_offset_s - self.last_s) <= BACK_S

    def reconnect(self, elapsed_s: float) -> None:
        """Note that the next frame comes from a new connection, `elapsed_s` after the last frame."""
        self._stamps = _Stamps()
        self._offset_s = self._old_offset_s = None
        if self._last_s is not None:
            self._last_s += max(0.0, elapsed_s - self._frame_s)


class _Stamps:
    """Chooses for each frame between its two time stamps, and unwraps them.

    Presentation stamps count, until they have gone back more often than decoding stamps did: then they are wrong, as
    in AVI files with packed B-frames, and those of decoding, which are in order, serve better. FFmpeg guesses alike.
    """

    def __init__(self) -> None:
        self._pts = _Stamp()
        self._dts = _Stamp()

    def next_s(self, pts: int | None, dts: int | None, time_base: Fraction) -> float | None:
        pts = self._pts.unwrap(pts, time_base)
        dts = self._dts.unwrap(dts, time_base)
        # The frames that a decoder keeps to the last have no decoding stamp: they are counted on instead.
        chosen = dts if pts is None or (self._dts.is_used and self._pts.returns > self._dts.returns) else pts
        return None if chosen is None else seconds_of(chosen, time_base)


class _Stamp:
    """One kind of time stamp: how often it went back, and how often it wrapped."""

    def __init__(self) -> None:
        self.returns = 0
        self._last: int | None = None
        self._wrapped = 0

    @property
    def is_used(self) -> bool:
        return self._last is not None

    def unwrap(self, ticks: int | None, time_base: Fraction) -> int | None:
        if ticks is None:
            return None
        ticks += self._wrapped
        if self._last is not None and self._last - ticks > _MPEG_WRAP // 2 and time_base == _MPEG_CLOCK:
            self._wrapped += _MPEG_WRAP
            ticks += _MPEG_WRAP
        if self._last is not None and ticks <= self._last:
            self.returns += 1
        self._last = ticks
        return ticks
