"""The scores of rules over time, for drawing: many windows at once, and as few points as a screen has columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xclip_stream.rules import Rule
from xclip_stream.types import Scores
from xclip_stream.weighing import weigh_windows

Line = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One rule in one region: the lowest and the highest score of the windows of each point, or NaN."""

    rule: Rule
    region: str
    lows: Line
    highs: Line


@dataclass(frozen=True, slots=True)
class Chart:
    """The scores of one source. `times` is the event time of the last window of each point, in order."""

    times: Line
    series: tuple[Series, ...]


def chart_of(history: Sequence[Scores], rules: Sequence[Rule], *, source_id: str, max_points: int) -> Chart:
    """Return what the rules that watch a source make of its history, in at most `max_points` points.

    A point that holds a window without a score (a camera that was lost, a window that was dropped) and no other has
    none either, so that a line has its gaps.
    """
    ordered = sorted(history, key=lambda scores: scores.captured_at)
    times = np.array([scores.captured_at for scores in ordered], np.float64)
    edges = _edges(times, max_points)
    lines = [
        Series(rule, region, *_reduced(line, edges))
        for rule, region, line in _lines(ordered, [rule for rule in rules if rule.watches(source_id)])
    ]
    return Chart(times[np.append(edges[1:], len(times)) - 1] if len(times) else times, tuple(lines))


def _lines(ordered: Sequence[Scores], rules: Sequence[Rule]) -> Iterator[tuple[Rule, str, Line]]:
    """Yield the score of each rule in each region at each window."""
    layouts: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for index, scores in enumerate(ordered):
        if scores.is_scored:
            layouts.setdefault((scores.regions, scores.prompts), []).append(index)
    blocks = [(*layout, indices, _stacked(ordered, indices)) for layout, indices in layouts.items()]
    for rule in rules:
        for region in rule.regions:
            line = np.full(len(ordered), np.nan)
            for regions, prompts, indices, logits in blocks:
                if region in regions:
                    columns = {prompt: column for column, prompt in enumerate(prompts)}
                    line[indices] = weigh_windows(
                        rule.prompts, rule.background, columns, logits[:, regions.index(region)]
                    )
            if len(ordered) and not np.isnan(line).all():
                yield rule, region, line


def _stacked(ordered: Sequence[Scores], indices: Sequence[int]) -> Line:
    return np.stack([ordered[index].logits for index in indices]).astype(np.float64)


def _edges(times: Line, max_points: int) -> NDArray[np.intp]:
    """Return where each point begins among the windows: points are equally long in time."""
    if len(times) <= max_points:
        return np.arange(len(times))
    span_s = max(float(times[-1] - times[0]), 1e-9)
    columns = np.minimum(((times - times[0]) / span_s * max_points).astype(np.intp), max_points - 1)
    return np.flatnonzero(np.diff(columns, prepend=-1))


def _reduced(line: Line, edges: NDArray[np.intp]) -> tuple[Line, Line]:
    # fmin and fmax pass over NaN where there is a number.
    return np.fmin.reduceat(line, edges), np.fmax.reduceat(line, edges)
