from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream.sources.capture_clock import STRAY_S, CaptureClock


def test_frames_are_as_far_apart_as_their_media_times_say() -> None:
    clock = CaptureClock()

    stamps = [clock.stamp(pts, now=5000.0, monotonic=at) for pts, at in [(0.0, 10.0), (0.1, 10.15), (0.2, 10.25)]]

    assert stamps == pytest.approx([5000.0, 5000.1, 5000.2])


@pytest.mark.parametrize("by_s", [-1.5, 1.5])
def test_a_small_correction_of_the_wall_clock_moves_nothing_within_a_connection(by_s: float) -> None:
    clock = CaptureClock()
    clock.stamp(0.0, now=5000.0, monotonic=10.0)

    assert clock.stamp(1.0, now=5001.0 + by_s, monotonic=11.0) == pytest.approx(5001.0)


@pytest.mark.parametrize("by_s", [-3600.0, 3600.0])
@pytest.mark.parametrize("reconnects", [False, True])
def test_a_wall_clock_that_is_set_is_followed_at_once(by_s: float, reconnects: bool) -> None:
    clock = CaptureClock()
    clock.stamp(0.0, now=5000.0, monotonic=10.0)
    if reconnects:
        clock.reconnect()

    stamps = [clock.stamp(float(i), now=5000.0 + i + by_s, monotonic=10.0 + i) for i in range(1, 4)]

    assert stamps == pytest.approx([5001.0 + by_s, 5002.0 + by_s, 5003.0 + by_s])


def test_after_a_stall_frames_count_from_their_arrival() -> None:
    clock = CaptureClock()
    clock.stamp(0.0, now=5000.0, monotonic=10.0)

    assert clock.stamp(0.1, now=5009.0, monotonic=19.0) == pytest.approx(5009.0)


def test_no_frame_was_captured_after_it_arrived() -> None:
    clock = CaptureClock()
    clock.stamp(0.0, now=5000.0, monotonic=10.0)

    assert clock.stamp(1.0, now=5000.0, monotonic=10.001) == pytest.approx(5000.001)


def test_the_frames_of_a_segment_were_not_all_captured_when_it_arrived() -> None:
    clock = CaptureClock()
    clock.reconnect(in_segments=True)
    for number in range(40):  # what the server had
        clock.stamp(number / 10, now=5000.0, monotonic=10.0)

    segments = [
        [clock.stamp(pts_s + number / 10, now=5000.0 + pts_s, monotonic=10.0 + pts_s) for number in range(40)]
        for pts_s in (4.0, 8.0, 12.0)
    ]

    stamps = [stamp for segment in segments for stamp in segment]
    assert [after - before for before, after in pairwise(stamps)] == pytest.approx([0.1] * 119)
    assert segments[-1][-1] == pytest.approx(5012.0)


def test_a_new_connection_takes_a_small_correction_over_but_does_not_go_back() -> None:
    clock = CaptureClock()
    clock.stamp(0.0, now=5000.0, monotonic=10.0)
    clock.reconnect()

    assert clock.stamp(0.5, now=4999.5, monotonic=10.5) == 5000.0

    clock.reconnect()

    assert clock.stamp(1.0, now=5002.0, monotonic=11.0) == 5002.0


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), max_size=50))
def test_event_time_never_goes_back_and_stays_near_the_arrival(steps: list[tuple[float, float]]) -> None:
    clock, pts_s, at = CaptureClock(), 0.0, 100.0
    stamps = []
    for pts_step, at_step in steps:
        pts_s, at = pts_s + pts_step, at + at_step
        stamps.append(clock.stamp(pts_s, now=1000.0 + at, monotonic=at))
        assert -1e-6 <= 1000.0 + at - stamps[-1] <= STRAY_S + 1e-6

    assert all(earlier <= later for earlier, later in pairwise(stamps))
