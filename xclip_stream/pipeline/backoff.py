"""How a loop waits before it tries again what failed."""

import random
from collections.abc import Callable
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import QueueUnavailable
from xclip_stream.pipeline.vitals import Pulse
from xclip_stream.protocols import Clock

Answer = TypeVar("Answer")


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


class RoomWait:
    """How long to wait for room in a full queue: about as long as one to four windows take to leave it.

    A try too early sends a window for nothing, and one too late lets the scorers run dry. So the delays learn from what
    the last one has brought, from `shortest_s` to `longest_s`.
    """

    def __init__(
        self, *, shortest_s: float = 0.005, longest_s: float = 1.0, draw: Callable[[], float] = random.random
    ) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._draw = draw
        self._step_s = 10 * shortest_s
        self._taken = 1

    def next_delay_s(self) -> float:
        """Return how long to wait now that the queue is full."""
        if self._taken == 0:
            self._step_s = min(2 * self._step_s, self._longest_s)
        elif self._taken > 3:
            self._step_s = max(self._step_s / 2, self._shortest_s)
        self._taken = 0
        return self._step_s * (1 + self._draw()) / 2

    def note_taken(self) -> None:
        """Note that the queue has taken a window."""
        self._taken += 1


class QueueOutage:
    """What a loop does while the queue cannot be reached: it says so once, and waits, longer each time.

    The loop's `pulse` hears of both: a loop that has the queue's answer goes on and can work.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        stopping: Callable[[], bool],
        log: FilteringBoundLogger,
        pulse: Pulse | None = None,
        cap_s: float = 5.0,
    ) -> None:
        self._clock = clock
        self._stopping = stopping
        self._log = log
        self._pulse = pulse or Pulse()
        self._backoff = Backoff(first_s=0.2, cap_s=cap_s)

    def wait(self, error: QueueUnavailable) -> None:
        self._pulse.unready(str(error))
        if self._backoff.failures == 0:
            self._log.warning("queue_unavailable", error=str(error))
        self._clock.sleep(self._backoff.next_delay_s())

    def over(self) -> None:
        """Note that the queue answers."""
        self._pulse.ready()
        if self._backoff.failures:
            self._log.info("queue_available", failures=self._backoff.failures)
            self._backoff.reset()

    def insist(self, step: Callable[[], Answer]) -> Answer:
        """Repeat an idempotent step until the queue takes it, where giving up would do work twice.

        Raises:
            QueueUnavailable: the worker was asked to stop meanwhile.
        """
        while True:
            try:
                answer = step()
            except QueueUnavailable as error:
                if self._stopping():
                    raise
                self.wait(error)
            else:
                self.over()
                return answer
