"""Whether a scorer should wait for more windows before it begins a batch: a simulation, for want of a GPU.

    python -m benchmarks.batching [--fixed-ms 3] [--window-ms 1] [--most 32] [--seconds 60]

Cameras add a window a second each, at times of their own. A batch of n windows takes `fixed + n * window` ms. The
scorer takes what is there, up to `most`, as `ScoreLoop` does; or it first waits until the batch is full or its oldest
window has a certain age. Shown, by load, is how long windows wait and are
scored together, and what share of the time the scorer is busy.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.ratios import quantile

WAITS_MS = (0.0, 2.0, 5.0, 10.0, 20.0)
LOADS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
JITTER_S = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """What a batch costs, and how many windows it may have."""

    fixed_s: float
    window_s: float
    most: int

    @property
    def windows_per_s(self) -> float:
        """What it can do at most, with full batches."""
        return self.most / (self.fixed_s + self.most * self.window_s)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Latencies in order of arrival, and what share of the time the server was busy."""

    latencies_s: Sequence[float]
    busy: float


def arrivals(cameras: int, *, seconds: float, seed: int) -> list[float]:
    """Return when windows come: each camera every second, from a time of its own, a little early or late."""
    draw = random.Random(seed)
    starts = [draw.random() for _ in range(cameras)]
    return sorted(start + second + draw.uniform(0.0, JITTER_S) for start in starts for second in range(round(seconds)))


def simulate(times: Sequence[float], server: Server, *, wait_s: float) -> Outcome:
    """Score windows that come at rising times; `wait_s` is how old the oldest may become before a batch begins."""
    latencies: list[float] = []
    free_at = busy = 0.0
    while len(latencies) < len(times):
        first = len(latencies)
        earliest = max(free_at, times[first])
        full_at = times[first + server.most - 1] if first + server.most <= len(times) else float("inf")
        begins_at = max(earliest, min(full_at, times[first] + wait_s))
        count = sum(1 for at in times[first : first + server.most] if at <= begins_at)
        took = server.fixed_s + count * server.window_s
        free_at, busy = begins_at + took, busy + took
        latencies.extend(free_at - at for at in times[first : first + count])
    return Outcome(latencies, busy / free_at)


def table(server: Server, *, seconds: float) -> Table:
    shown = Table(title=f"ms, median / 95 of 100 (busy); at most {server.windows_per_s:.0f} windows/s")
    shown.add_column("load")
    for wait_ms in WAITS_MS:
        shown.add_column("takes what is there" if not wait_ms else f"waits {wait_ms:.0f} ms", justify="right")
    for load in LOADS:
        times = arrivals(round(load * server.windows_per_s), seconds=seconds, seed=1)
        row = []
        for wait_ms in WAITS_MS:
            found = simulate(times, server, wait_s=wait_ms / 1000)
            median, late = (1000 * quantile(found.latencies_s, share) for share in (0.5, 0.95))
            row.append(f"{median:.1f} / {late:.1f} ({found.busy:.0%})")
        shown.add_row(f"{load:.0%}", *row)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batching", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fixed-ms", type=float, default=3.0, help="what each batch costs")
    parser.add_argument("--window-ms", type=float, default=1.0, help="what each window costs besides")
    parser.add_argument("--most", type=int, default=32, help="windows in a batch at most")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    server = Server(options.fixed_ms / 1000, options.window_ms / 1000, options.most)
    Console().print(table(server, seconds=options.seconds))


if __name__ == "__main__":
    main()
