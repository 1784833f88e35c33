"""Becomes the program that it is told, and makes it end with the process that started it.

Run as a file of its own, `launcher.py PARENT_PID PROGRAM ARGUMENT…`: it imports nothing of the package, and doing this
in a child that is already a program of its own is safe in a process with threads, which a `preexec_fn` is not.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.umask(0o077)  # the server's files hold pictures, and its folder may be open to others
    # The parent may have died before it could be watched.
    if os.getppid() == parent:
        os.execv(program, sys.argv[2:])  # noqa: S606 - becoming the program is the point


if __name__ == "__main__":
    main()
