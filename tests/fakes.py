"""Time that a test moves by hand. Everything else in the tests is a real part."""

from collections.abc import Callable


class FakeClock:
    """A clock that stands still until somebody sleeps or sets it."""

    def __init__(self, *, now: float = 1_000_000.0) -> None:
        self._now = now
        self._monotonic = 500.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, duration_s: float) -> None:
        self.slept.append(duration_s)
        self.advance(duration_s)

    def advance(self, duration_s: float) -> None:
        self._now += duration_s
        self._monotonic += duration_s

    def set_back(self, duration_s: float) -> None:
        """Set the wall clock back, as somebody may do; the monotonic clock does not mind."""
        self._now -= duration_s

    def stopping_after(self, duration_s: float) -> Callable[[], bool]:
        """Return a stop flag that is set once so much time has passed."""
        end = self._monotonic + duration_s
        return lambda: self._monotonic >= end
