"""The statistics behind each figure."""

import pytest

from benchmarks.ratios import (
    largest_deviation,
    largest_residual,
    quantile,
    ratio_spread,
    slope,
    spread_of,
    straight_line,
)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    # The machine was slow in the second round, for both alike.
    spread = ratio_spread(rival=[2.0, 30.0, 2.2], ours=[1.0, 10.0, 1.0])

    assert spread.median == pytest.approx(2.2)
    assert spread.rounds == 3
    assert (spread.least, spread.most) == (2.0, 3.0)


def test_half_of_the_rounds_lie_between_the_quartiles() -> None:
    spread = spread_of([1.0, 2.0, 3.0, 4.0, 5.0])

    assert (spread.low, spread.median, spread.high) == (2.0, 3.0, 4.0)


@pytest.mark.parametrize(("rival", "ours"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([float("nan")], [1.0])])
def test_what_was_not_measured_has_no_ratio(rival: list[float], ours: list[float]) -> None:
    with pytest.raises(ValueError, match=r"rounds|values|measured"):
        ratio_spread(rival=rival, ours=ours)


def test_a_quantile_lies_between_two_values() -> None:
    assert quantile([10.0, 20.0], 0.95) == pytest.approx(19.5)
    assert quantile([7.0], 0.95) == 7.0


def test_what_is_there_once_is_no_deviation_from_a_line() -> None:
    amounts = {1.0: 45.0, 4.0: 120.0, 16.0: 420.0, 64.0: 1620.0}

    assert straight_line(amounts) == (pytest.approx(20.0), pytest.approx(25.0))
    assert largest_residual(amounts) == pytest.approx(0.0, abs=1e-9)
    assert largest_residual({**amounts, 64.0: 3000.0}) > 0.1


def test_two_points_show_no_line() -> None:
    with pytest.raises(ValueError, match="always"):
        largest_residual({1.0: 1.0, 64.0: 64.0})
    with pytest.raises(ValueError, match="two points"):
        straight_line({1.0: 1.0})


def test_the_cost_of_a_window_may_stray_from_their_mean() -> None:
    assert largest_deviation({1: 5.0, 8: 5.0, 64: 5.0}) == 0.0
    assert largest_deviation({1: 9.0, 64: 11.0}) == pytest.approx(0.1)


def test_one_number_of_sources_shows_no_line() -> None:
    with pytest.raises(ValueError, match="deviate"):
        largest_deviation({64: 1.0})
    with pytest.raises(ValueError, match="two points"):
        slope({64: 1.0})


def test_the_slope_is_what_each_further_source_adds() -> None:
    assert slope({1: 112.0, 8: 196.0, 64: 868.0}) == pytest.approx(12.0)
