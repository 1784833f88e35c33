"""What processes have used and hold, from /proc: by role, with all that they have started. See proc(5)."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ROLE = re.compile(r"-m (?:workers|benchmarks)\.(\w+)|redis-server|forkserver|xclip-stream\b|resource_tracker")
_NAMES = {"redis-server": "redis", "forkserver": "ingest", "resource_tracker": "ingest", "xclip-stream": "supervisor"}
_ALIASES = {"free_scorer": "score"}
_CHILDREN_TICKS = (13, 14)
"""Fields of `stat` after the name, from 0: user and system time of the children that have ended."""


@dataclass(frozen=True, slots=True)
class Use:
    """Of the processes of one role: processor seconds so far, and MiB held now.

    `cpu_s` has what their children have used that have ended. `rss_mib` counts a page that two of them share twice,
    `pss_mib` once.
    """

    cpu_s: float = 0.0
    rss_mib: float = 0.0
    pss_mib: float = 0.0
    processes: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(
            self.cpu_s + other.cpu_s,
            self.rss_mib + other.rss_mib,
            self.pss_mib + other.pss_mib,
            self.processes + other.processes,
        )


def use_by_role(roots: Iterable[int], *, memory: bool = True) -> dict[str, Use]:
    """Return what some processes and their descendants have used, by role.

    Args:
        memory: look at the memory too, for which the kernel walks through all pages.
    """
    totals: dict[str, Use] = defaultdict(Use)
    waiting, inherited = list(roots), dict[int, str]()
    while waiting:
        pid = waiting.pop()
        folder = Path(f"/proc/{pid}")
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            own_s = time.clock_gettime(_clock_of(pid))
            memory_mib = _memory_mib(folder) if memory else (0.0, 0.0)
            children = children_of(pid)
        except (OSError, ValueError):
            continue
        role = _role_of(command) or inherited.get(pid, "other")
        inherited |= dict.fromkeys(children, role)
        waiting += children
        children_s = sum(int(fields[place]) for place in _CHILDREN_TICKS) / TICKS_PER_S
        totals[role] += Use(own_s + children_s, *memory_mib, 1)
    return dict(totals)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not ended.

    Threads end while one looks, each with its folder: a worker that starts one for each batch is still there.

    Raises:
        OSError: the process is gone.
    """
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def _clock_of(pid: int) -> int:
    """Return the clock of a process's processor time, to the nanosecond, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | 2


def spent(before: Mapping[str, Use], after: Mapping[str, Use]) -> dict[str, float]:
    """Return the processor seconds of each role between two looks."""
    return {role: use.cpu_s - before.get(role, Use()).cpu_s for role, use in after.items()}


def _role_of(command: str) -> str | None:
    found = _ROLE.search(command)
    if found is None:
        return None
    name = found[1] or found[0]
    return _ALIASES.get(name, _NAMES.get(name, name))


def _memory_mib(folder: Path) -> tuple[float, float]:
    """Return resident and proportional memory."""
    sizes = dict(line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
    return tuple(int(sizes[name].split()[0]) / 1024 for name in ("Rss", "Pss"))  # type: ignore[return-value]  # two
