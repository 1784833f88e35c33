from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream.sources.timeline import Timeline, seconds_of

MS = Fraction(1, 1000)
MPEG = Fraction(1, 90_000)


def place(
    pts: list[int | None], *, dts: list[int | None] | None = None, time_base: Fraction = MS
) -> list[float | None]:
    timeline = Timeline(frame_s=0.04)
    return [timeline.place(p, d, time_base) for p, d in zip(pts, dts or [None] * len(pts), strict=True)]


def test_time_begins_at_zero_with_the_first_frame() -> None:
    assert place([5000, 5040, 5100]) == pytest.approx([0.0, 0.04, 0.1])


def test_negative_stamps_count_like_others() -> None:
    assert place([-4000, -2000, 100]) == pytest.approx([0.0, 2.0, 4.1])


def test_frames_without_any_stamp_are_counted_on_at_the_nominal_rate() -> None:
    assert place([None, None, None]) == pytest.approx([0.0, 0.04, 0.08])


def test_a_first_frame_without_a_stamp_stands_one_frame_before_the_second() -> None:
    assert place([None, 7000, 7100]) == pytest.approx([0.0, 0.04, 0.14])


def test_a_missing_stamp_in_the_middle_shifts_nothing() -> None:
    assert place([0, 40, None, 120]) == pytest.approx([0.0, 0.04, 0.08, 0.12])


def test_decoding_stamps_stand_in_for_missing_ones() -> None:
    assert place([None, None, None], dts=[100, 300, 350]) == pytest.approx([0.0, 0.2, 0.25])


def test_the_33_bit_clock_of_mpeg_may_wrap() -> None:
    end = 2**33

    assert place([end - 90_000, end - 45_000, 0, 45_000], time_base=MPEG) == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_a_frame_that_is_a_little_late_is_left_out() -> None:
    assert place([0, 80, 40, 120]) == [0.0, 0.08, None, 0.12]


def test_a_count_that_begins_anew_goes_on_from_the_last_frame() -> None:
    assert place([60_000, 60_100, 0, 100]) == pytest.approx([0.0, 0.1, 0.14, 0.24])


def test_the_last_frames_of_an_old_count_are_late_behind_the_first_of_a_new_one() -> None:
    assert place([60_000, 60_040, 0, 60_080, 60_120, 40, 80]) == pytest.approx(
        [0.0, 0.04, 0.08, None, None, 0.12, 0.16]
    )
    assert place([60_000, 60_040, 0, 40, 5_080]) == pytest.approx([0.0, 0.04, 0.08, 0.12, 5.16])


def test_a_hole_is_kept_but_a_jump_ahead_of_more_than_an_hour_is_a_new_count() -> None:
    assert place([0, 100, 60_100]) == pytest.approx([0.0, 0.1, 60.1])
    assert place([0, 100, 36_000_100, 36_000_200]) == pytest.approx([0.0, 0.1, 0.14, 0.24])


def test_packed_b_frames_are_put_in_order_by_their_decoding_stamps() -> None:
    placed = place([40, 80, 160, 120, 200, 280, 240, 300], dts=[40, 80, 120, 160, 200, 240, 280, None])

    assert placed == pytest.approx([0.0, 0.04, 0.12, 0.12, 0.16, 0.2, 0.24, 0.28])


def test_breaks_are_counted() -> None:
    timeline = Timeline(frame_s=0.04)

    for pts in (60_000, 0, 40, 9_000_000):
        timeline.place(pts, None, MS)

    assert timeline.breaks == 2


def test_after_a_new_connection_time_goes_on_by_the_time_that_passed() -> None:
    timeline = Timeline(frame_s=0.04)
    timeline.place(1000, None, MS)
    timeline.place(2000, None, MS)

    timeline.reconnect(5.0)

    assert timeline.place(77_000, None, MS) == pytest.approx(6.0)
    assert timeline.place(77_500, None, MS) == pytest.approx(6.5)
    assert timeline.breaks == 0


stamp = st.one_of(st.none(), st.integers(-(2**33), 2**33), st.integers(-2000, 5000))


@given(st.lists(st.tuples(stamp, stamp), max_size=60), st.sampled_from([MS, MPEG]))
def test_time_never_goes_back_whatever_the_stamps(stamps: list[tuple[int | None, int | None]], base: Fraction) -> None:
    timeline = Timeline(frame_s=0.04)

    placed = [s for s in (timeline.place(pts, dts, base) for pts, dts in stamps) if s is not None]

    assert placed[:1] in ([], [0.0])
    assert all(earlier <= later for earlier, later in pairwise(placed))


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60), st.integers(0, 2**33 - 1))
def test_a_clock_that_only_wraps_is_followed_exactly(steps: list[int], first: int) -> None:
    line = [first + sum(steps[:i]) for i in range(len(steps))]

    placed = place([ticks % 2**33 for ticks in line], time_base=MPEG)

    assert placed == pytest.approx([(ticks - line[0]) / 90_000 for ticks in line], abs=1e-6)


@given(st.integers(-(2**63), 2**63 - 1), st.fractions(min_value=0, max_value=1, max_denominator=10**6))
def test_seconds_are_those_of_the_exact_product(ticks: int, unit: Fraction) -> None:
    assert seconds_of(ticks, unit) == float(ticks * unit)
