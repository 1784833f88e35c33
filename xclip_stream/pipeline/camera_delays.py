"""How long to wait before a camera that was lost is connected to again."""

import random
from collections.abc import Callable

from xclip_stream.errors import LoginRejected, SourceError, SourceRejected
from xclip_stream.pipeline.backoff import Backoff

FIRST_DELAY_S = 0.5
"""A camera that takes connections and ends each of them at once is not asked more often."""
_REJECTED_DELAY_S = 10.0
"""What is wrong may be mended, and a camera that starts may not have all of its paths yet."""
QUICK_LOGINS = 4
"""So often a refused login is tried every ten seconds. Many cameras lock an account at the fifth failure."""
_RARE_LOGINS_S = (60.0, 600.0)
"""Then the delay doubles from the first to the second, so that a lock of some minutes can run out."""


class CameraDelays:
    """Delays that grow with each loss, until something comes.

    Args:
        longest_s: of a camera that is away; one that refuses is waited for longer.
        quick_logins: so often a refused login is tried soon again.
        draw: gives the random part of a delay, 0 to 1.
    """

    def __init__(
        self, *, longest_s: float, quick_logins: int = QUICK_LOGINS, draw: Callable[[], float] = random.random
    ) -> None:
        self._quick_logins = quick_logins
        self._backoff = Backoff(first_s=2 * FIRST_DELAY_S, cap_s=longest_s, draw=draw)
        self._refused_logins = 0

    def reset(self) -> None:
        """Note that something came from the camera."""
        self._backoff.reset()
        self._refused_logins = 0

    def after(self, error: SourceError) -> float:
        """Count a loss and return how long to wait."""
        if isinstance(error, LoginRejected):
            self._refused_logins += 1
            return self._login_delay_s()
        if isinstance(error, SourceRejected):
            return _REJECTED_DELAY_S
        return max(FIRST_DELAY_S, self._backoff.next_delay_s())

    def _login_delay_s(self) -> float:
        if self._refused_logins < self._quick_logins:
            return _REJECTED_DELAY_S
        first_s, cap_s = _RARE_LOGINS_S
        return min(cap_s, first_s * 2.0 ** min(self._refused_logins - self._quick_logins, 64))
