"""How often a camera under overload has its windows scored: every one, every second, every fourth. Pure; time is given.

A queue that is full again and again costs windows where it happens to be full. A camera that has fewer windows loses
them evenly, and what is scored is as young as before.
"""

from collections import deque

LONGEST_CALM_S = 300.0
"""A queue that takes every second window and no more is tried again so rarely."""
_DROPS = 2
"""One window may be lost for any reason."""


class Thinning:
    """Tells of which windows of one camera there is room for.

    Two windows that are given up within `patience_s` double the step. `calm_s` without one halve it; where that was too
    soon, because windows are given up again within the same time, the next calm has to be twice as long.

    Args:
        max_step: never fewer than one window in so many; a power of two.
        patience_s: how close together windows are given up in a queue that is full again and again.
        calm_s: how long none is given up where there is room again.
    """

    def __init__(self, *, max_step: int, patience_s: float, calm_s: float) -> None:
        self._max_step = max_step
        self._patience_s = patience_s
        self._first_calm_s = self._calm_s = calm_s
        self._step = 1
        self._drops: deque[float] = deque(maxlen=_DROPS)
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
        self._drops.append(now_s)
        is_often = len(self._drops) == _DROPS and now_s - self._drops[0] <= self._patience_s
        if not is_often or self._step >= self._max_step:
            return
        if now_s - self._stepped_down_at <= self._calm_s:
            self._calm_s = min(2 * self._calm_s, LONGEST_CALM_S)
        self._step *= 2
        self._drops.clear()

    def note_taken(self, now_s: float) -> None:
        """The queue has taken a window."""
        if self._step > 1 and now_s - self._quiet_since >= self._calm_s:
            self._step //= 2
            self._quiet_since = self._stepped_down_at = now_s
        elif self._step == 1 and now_s - self._stepped_down_at > 2 * self._calm_s:
            self._calm_s = self._first_calm_s


def max_step(*, stride_s: float, gap_s: float) -> int:
    """Return how far a camera may be thinned out: never so far that its events would end for want of windows.

    Args:
        gap_s: the hole in event time that no event bridges.
    """
    return next((step for step in (4, 2) if step * stride_s <= 0.75 * gap_s), 1)
