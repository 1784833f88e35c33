"""How often a camera under overload has its windows scored: every one, every second, every fourth. Pure; time is given.

A queue that is full again and again costs windows where it happens to be full. A camera that has fewer windows loses
them evenly, and what is scored is as young as before.
"""

from collections import deque

LONGEST_CALM_S = 60.0
"""A queue that takes every second window and no more is tried again so rarely."""
_OUTCOMES = 32
"""So many windows tell how it goes."""


class Thinning:
    """Tells of which windows of one camera there is room for.

    Where half of the last windows were given up, half as many are wanted: that loses no more than is lost anyway. Fewer
    losses thin out nothing, so that all that the scorers can do is used. `calm_s` without a loss double the windows
    again; where that was too soon, the next calm has to be twice as long.

    Args:
        max_step: never fewer than one window in so many; a power of two.
        calm_s: how long none is given up where there is room again.
    """

    def __init__(self, *, max_step: int, calm_s: float) -> None:
        self._max_step = max_step
        self._first_calm_s = self._calm_s = calm_s
        self._step = 1
        self._given_up: deque[bool] = deque(maxlen=_OUTCOMES)
        self._quiet_since = float("-inf")
        self._stepped_down_at = float("-inf")

    @property
    def step(self) -> int:
        """One window in so many is scored: 1, 2, 4…"""
        return self._step

    def keeps(self, number: int) -> bool:
        """Tell whether window `number` of the camera's connection is one of those that are scored."""
        return number % self._step == 0

    def note_dropped(self, now_s: float) -> None:
        """A window was given up, because the queue took none."""
        self._quiet_since = now_s
        self._given_up.append(True)
        if 2 * sum(self._given_up) < _OUTCOMES or self._step >= self._max_step:
            return
        if now_s - self._stepped_down_at <= LONGEST_CALM_S:
            self._calm_s = min(2 * self._calm_s, max(LONGEST_CALM_S, self._first_calm_s))
        self._step *= 2
        self._given_up.clear()

    def note_taken(self, now_s: float) -> None:
        """The queue has taken a window."""
        self._given_up.append(False)
        if self._step > 1 and now_s - self._quiet_since >= self._calm_s:
            self._step //= 2
            self._quiet_since = self._stepped_down_at = now_s
            self._given_up.clear()
        elif self._step == 1 and now_s - self._stepped_down_at > 2 * self._calm_s:
            self._calm_s = self._first_calm_s


def max_step(*, stride_s: float, gap_s: float) -> int:
    """Return how far a camera may be thinned out: never so far that its events would end for want of windows.

    Args:
        gap_s: the hole in event time that no event bridges.
    """
    return next((step for step in (4, 2) if step * stride_s <= 0.75 * gap_s), 1)
