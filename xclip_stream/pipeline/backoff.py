"""How long a loop waits before it tries again what failed."""

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from `first_s` to `cap_s`, each a random part of its step.

    The whole step is random ("full jitter"), so that workers that lost the same server do not come back together:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    def __init__(self, *, first_s: float, cap_s: float, draw: Callable[[], float] = random.random) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._draw = draw
        self._failures = 0

    @property
    def failures(self) -> int:
        """How often it failed since the last success."""
        return self._failures

    def next_delay_s(self) -> float:
        """Count a failure and return how long to wait."""
        # 2.0**64 steps are beyond any cap; without the bound the power overflows after a thousand failures.
        step_s = min(self._cap_s, self._first_s * 2.0 ** min(self._failures, 64))
        self._failures += 1
        return step_s * self._draw()

    def reset(self) -> None:
        """Note a success."""
        self._failures = 0
