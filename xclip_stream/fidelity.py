"""How faithful a quicker model is to the exact one, told from both models' answers to the same windows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What was compared over a number of windows.

    Args:
        cosine_p1: the 1st percentile of the cosine between both models' vectors of a window, from which the mean of the
            exact ones is taken first: without that, vectors of unrelated windows agree too.
        score_p99: the 99th percentile of the difference of a rule's score, 0 to 1.
        score_max: its largest value.
        best_prompt: the share of windows in which both put the same prompt first.
        events: how many events the exact model's scores start.
        missed: how many of them the quicker one's do not.
        extra: how many more the quicker one's start.
    """

    windows: int
    cosine_p1: float
    score_p99: float
    score_max: float
    best_prompt: float
    events: int
    missed: int
    extra: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is taken for faithful."""

    cosine_p1: float = 0.97
    score_p99: float = 0.03
    best_prompt: float = 0.98
    other_events: int = 0
    """Missed and extra ones together."""


Start = tuple[str, str, float]
"""The beginning of an event: source, rule and event time in seconds."""


def compare(
    vectors: tuple[Floats, Floats],
    best: tuple[Sequence[int], Sequence[int]],
    scores: tuple[Floats, Floats],
    starts: tuple[Sequence[Start], Sequence[Start]],
    *,
    within_s: float,
) -> Fidelity:
    """Compare the answers of the exact model, first of each pair, with those of a quicker one.

    Args:
        vectors: of the windows, (N, E).
        best: the number of the prompt with the highest logit, of each window.
        scores: whatever the rules have judged, in the same order, of any shape; NaN where one does not judge.
        starts: of the events.
        within_s: events of one rule whose starts are no further apart are the same.

    Raises:
        ValueError: there are no windows, or not as many of both.
    """
    exact, quick = (np.asarray(pair, np.float64) for pair in vectors)
    if not len(exact) or exact.shape != quick.shape:
        raise ValueError(f"{exact.shape} and {quick.shape} are not vectors of the same windows")
    middle = exact.mean(axis=0)
    differences = np.abs(np.asarray(scores[0], np.float64) - np.asarray(scores[1], np.float64))
    differences = differences[~np.isnan(differences)]
    missed, extra = _unmatched(*starts, within_s=within_s)
    return Fidelity(
        windows=len(exact),
        cosine_p1=float(np.percentile(_cosines(exact - middle, quick - middle), 1)),
        score_p99=float(np.percentile(differences, 99)) if differences.size else 0.0,
        score_max=float(differences.max(initial=0.0)),
        best_prompt=float(np.mean(np.asarray(best[0]) == np.asarray(best[1]))),
        events=len(starts[0]),
        missed=missed,
        extra=extra,
    )


def shortfalls(found: Fidelity, bounds: Bounds) -> list[str]:
    """Return what is not faithful enough, a sentence each; nothing where all is."""
    said = []
    if not found.cosine_p1 >= bounds.cosine_p1:
        said.append(f"vectors agree to {found.cosine_p1:.3f} (1st percentile), wanted {bounds.cosine_p1:g}")
    if not found.score_p99 <= bounds.score_p99:
        said.append(f"scores differ by {found.score_p99:.3f} (99th percentile), allowed {bounds.score_p99:g}")
    if not found.best_prompt >= bounds.best_prompt:
        said.append(
            f"the best prompt is the same in {100 * found.best_prompt:.1f} % of windows, "
            f"wanted {100 * bounds.best_prompt:g} %"
        )
    if found.missed + found.extra > bounds.other_events:
        said.append(f"of {found.events} events {found.missed} are missed, and {found.extra} are new")
    return said


def _cosines(exact: NDArray[np.float64], quick: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of each row with its counterpart; two rows of zeros agree, and one alone does not."""
    lengths = np.linalg.norm(exact, axis=1), np.linalg.norm(quick, axis=1)
    both = lengths[0] * lengths[1]
    cosines = (exact * quick).sum(axis=1) / np.where(both > 0, both, 1.0)
    return np.where((lengths[0] == 0) & (lengths[1] == 0), 1.0, cosines)


def _unmatched(exact: Sequence[Start], quick: Sequence[Start], *, within_s: float) -> tuple[int, int]:
    """Return how many starts of each side have no counterpart; each is the counterpart of one."""
    left = sorted(quick, key=lambda start: start[2])
    missed = 0
    for source_id, rule_id, at in sorted(exact, key=lambda start: start[2]):
        found = next((s for s in left if s[:2] == (source_id, rule_id) and abs(s[2] - at) <= within_s), None)
        if found is None:
            missed += 1
        else:
            left.remove(found)
    return missed, len(left)
