"""Tells whether anything has changed in a picture that the model would see, at its size and in colour: pure.

A picture is looked at in tiles of a few pixels, so that a figure of five by ten pixels fills some of them and noise of
the sensor is averaged away. What is the same in all tiles is the light, and no motion. Of what is left a tile that
differs by more than the noise of its picture has changed; the noise is estimated from the tiles themselves, most of
which show nothing new. It never excuses much: a picture that is all noise, or all motion, is one that has changed.

Whether a camera has to be decoded at all is told from coarser pictures of whole frames: `sources/blocks.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xclip_stream.types import Pixels

Tiles = NDArray[np.float32]
"""The mean colour of each tile: float32 (R, N, N, 3), grey levels 0 to 255."""

_TO_DEVIATION = 1.4826
"""Of a normal distribution the median distance from the median, times this, is the standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How much may differ in a picture in which nothing is new. All levels are grey levels, 0 to 255.

    `tile_px` is the side of a tile. A tile has changed when it differs by more than `deviations` of the noise, but
    never by less than `least`, and always by more than `most`. The light of the whole picture may differ by `light`.
    """

    tile_px: int
    least: float
    most: float
    deviations: float
    light: float


CONSERVATIVE = Tolerance(tile_px=4, least=3.0, most=10.0, deviations=4.0, light=3.0)
"""Nothing but noise and a little light. A tree in the wind is motion, and so is somebody who breathes nearby."""
AGGRESSIVE = Tolerance(tile_px=8, least=6.0, most=16.0, deviations=6.0, light=12.0)
"""Leaves, slow clouds and somebody who stands about are passed over, and small or faint figures may be."""


def tiles_of(pictures: Pixels, *, tile_px: int) -> Tiles:
    """Return the tiles of pictures (R, S, S, 3). Those at the right and lower edge are narrower where S is uneven."""
    size = pictures.shape[1]
    edges = np.arange(0, size, tile_px)
    widths = np.diff(edges, append=size).astype(np.float32)
    # uint16 holds the sum of a row of a tile, which is narrower than 257 pixels.
    rows = np.add.reduceat(pictures, edges, axis=1, dtype=np.uint16).astype(np.float32)
    sums = np.add.reduceat(rows, edges, axis=2)
    tiles: Tiles = sums / (widths[:, np.newaxis, np.newaxis] * widths[np.newaxis, :, np.newaxis])
    return tiles


def has_changed(now: Tiles, before: Tiles, tolerance: Tolerance) -> bool:
    """Tell whether any of R pictures shows something new."""
    if now is before:
        return False
    if now.shape != before.shape:
        return True
    difference = (now - before).reshape(len(now), -1, 3)
    light = np.median(difference, axis=1, keepdims=True)
    if np.abs(light).max(initial=0.0) > tolerance.light:
        return True
    distance = np.abs(difference - light).max(axis=2)
    noise = _TO_DEVIATION * np.median(distance, axis=1)
    limit = np.clip(tolerance.deviations * noise, tolerance.least, tolerance.most)
    return bool((distance.max(axis=1) > limit).any())
