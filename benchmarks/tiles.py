"""The matrix unit alone: products of one block with itself, which never leaves the first cache."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xclip_stream.model.amx_instructions import STEP_BYTES, add_products, clear_sums, leave_tiles, use_tiles
from xclip_stream.model.amx_kernels import PANEL, TILES


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _add_up(block: NDArray[np.uint8], times: int) -> None:
    use_tiles(TILES.ctypes.data)
    clear_sums()
    place = block.ctypes.data + (-block.ctypes.data) % 64
    for _ in range(times):
        add_products(place, place)
    leave_tiles()


def add_up(times: int) -> None:
    _add_up(np.zeros(STEP_BYTES + 64, np.uint8), times)


def operations(times: int) -> int:
    """Return the arithmetic of float32 in so many products of steps."""
    return times * 2 * PANEL**3
