import ctypes
import gc
import platform
from pathlib import Path

import pytest

from tests.videos import steady, write_video
from xclip_stream.sources.decoding import open_video

TIMES = 1000
BYTES_EACH = 75
"""Half of what was lost each time: the heap itself wanders by some bytes."""


class _Heap(ctypes.Structure):
    """`struct mallinfo2` of the GNU C library."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "rest", "top")
    )


def heap_in_use() -> int:
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Heap
    gc.collect()
    heap = ask()
    return int(heap.uordblks + heap.hblkhd)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library can be asked")
def test_reading_that_is_given_up_leaves_nothing_on_the_heap(tmp_path: Path) -> None:
    clip = str(write_video(tmp_path / "clip.mp4", steady(10, 1)))

    def look_at() -> None:
        video = open_video(clip, options={}, shown="clip")
        next(video.packets(note=lambda _: None, is_fatal=lambda _: True))
        video.close()

    for _ in range(100):
        look_at()
    before = heap_in_use()
    for _ in range(TIMES):
        look_at()

    assert heap_in_use() - before < BYTES_EACH * TIMES
