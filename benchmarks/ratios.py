"""Statistics of measured rounds: medians, spreads, and ratios of what was measured side by side. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """What a number of rounds gave. `low` and `high` are the quartiles: half of the rounds lie between them."""

    rounds: int
    median: float
    low: float
    high: float
    least: float
    most: float


def spread_of(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value.

    Raises:
        ValueError: there is none, or one is not finite.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError("a spread needs finite values, at least one")
    return Spread(
        rounds=len(values),
        median=median(values),
        low=quantile(values, 0.25),
        high=quantile(values, 0.75),
        least=min(values),
        most=max(values),
    )


def ratio_spread(rival: Sequence[float], ours: Sequence[float]) -> Spread:
    """Return how many times the rival's cost is ours, round by round: over 1 is in our favour.

    The ratio of each round comes first and the median after it, so that whatever else the machine did in a round has
    met both alike.

    Raises:
        ValueError: the rounds are not the same, or none, or a cost is not above zero.
    """
    if len(rival) != len(ours):
        raise ValueError(f"{len(rival)} rounds of the rival beside {len(ours)} of ours")
    if any(cost <= 0 for cost in (*rival, *ours)):
        raise ValueError("a cost that is not above zero was not measured")
    return spread_of([theirs / own for theirs, own in zip(rival, ours, strict=True)])


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies, between two of them where it falls between."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def largest_deviation(cost_each: Mapping[int, float]) -> float:
    """Return how far the cost of a window is from their mean at most, as a share of it, over all numbers of sources.

    Raises:
        ValueError: there are fewer than two numbers of sources.
    """
    if len(cost_each) < 2:
        raise ValueError("one number of sources has nothing to deviate from")
    middle = sum(cost_each.values()) / len(cost_each)
    return max(abs(cost - middle) for cost in cost_each.values()) / middle


def straight_line(amounts: Mapping[float, float]) -> tuple[float, float]:
    """Return what is there once and what each unit adds: the line with the least squares of relative differences.

    Raises:
        ValueError: there are fewer than two points, or an amount is not above zero.
    """
    if len(amounts) < 2 or any(amount <= 0 for amount in amounts.values()):
        raise ValueError("a line needs two points above zero")
    weights = {x: 1 / y**2 for x, y in amounts.items()}
    total = sum(weights.values())
    x0 = sum(weights[x] * x for x in amounts) / total
    y0 = sum(weights[x] * y for x, y in amounts.items()) / total
    each = sum(weights[x] * (x - x0) * (y - y0) for x, y in amounts.items()) / sum(
        weights[x] * (x - x0) ** 2 for x in amounts
    )
    return y0 - each * x0, each


def largest_residual(amounts: Mapping[float, float]) -> float:
    """Return how far an amount is from the straight line through all of them at most, as a share of the amount.

    Raises:
        ValueError: there are fewer than three points: any two lie on a line.
    """
    if len(amounts) < 3:
        raise ValueError("two points always lie on a line")
    once, each = straight_line(amounts)
    return max(abs(once + each * x - y) / y for x, y in amounts.items())


def slope(amounts: Mapping[int, float]) -> float:
    """Return what each further source adds: the slope of the straight line with the least squares.

    Raises:
        ValueError: there are fewer than two numbers of sources.
    """
    if len(amounts) < 2:
        raise ValueError("a line needs two points")
    x0, y0 = (sum(part) / len(amounts) for part in (amounts.keys(), amounts.values()))
    return sum((x - x0) * (y - y0) for x, y in amounts.items()) / sum((x - x0) ** 2 for x in amounts)
