"""What an operator sees of a queue: one look at everything that waits, who holds it, and who holds which role.

All ages are in seconds by one clock, that of the queue's server, at the moment of the look.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Waiting:
    """Entries that wait in one place. `oldest_s` is the age of the oldest of them, None where there is none."""

    count: int = 0
    oldest_s: float | None = None


@dataclass(frozen=True, slots=True)
class WindowsWaiting:
    """The windows of all cameras, or of all files. `oldest_s` counts those that are being scored too."""

    waiting: int = 0
    """Those that no scorer has taken yet."""
    held: int = 0
    """Those that a scorer has taken and not let go of."""
    oldest_s: float | None = None


@dataclass(frozen=True, slots=True)
class ScoreWorker:
    """A consumer of windows, known from the first window that it took until an hour after the last one."""

    name: str
    held: int
    """How many windows it has now."""
    quiet_s: float
    """Since when the window that it has longest had no sign of life from it; 0 where it has none."""
    deliveries: int
    """How often the most often delivered of its windows was given to a worker; 0 where it has none."""
    seen_s: float
    """How long ago it last took or held on a window. A worker that finds none to take is not seen."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A role that somebody has: `alert`, `sink:ID` or `source:ID`."""

    role: str
    holder: str
    left_s: float
    """When it ends unless it is renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One look at a queue.

    Args:
        at: the time of the look, Unix seconds of the server's clock.
        max_bytes: the cap on `window_bytes`, as the reader of this inspection was told or the server's memory says.
        max_scores: above it no file is read on.
        events: how many events the public stream retains.
        outboxes: those that were asked for, and all others in which something waits.
        ingest_workers: each with the seconds for which it counts as alive.
        leases: by role.
        memory_bytes: what the server uses of its memory; 0 where it has no bound of its own.
        max_memory_bytes: the bound; 0 for none.
    """

    at: float
    live: WindowsWaiting
    files: WindowsWaiting
    window_bytes: int
    max_bytes: int
    scores: Waiting
    max_scores: int
    dead: Waiting
    events: int
    outboxes: Mapping[str, Waiting]
    score_workers: tuple[ScoreWorker, ...] = ()
    ingest_workers: Mapping[str, float] = field(default_factory=dict)
    leases: Mapping[str, HeldLease] = field(default_factory=dict)
    memory_bytes: int = 0
    max_memory_bytes: int = 0
