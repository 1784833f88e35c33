"""What was computed of single frames, kept for the next window that shows them."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.float32]

KEPT_BYTES = 256 * 1024**2
"""Of a model that computes windows."""


class TokenCache:
    """Keeps the tokens of the frames that were seen last, found by what a frame shows: a hash of its bytes.

    Overlapping windows share frames, and a camera that is frozen or still shows one frame again and again. The hash
    costs a small part of what it saves, and unlike a frame's id it cannot be wrong: the same bytes are the same frame,
    whichever source, region or worker life they come from.

    Args:
        compute: tokens (N, P, D) of frames (N, S, S, 3); each row has to depend on its frame alone.
        max_bytes: what is kept, once no more frames are asked for at a time than fit into it.
    """

    def __init__(self, compute: Callable[[NDArray[np.uint8]], Tokens], *, max_bytes: int) -> None:
        self._compute = compute
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, Tokens] = OrderedDict()
        self._bytes = 0

    @property
    def num_bytes(self) -> int:
        """What the kept tokens take."""
        return self._bytes

    def clear(self) -> None:
        """Keep nothing of what was computed so far."""
        self._kept.clear()
        self._bytes = 0

    def tokens(self, frames: NDArray[np.uint8]) -> Tokens:
        """Return the tokens (N, P, D) of frames (N, S, S, 3), computing those that are not known, each once."""
        keys = [hashlib.sha256(np.ascontiguousarray(frame).data).digest() for frame in frames]
        new = {key: row for row, key in enumerate(keys) if key not in self._kept}
        if new:
            for key, tokens in zip(new, self._compute(frames[list(new.values())]), strict=True):
                self._kept[key] = tokens.copy()  # by itself, so that it can go by itself
                self._bytes += tokens.nbytes
        for key in keys:
            self._kept.move_to_end(key)
        wanted = np.stack([self._kept[key] for key in keys])
        while self._bytes > self._max_bytes and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes
        return wanted
