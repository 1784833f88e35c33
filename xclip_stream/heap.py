"""The heap of the C library: what is freed stays in the process, or goes back to the system.

Only the GNU library can be told. Its own rule gives back what is free at the end of the heap as soon as that is twice
as much as the largest piece that was freed.
"""

import ctypes
from collections.abc import Mapping
from contextlib import suppress

_KEPT_BYTES = 32 << 20
"""So much stays. Windows of 1.2 MB are taken in through copies of the same size, and by its own rule the library would
get and return the pages of all of them with each window: 450 page faults, nearly half of what taking a window costs."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""

KEEPING_HEAP: Mapping[str, str] = {
    "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES),
    "MALLOC_MMAP_THRESHOLD_": str(_KEPT_BYTES),
}
"""Does in the environment of another program what `keep_heap` does in this process."""


def keep_heap() -> None:
    """Keep what is freed for what comes next. To be called by a process through which windows pass."""
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)


def trim_heap() -> None:
    """Give what is free back to the system.

    FFmpeg's buffers of one connection leave the heap in pieces that the next one does not always fit into. Over 1,500
    connections a reader grew by 3 KiB with each, and by 0.6 KiB when it does this.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
