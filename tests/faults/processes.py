"""What /proc says of a process: whether it grows."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """What some processes hold at one moment, together."""

    fds: int
    threads: int
    rss_bytes: int
    processes: int

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.fds + other.fds,
            self.threads + other.threads,
            self.rss_bytes + other.rss_bytes,
            self.processes + other.processes,
        )


def usage(pid: int) -> Usage:
    """Return what a process and all that it started hold now; what has ended holds nothing."""
    total = Usage(0, 0, 0, 0)
    for member in family(pid):
        total += _usage_of(member)
    return total


def family(pid: int) -> list[int]:
    """Return a process and all its descendants: an ingest worker, its fork server, the readers."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (parent := _parent(folder)) is not None:
            children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def state(pid: int) -> str:
    """Return the state letter of a process: R runs, S sleeps, T is stopped, Z is dead; "" when it is gone."""
    fields = _stat(Path(f"/proc/{pid}"))
    return fields[0] if fields else ""


def _usage_of(pid: int) -> Usage:
    folder = Path(f"/proc/{pid}")
    try:
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        fds = sum(1 for _ in (folder / "fd").iterdir())
        rss_bytes = 1024 * int(status["VmRSS"].split()[0])
    except (OSError, KeyError):  # it has ended, or is about to
        return Usage(0, 0, 0, 0)
    return Usage(fds, int(status["Threads"]), rss_bytes, 1)


def _parent(folder: Path) -> int | None:
    fields = _stat(folder)
    return int(fields[1]) if fields else None


def _stat(folder: Path) -> list[str]:
    """Return the fields of `stat` after the name, which may hold blanks and brackets itself."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def own_bytes(pid: int) -> int:
    """Return the memory that a process shares with no other; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    sizes = dict(line.split(":", 1) for line in lines[1:])
    return 1024 * sum(int(sizes[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
