"""Names of processes by which others on the same machine can tell whether one is still there."""

import os
import socket
from pathlib import Path
from uuid import uuid4

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_STATE, _STARTED_AT = 0, 19
"""Fields of /proc/PID/stat after the name of the program, from 0: see proc(5)."""


def process_name() -> str:
    """Return a name of this process, unlike that of any other anywhere: `host-pid@world:start`."""
    started_at = _started_at(os.getpid()) or uuid4().hex
    return f"{socket.gethostname()}-{os.getpid()}@{_world()}:{started_at}"


def is_known_dead(name: str) -> bool:
    """Return True when this is the name of a process that has ended, False also where nobody can tell.

    Args:
        name: what `process_name` gave, with or without something behind a slash.
    """
    who, _, where = name.partition("/")[0].partition("@")
    world, _, started_at = where.partition(":")
    pid = who.rpartition("-")[2]
    if not pid.isdecimal() or not world or world != _world():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    now = _started_at(int(pid))
    return now is not None and now != started_at


def _world() -> str:
    """Return what the processes have in common whose ids mean the same: the boot, and the namespace of the ids."""
    try:
        return f"{_BOOT_ID.read_text().strip()}.{_PID_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""


def _started_at(pid: int) -> str | None:
    """Return when a process was started, in ticks since the boot; "" for one that has ended and still has its id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[_STATE] in {"Z", "X"} else fields[_STARTED_AT]
