"""Do the sizes of a camera's packets tell that something moves? Learned for each camera, and doubted. Pure.

A packet's `weight` is the logarithm of its bytes, where it can be read with its quantiser (see `slice_qp`): what the
encoder had to spend, whether the camera holds its quality or its bit rate. Weights repeat from key frame to key frame,
so each is compared with what came at the same place of earlier still intervals.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
import numpy.typing as npt

from xclip_stream.sources.slice_qp import Quantised

Floats = npt.NDArray[np.float64]

_KEPT_STILL = 32
_KEPT_MOVING = 40
_READY = 8
"""So many still intervals have to be known before one can be compared with them."""
_RUN = 6
"""Packets over which a short movement is looked for."""
_ORDINARY = 0.9
"""The share of still intervals that count: one in which the encoder settled, or something moved unseen, must not."""
_LEAST = (0.04, 0.10, 0.04)
"""Octaves by which the mean of an interval, a run of packets and a key frame always may differ."""


def weight_of(size_bytes: int, quantised: Quantised | None) -> float:
    """Return the weight of a packet, in octaves: six steps of the quantiser halve the bytes."""
    if quantised is None:
        return log2(max(1, size_bytes))
    return log2(max(1, quantised.num_bytes)) + quantised.qp / 6


@dataclass(frozen=True, slots=True)
class _Band:
    """What is usual: the weight at each place of an interval, and how far a still interval is from it at most."""

    places: Floats
    mean: float
    run: float
    key: float


class SizeSignal:
    """Tells from weights whether an interval between two key frames looks like the still ones that were seen.

    What deviates in either direction is suspicious. Whether suspicion is to be relied upon follows from the moving
    intervals that were decoded: how many of them it would have told.

    Args:
        margin: how much further from the usual a suspicious interval is than nine in ten still ones.
    """

    def __init__(self, *, margin: float = 1.4) -> None:
        self._margin = margin
        self._still: deque[Floats] = deque(maxlen=_KEPT_STILL)
        self._told: deque[bool] = deque(maxlen=_KEPT_MOVING)
        self._band: _Band | None = None

    @property
    def is_ready(self) -> bool:
        """True once there is something to compare with."""
        return self._band is not None

    @property
    def moving(self) -> int:
        """How many moving intervals it has been tried on, of the last ones."""
        return len(self._told)

    @property
    def missed(self) -> float:
        """The share of them that it did not tell; 1 where there were none."""
        return 1.0 - sum(self._told) / len(self._told) if self._told else 1.0

    def learn_still(self, weights: Sequence[float]) -> None:
        """Learn from an interval that was decoded, and in which nothing moved; its key frame is the first."""
        if len(weights) < 2:  # a stream of key frames has no places
            return
        self._still.append(np.asarray(weights, np.float64))
        if len(self._still) >= _READY:
            self._band = _band_of(self._still, margin=self._margin)

    def learn_moving(self, weights: Sequence[float]) -> None:
        """Learn from an interval that was decoded, and in which something moved."""
        if self._band is not None:
            self._told.append(self.suspects(weights))

    def note_missed(self) -> None:
        """Learn that something moved in an interval that looked still."""
        self._told.append(False)

    def suspects(self, weights: Sequence[float]) -> bool:
        """Return whether a whole interval looks unlike the still ones. Not before it is ready."""
        if self._band is None or len(weights) < 2:
            return True
        mean, run, key = _deviation(np.asarray(weights, np.float64), self._band.places)
        return mean > self._band.mean or run > self._band.run or key > self._band.key

    def suspects_end(self, weights: Sequence[float]) -> bool:
        """Return whether the last packets of an interval that goes on look unlike those of the still ones."""
        if self._band is None or len(weights) <= _RUN:
            return False
        places = _places(self._band.places, len(weights))
        difference = sum(weights[-_RUN:]) - float(places[len(weights) - _RUN : len(weights)].sum())
        return abs(difference) / _RUN > self._band.run


def _band_of(intervals: Sequence[Floats], *, margin: float) -> _Band:
    longest = max(map(len, intervals))
    table = np.full((len(intervals), longest), np.nan)
    for row, weights in zip(table, intervals, strict=True):
        row[: len(weights)] = weights
    places = np.nanmedian(table, axis=0)
    far = np.array([_deviation(weights, places) for weights in intervals])
    mean, run, key = np.maximum(margin * np.quantile(far, _ORDINARY, axis=0, method="lower"), _LEAST)
    return _Band(places, float(mean), float(run), float(key))


def _deviation(weights: Floats, places: Floats) -> tuple[float, float, float]:
    """Return how far an interval is from the usual: on the mean, over its worst run of packets, at its key frame."""
    residual = weights - _places(places, len(weights))
    after = residual[1:]
    sums = np.cumsum(np.concatenate(([0.0], after)))
    run = min(_RUN, len(after))
    worst = np.abs(sums[run:] - sums[:-run]).max() / run
    return abs(float(after.mean())), float(worst), abs(float(residual[0]))


def _places(places: Floats, length: int) -> Floats:
    """Return the usual weights of an interval of this length; behind the longest that is known, its last one's."""
    if length <= len(places):
        return places[:length]
    return np.concatenate((places, np.full(length - len(places), places[-1])))
