"""Blocks of a transformer in float32 on the matrix unit (AMX) of a processor, compiled by Numba.

The unit multiplies bfloat16 numbers, of eight bits, and adds in float32. A float32 number, of 24 bits, is the sum of
three of them, its planes, so that a product of two is the sum of nine products of planes. Six are computed: the other
three are below what rounding to float32 loses. It is how a TPU multiplies float32 at its highest precision.

A tile is 16 rows of 64 bytes. In memory numbers lie as the unit takes them: the left matrix of a product in panels of
32 rows, the right one in panels of 32 columns, and of either what one step of the product takes, 32 deep:

    left    (panels, steps, planes, 2 halves, 16 rows, 32 columns)
    right   (panels, steps, planes, 2 halves, 16 pairs of rows, 16 columns times 2)

What is computed of a row depends on no row beside it, to the last bit. A part of a matrix is given by the first row or
column and how many there are; panels by the first and the one behind the last.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from xclip_stream.model.amx_instructions import (
    CACHE_LINE_BYTES,
    STEP_BYTES,
    TILE_BYTES,
    TILE_ROW_BYTES,
    add_line,
    add_products,
    add_upper_products,
    clear_sums,
    exponentials,
    fetch,
    largest,
    leave_tiles,
    set_line,
    silu_line,
    split,
    split_pair,
    store_sums,
    use_tiles,
)
from xclip_stream.model.user_cache import user_cache

Numbers = NDArray[np.float32]
Panels = NDArray[np.uint16]
Range = tuple[int, int]

PANEL = 32
LINE_BYTES = 4 * PANEL
"""Of what a row of numbers has in a panel."""


def _folder() -> Path:
    """Return where compiled code is kept: Numba knows when this file has changed, but not of the other."""
    source = Path(__file__).with_name("amx_instructions.py").read_bytes()
    return user_cache("numba") / hashlib.sha256(source).hexdigest()[:16]


def _can_keep(folder: Path) -> bool:
    """Whether compiled code can be kept there: what others might have put there is not run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK) and folder.stat().st_uid == os.geteuid()


_KEPT = _folder()
numba.config.CACHE_DIR = str(_KEPT)
_PLAIN = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
_compiled = numba.njit(**_PLAIN)
_inlined = numba.njit(**_PLAIN, inline="always")
_summing = numba.njit(**_PLAIN | {"fastmath": {"contract", "nsz", "reassoc"}})
_entered = numba.njit(**_PLAIN, cache=_can_keep(_KEPT))
"""What Python calls."""

# Of float32 as all numbers here: Python's own would make float64 of whatever they meet.
_ZERO, _ONE, _NEVER = np.float32(0), np.float32(1), np.float32(-np.inf)


@_summing
def _moments(numbers: Numbers, epsilon: np.float32) -> tuple[np.float32, np.float32]:
    """Return the mean, and one by the standard deviation."""
    total = squares = _ZERO
    for at in range(len(numbers)):
        total += numbers[at]
    mean = total / np.float32(len(numbers))
    for at in range(len(numbers)):
        squares += (numbers[at] - mean) * (numbers[at] - mean)
    return mean, _ONE / np.sqrt(squares / np.float32(len(numbers)) + epsilon)


# Panels.


@_compiled
def _panel(panels: int, steps: int, number: int) -> int:
    """Return the address of a panel of so many steps."""
    return panels + number * steps * STEP_BYTES


@_compiled
def _row(left: int, steps: int, number: int) -> int:
    """Return the address of a row of left panels in the first step of its panel."""
    start: int = _panel(left, steps, number // PANEL)
    return start + (number % PANEL) * TILE_ROW_BYTES


@_compiled
def pack_left(x: Numbers, row: int, rows: int, column: int, columns: int, panels: Panels) -> None:
    """Write a part of a matrix as left panels. Rows that the last panel has more are left as they are."""
    steps = columns // PANEL
    for number in range(rows):
        source = x.ctypes.data + 4 * ((row + number) * x.shape[1] + column)
        target = _row(panels.ctypes.data, steps, number)
        for step in range(steps):
            split(source + LINE_BYTES * step, _ZERO, _ONE, target + step * STEP_BYTES)


@_compiled
def _pack_normed(x: Numbers, row: int, rows: int, epsilon: np.float32, panels: Panels) -> None:
    """Write rows of a matrix as left panels, each less its mean and by its standard deviation."""
    steps = x.shape[1] // PANEL
    for number in range(rows):
        mean, scale = _moments(x[row + number], epsilon)
        source = x.ctypes.data + 4 * (row + number) * x.shape[1]
        target = _row(panels.ctypes.data, steps, number)
        for step in range(steps):
            split(source + LINE_BYTES * step, mean, scale, target + step * STEP_BYTES)


_NOTHING = np.zeros(16, np.float32)


@_entered
def pack_right(x: Numbers, row: int, rows: int, column: int, columns: int, panels: Panels) -> None:
    """Write a part of a matrix as right panels. Rows that the last step has more are left as they are."""
    width, steps = 4 * x.shape[1], (rows + PANEL - 1) // PANEL
    for half in range(columns // 16):
        tile = panels.ctypes.data + (half // 2) * steps * STEP_BYTES + (half % 2) * TILE_BYTES
        for pair in range((rows + 1) // 2):
            source = x.ctypes.data + (row + 2 * pair) * width + 4 * (column + 16 * half)
            below = source + width if 2 * pair + 1 < rows else _NOTHING.ctypes.data
            split_pair(source, below, tile + (pair // 16) * STEP_BYTES + (pair % 16) * TILE_ROW_BYTES)


# Products.

SET, ADD, SILU = 0, 1, 2
"""What becomes of a product and its bias: it is kept, added to what is there, or kept as left panels of its SiLU."""

TILES = np.zeros(64, np.uint8)
"""The configuration: eight tiles, each of 16 rows of 64 bytes."""
TILES[0] = 1
TILES[16:32].view(np.uint16)[:] = 64
TILES[48:56] = 16


class Product(NamedTuple):
    """The weights of a product and its bias, in parts that are computed one after the other."""

    right: Panels  # (parts, panels, steps, ...)
    bias: Numbers  # (parts, columns)


@_compiled
def multiply(
    left: int, rows: int, right: Panels, panels: Range, bias: Numbers, what: int, out: int, width: int
) -> None:
    """Multiply the left panels of so many rows, at an address, with some of the right panels.

    While the unit computes a product of two panels, that of the two before is finished, and what comes is fetched.

    Args:
        out: the address of rows of so many numbers, or of left panels of so many columns: their `width`.
    """
    use_tiles(TILES.ctypes.data)
    sums = np.empty((2, PANEL, PANEL), np.float32)
    steps, count = right.shape[1], (rows + PANEL - 1) // PANEL
    # Lines of the cache for each step, so that the next panel is there when all rows have met this one.
    fetched = (STEP_BYTES // CACHE_LINE_BYTES + count - 1) // count
    before, turn = (0, 0, 0), 0  # the product before: its left panel, the lines of that, its right panel
    for panel in range(panels[0], panels[1]):
        here = _panel(right.ctypes.data, steps, panel)
        for number in range(count):
            start = _panel(left, steps, number)
            ahead = _panel(here, steps, 1) + number * steps * fetched * CACHE_LINE_BYTES
            source = sums.ctypes.data + (1 - turn) * PANEL * LINE_BYTES
            clear_sums()
            done = 0
            for step in range(steps):
                for line in range(fetched):
                    fetch(ahead + (step * fetched + line) * CACHE_LINE_BYTES)
                if rows - number * PANEL > PANEL // 2:
                    add_products(start + step * STEP_BYTES, here + step * STEP_BYTES)
                else:
                    add_upper_products(start + step * STEP_BYTES, here + step * STEP_BYTES)
                until = before[1] * (step + 1) // steps
                _finish(source, before, done, until, bias, what, out, width)
                done = until
            store_sums(sums.ctypes.data + turn * PANEL * LINE_BYTES, LINE_BYTES)
            before, turn = (number, min(PANEL, rows - number * PANEL), panel), 1 - turn
    _finish(sums.ctypes.data + (1 - turn) * PANEL * LINE_BYTES, before, 0, before[1], bias, what, out, width)
    leave_tiles()


@_inlined
def _finish(
    source: int, panels: tuple[int, int, int], line: int, until: int, bias: Numbers, what: int, out: int, width: int
) -> None:
    """Write some lines of the product of two panels to where they belong."""
    added = bias.ctypes.data + LINE_BYTES * panels[2]
    for number in range(line, until):
        place, row = source + LINE_BYTES * number, PANEL * panels[0] + number
        if what == SILU:
            silu_line(place, added, _row(out, width // PANEL, row) + panels[2] * STEP_BYTES)
        elif what == ADD:
            add_line(place, added, out + 4 * row * width + LINE_BYTES * panels[2])
        else:
            set_line(place, added, out + 4 * row * width + LINE_BYTES * panels[2])


@_entered
def product(
    x: Numbers,
    row: int,
    rows: int,
    epsilon: np.float32,
    weights: Product,
    panels: Range,
    what: int,
    left: Panels,
    out: Numbers,
    out_row: int,
) -> None:
    """Multiply rows of a matrix with some of the panels of weights, whose parts are of so many of its columns each.

    Args:
        epsilon: of the norm that each row gets before; 0 for none.
        what: `ADD` where there are several parts.
        left: scratch for left panels.
    """
    depth, width = PANEL * weights.right.shape[2], out.shape[1]
    at_once = PANEL * (2 * left.size // (weights.right.shape[2] * STEP_BYTES))
    for done in range(0, rows, at_once):
        count, target = min(at_once, rows - done), out.ctypes.data + 4 * (out_row + done) * width
        for part in range(weights.right.shape[0]):
            if epsilon > 0:
                _pack_normed(x, row + done, count, epsilon, left)
            else:
                pack_left(x, row + done, count, part * depth, depth, left)
            multiply(left.ctypes.data, count, weights.right[part], panels, weights.bias[part], what, target, width)


@_entered
def product_of_panels(left: Panels, rows: int, weights: Product, panels: Range, what: int, out: Numbers) -> None:
    """Multiply left panels with some of the panels of weights in one part, and write to the first rows of `out`."""
    right, bias = weights.right[0], weights.bias[0]
    multiply(left.ctypes.data, rows, right, panels, bias, what, out.ctypes.data, out.shape[1])


@_compiled
def _cut_patches(frames: NDArray[np.uint8], patch: int, first: int, mean: Numbers, out: Numbers) -> None:
    """Write patches of frames (N, S, 3 S), counted through all frames from the first, as rows of numbers."""
    side, line = np.uintp(frames.shape[1] // patch), np.uintp(3 * patch)
    for number in range(np.uintp(len(out))):
        place = np.uintp(first) + number
        frame, row, column = place // (side * side), place // side % side, place % side
        for y in range(np.uintp(patch)):
            for at in range(line):
                pixel = frames[frame, row * np.uintp(patch) + y, column * line + at]
                out[number, y * line + at] = np.float32(pixel) - mean[at]


@_entered
def embed(
    frames: NDArray[np.uint8],
    patch: int,
    rows: Range,
    mean: Numbers,
    weights: Product,
    scratch: "Scratch",
    out: Numbers,
) -> None:
    """Add the products of some of all patches of frames (N, S, 3 S) to their rows of `out` (N * P, D)."""
    panels = 0, out.shape[1] // PANEL
    for row in range(rows[0], rows[1], len(scratch.patches)):
        patches = scratch.patches[: rows[1] - row]
        _cut_patches(frames, patch, row, mean, patches)
        product(patches, 0, len(patches), _ZERO, weights, panels, ADD, scratch.left, out, row)


# Attention.


class AttentionScratch(NamedTuple):
    """What the attention of a head needs, zero at first; `full` tokens are so many that they fill panels."""

    queries: Panels  # left, (tokens, width)
    turned: Numbers  # (width, full)
    keys: Panels  # right, (width, tokens)
    values: Panels  # right, (tokens, width)
    scores: Numbers  # (full, full)
    shares: Panels  # left, (tokens, tokens)


@_compiled
def _pack_shares(scores: Numbers, tokens: int, panels: Panels) -> None:
    """Write the softmax of each of the first lines of scores as left panels."""
    steps = scores.shape[1] // PANEL
    for token in range(tokens):
        line = scores.ctypes.data + 4 * token * scores.shape[1]
        for at in range(tokens, scores.shape[1]):
            scores[token, at] = _NEVER
        most = largest(line)
        for step in range(1, steps):
            most = max(most, largest(line + LINE_BYTES * step))
        total = _ZERO
        for step in range(steps):
            total += exponentials(line + LINE_BYTES * step, most)
        target = _row(panels.ctypes.data, steps, token)
        for step in range(steps):
            split(line + LINE_BYTES * step, _ZERO, _ONE / total, target + step * STEP_BYTES)


@_compiled
def _multiply_panels(left: int, right: int, steps: int, target: int, row_bytes: int) -> None:
    """Write the product of two panels as 32 rows of 32 numbers, all at addresses."""
    clear_sums()
    for step in range(steps):
        add_products(left + step * STEP_BYTES, right + step * STEP_BYTES)
    store_sums(target, row_bytes)


@_entered
def attend(qkv: Numbers, row: int, tokens: int, heads: int, scratch: AttentionScratch, seen: Panels) -> None:
    """Let tokens attend to each other: queries, keys and values (rows, 3 D) to the same rows of left panels."""
    use_tiles(TILES.ctypes.data)
    sums = np.empty((PANEL, PANEL), np.float32)
    all_heads = qkv.shape[1] // 3
    width, count = all_heads // heads, scratch.keys.shape[0]
    steps = width // PANEL
    for head in range(heads):
        column = head * width
        pack_left(qkv, row, tokens, column, width, scratch.queries)
        for at in range(width):
            for token in range(tokens):
                scratch.turned[at, token] = qkv[row + token, all_heads + column + at]
        pack_right(scratch.turned, 0, width, 0, PANEL * count, scratch.keys)
        pack_right(qkv, row, tokens, 2 * all_heads + column, width, scratch.values)
        for number in range(count):
            left = _panel(scratch.queries.ctypes.data, steps, number)
            for panel in range(count):
                target = scratch.scores.ctypes.data + LINE_BYTES * (number * PANEL * count + panel)
                _multiply_panels(
                    left, _panel(scratch.keys.ctypes.data, steps, panel), steps, target, LINE_BYTES * count
                )
        _pack_shares(scratch.scores, tokens, scratch.shares)
        for number in range(count):
            left = _panel(scratch.shares.ctypes.data, count, number)
            for panel in range(steps):
                right = _panel(scratch.values.ctypes.data, count, panel)
                _multiply_panels(left, right, count, sums.ctypes.data, LINE_BYTES)
                for at in range(min(PANEL, tokens - number * PANEL)):
                    target = _row(seen.ctypes.data, all_heads // PANEL, row + number * PANEL + at)
                    target += (head * steps + panel) * STEP_BYTES
                    split(sums.ctypes.data + LINE_BYTES * at, _ZERO, _ONE, target)
    leave_tiles()


# Blocks.


class Block(NamedTuple):
    """The weights of a block. Those of its MLP are in parts of the hidden numbers, each as wide as a token."""

    qkv: Product
    out: Product
    fc1: Product
    fc2: Product


class Scratch(NamedTuple):
    """What a thread needs to compute a block for some rows of tokens."""

    patches: Numbers  # (some of the rows, numbers of a patch, up to a whole step)
    left: Panels  # as many of the rows
    hidden: Panels  # left, as many
    qkv: Numbers  # (rows, 3 D)
    seen: Panels  # left, of all rows
    attention: AttentionScratch


@_entered
def compute_block(
    x: Numbers, row: int, frames: int, tokens: int, heads: int, weights: Block, epsilon: np.float32, scratch: Scratch
) -> None:
    """Compute a block for frames whose tokens attend to each other: rows of x (rows, D), in place."""
    rows, width = frames * tokens, x.shape[1]
    panels = 0, width // PANEL
    product(x, row, rows, epsilon, weights.qkv, (0, 3 * panels[1]), SET, scratch.left, scratch.qkv, 0)
    for frame in range(frames):
        attend(scratch.qkv, frame * tokens, tokens, heads, scratch.attention, scratch.seen)
    out, fc1, fc2 = weights.out, weights.fc1, weights.fc2
    at_once = PANEL * len(scratch.left)
    for done in range(0, rows, at_once):
        count, target = min(at_once, rows - done), x.ctypes.data + 4 * (row + done) * width
        seen = _panel(scratch.seen.ctypes.data, panels[1], done // PANEL)
        multiply(seen, count, out.right[0], panels, out.bias[0], ADD, target, width)
        _pack_normed(x, row + done, count, epsilon, scratch.left)
        left, hidden = scratch.left.ctypes.data, scratch.hidden.ctypes.data
        for part in range(len(fc1.right)):
            multiply(left, count, fc1.right[part], panels, fc1.bias[part], SILU, hidden, width)
            multiply(hidden, count, fc2.right[part], panels, fc2.bias[part], ADD, target, width)
