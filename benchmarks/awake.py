"""Keeps the processors of a machine from resting while something is measured."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_SPIN = """
import os, sys
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setaffinity(0, {int(sys.argv[1])})
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def awake() -> Iterator[None]:
    """Let a process turn on each processor that takes nothing from any other: it runs where there is nothing to run.

    A processor that has rested is slow for a while when it wakes, and one of a virtual machine has to be given back by
    the host first. So the same work costs the more the less there is of it, which says nothing of the work.
    """
    with ExitStack() as stack:
        for core in os.sched_getaffinity(0):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", _SPIN, str(core)]))
            stack.callback(process.kill)
        yield
