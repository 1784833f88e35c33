"""Whether what a process holds grows with what is done to it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import linear_regression

from tests.faults.processes import Usage, usage
from tests.faults.storm import Figure

_LOOKS = 5
_LOOK_EVERY_S = 0.1


@dataclass(slots=True)
class Growth:
    """What a process and all its descendants held after each step.

    Threads that live for a moment are left out: of some looks in a row, the one with the fewest threads counts.
    """

    seen: list[Usage] = field(default_factory=list)

    def look(self, pid: int) -> None:
        looks = [usage(pid)]
        while len(looks) < _LOOKS:
            time.sleep(_LOOK_EVERY_S)
            looks.append(usage(pid))
        self.seen.append(min(looks, key=lambda look: look.threads))

    def kib_a_step(self, *, since: int = 0) -> float:
        """Return the slope of the memory over the steps from `since` on, in KiB."""
        return slope([one.rss_bytes / 1024 for one in self.seen[since:]])

    def figures(self, who: str, *, a_step: str, kib_a_step: float, since: int = 0) -> list[Figure]:
        """Return the figures: no thread and no open file more at the end than after the first step, and the slope.

        Args:
            since: the first step after which the process is warm.
        """
        first, last = self.seen[0], self.seen[-1]
        return [
            Figure.told(f"{who}: memory, MiB", f"{first.rss_bytes / 2**20:.1f} → {last.rss_bytes / 2**20:.1f}"),
            Figure.at_most(f"{who}: KiB {a_step}", self.kib_a_step(since=since), kib_a_step),
            Figure.exactly(f"{who}: processes at the end", last.processes, first.processes),
            Figure.at_most(f"{who}: threads at the end", last.threads, first.threads),
            Figure.at_most(f"{who}: open files at the end", last.fds, first.fds),
        ]


def slope(values: Sequence[float]) -> float:
    """Return the slope of the line through values at equal distances; 0 where there are too few for a line."""
    return linear_regression(range(len(values)), values).slope if len(values) > 1 else 0.0
