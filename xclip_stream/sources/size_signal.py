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
        self._moving: deque[Floats | None] = deque(maxlen=_KEPT_MOVING)
        """Moving intervals; None for one whose weights are not known, since it was taken for still."""
        self._known_band: _Band | None = None
        self._known_missed: float | None = None
        """What follows from the intervals, until another one is learned."""

    @property
    def is_ready(self) -> bool:
        """True once there is something to compare with."""
        return len(self._still) >= _READY

    @property
    def moving(self) -> int:
        """How many moving intervals it has been tried on, of the last ones."""
        return len(self._moving)

    @property
    def missed(self) -> float:
        """The share of them that it would not tell, as it is now; 1 where there were none."""
        if self._known_missed is None:
            told = sum(weights is not None and self.suspects(weights) for weights in self._moving)
            self._known_missed = 1.0 - told / len(self._moving) if self._moving else 1.0
        return self._known_missed

    def learn_still(self, weights: Sequence[float]) -> None:
        """Learn from an interval that was decoded, and in which nothing moved; its key frame is the first."""
        if len(weights) < 2:  # a stream of key frames has no places
            return
        self._still.append(np.asarray(weights, np.float64))
        self._known_band = self._known_missed = None

    def learn_moving(self, weights: Sequence[float]) -> None:
        """Learn from an interval that was decoded, and in which something moved."""
        if self.is_ready:
            self._moving.append(np.asarray(weights, np.float64))
            self._known_missed = None

    def note_missed(self) -> None:
        """Learn that something moved in an interval that looked still."""
        self._moving.append(None)
        self._known_missed = None

    def suspects(self, weights: Sequence[float] | Floats) -> bool:
        """Return whether an interval looks unlike the still ones, as a whole or in a part. Always until it is ready."""
        band = self._band()
        if band is None or len(weights) < 2:
            return True
        mean, run, key = _deviation(np.asarray(weights, np.float64), band.places)
        return mean > band.mean or run > band.run or key > band.key

    def suspects_whole(self, weights: Sequence[float]) -> bool:
        """Return whether one looks unlike them as a whole; `suspects_end` was asked after each of its packets."""
        band = self._band()
        if band is None or len(weights) < 2:
            return True
        mean, run, key = _deviation(np.asarray(weights, np.float64), band.places)
        return mean > band.mean or key > band.key or (len(weights) <= _RUN and run > band.run)

    def suspects_end(self, weights: Sequence[float]) -> bool:
        """Return whether the last packets of an interval that goes on look unlike those of the still ones."""
        band = self._band()
        if band is None or len(weights) <= _RUN:
            return False
        places = _places(band.places, len(weights))
        difference = sum(weights[-_RUN:]) - float(places[len(weights) - _RUN : len(weights)].sum())
        return abs(difference) / _RUN > band.run

    def _band(self) -> _Band | None:
        if self._known_band is None and self.is_ready:
            self._known_band = _band_of(self._still, margin=self._margin)
        return self._known_band


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
