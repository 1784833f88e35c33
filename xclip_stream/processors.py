"""How many processors a process may use, where a container or a unit of systemd limits their time."""

from math import ceil
from pathlib import Path

_ROOT, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processor_limit(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Return how many processors this process may keep busy by the quota of its control group; None for no limit.

    What counts is the tightest of the group's own quota and of those around it, in version 2 of control groups. More
    threads than that would be stopped for a part of each tenth of a second.

    Args:
        root: where the groups are mounted.
        own: says which of them this process is in.
    """
    try:
        groups = [line.removeprefix("0::/") for line in own.read_text().splitlines() if line.startswith("0::/")]
    except OSError:
        return None
    limits = []
    for group in groups:
        for folder in (root / group, *(root / group).parents):
            if folder.is_relative_to(root):
                limits += _quota(folder / "cpu.max")
    return min(limits, default=None)


def _quota(path: Path) -> list[int]:
    try:
        quota, period = path.read_text().split()
    except OSError:
        return []
    return [] if quota == "max" else [max(1, ceil(int(quota) / int(period)))]
