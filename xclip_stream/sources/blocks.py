"""Has anything moved between two small grey pictures of a whole frame, of a camera that stands still? Pure.

It decides what is decoded. What of that is worth scoring is told from pictures at model size: `xclip_stream/tiles.py`.
"""

from collections.abc import Sequence
from math import ceil
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from xclip_stream.types import Box

Grey: TypeAlias = npt.NDArray[np.uint8]
"""A small grey picture (H, W), each pixel the mean of a block of the frame."""
Blocks: TypeAlias = npt.NDArray[np.bool_]
"""Which blocks of a small grey picture count, (H, W)."""

GRID_PX = (160, 90)
"""Width and height of small grey pictures: at 1080p a block is 12 pixels wide, so that a small figure fills several."""

_LEAST_CHANGE = 6.0
"""Grey levels by which a block has to change; coding alone changes still blocks by two or three."""
_NOISE_FACTOR = 7.0
"""The same in standard deviations of the noise of this pair of pictures."""
_MOST_CHANGE = 32.0
"""A block that has changed by this has changed, whatever the others do: all of the view may be another."""
_MOST_EXPOSURE = 24.0
"""A camera's exposure changes by less between two pictures; more is a light that was switched."""
_LEAST_BLOCKS = 2


def has_moved(before: Grey, after: Grey, *, counts: Blocks | None = None) -> bool:
    """Return whether something moved between two small grey pictures, or the view changed.

    Blocks are compared one by one, so that a small figure counts as much as a large one. A change of the whole picture
    by the same small amount, as by a camera's exposure, does not count.

    Args:
        counts: the blocks that are looked at; by default all.
    """
    change = after.astype(np.int16) - before
    exposure = np.int16(np.median(change[::2, ::2]))
    if abs(exposure) > _MOST_EXPOSURE:
        return True
    change -= exposure
    size = np.abs(change)
    # From the blocks that have changed least, so that what moves does not hide itself.
    noise = 1.48 * float(np.median(size[::2, ::2]))
    has_changed = size > min(_MOST_CHANGE, max(_LEAST_CHANGE, _NOISE_FACTOR * noise))
    changed = np.count_nonzero(has_changed if counts is None else has_changed & counts)
    return bool(changed >= _LEAST_BLOCKS)


def watched_blocks(regions: Sequence[Box], masks: Sequence[Box]) -> Blocks:
    """Return the blocks that lie, also in part, in one of the regions, and in no mask."""
    width, height = GRID_PX
    counts = np.zeros((height, width), np.bool_)
    for boxes, value in ((regions, True), (masks, False)):
        for x0, y0, x1, y1 in boxes:
            counts[int(y0 * height) : ceil(y1 * height), int(x0 * width) : ceil(x1 * width)] = value
    return counts
