"""How a worker shows that its loops go on and that they can work: the loops tell it, whoever looks after it asks."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STARTING = "no loop runs: it is starting or stopping"


class Pulse:
    """The signs of life of one loop, which tells; any other thread may ask.

    Args:
        name: of the loop, as the reasons say it.
        within_s: how long the loop may be silent: longer than the longest step that it makes in good health.
        waits_for: what is still missing before the loop has said anything.
        now: seconds from an arbitrary start, never going back.
    """

    def __init__(
        self,
        name: str = "",
        *,
        within_s: float = 60.0,
        waits_for: str = "it has not asked the queue yet",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._within_s = within_s
        self._now = now
        self._beat_at: float | None = None
        self._obstacle: str | None = waits_for

    def beat(self) -> None:
        """Show that the loop goes on."""
        self._beat_at = self._now()

    def ready(self) -> None:
        """Show that the loop goes on and can do its work now."""
        self._obstacle = None
        self.beat()

    def unready(self, reason: str) -> None:
        """Show that the loop goes on and cannot do its work now; `reason` is one line without secrets."""
        self._obstacle = reason
        self.beat()

    @property
    def silence(self) -> str | None:
        """What is wrong with a loop that has been silent for too long. One that has not begun yet is not silent."""
        if self._beat_at is None:
            return None
        silent_s = self._now() - self._beat_at
        return f"{self._name}: no progress for {silent_s:.0f} s" if silent_s > self._within_s else None

    @property
    def obstacle(self) -> str | None:
        """Why the loop cannot do its work now; None when it can."""
        return None if self._obstacle is None else f"{self._name}: {self._obstacle}"


class Vitals:
    """The pulses of all loops of a worker, for any number of threads."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._pulses: tuple[Pulse, ...] = ()

    @contextmanager
    def pulse(
        self, name: str, *, within_s: float, waits_for: str = "it has not asked the queue yet"
    ) -> Iterator[Pulse]:
        """Yield the pulse of a loop that runs for as long as this lasts."""
        pulse = Pulse(name, within_s=within_s, waits_for=waits_for, now=self._now)
        with self._lock:
            self._pulses = (*self._pulses, pulse)
        try:
            yield pulse
        finally:
            with self._lock:
                self._pulses = tuple(other for other in self._pulses if other is not pulse)

    def silence(self) -> str | None:
        """Return which loop makes no progress; None while all do. A worker that is starting is not silent."""
        return next((said for pulse in self._pulses if (said := pulse.silence)), None)

    def obstacle(self) -> str | None:
        """Return why the worker cannot do its work now; None when it can."""
        if not self._pulses:
            return STARTING
        return self.silence() or next((said for pulse in self._pulses if (said := pulse.obstacle)), None)
