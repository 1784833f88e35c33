import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xclip_stream.errors import ConfigError
from xclip_stream.windowing import Cut, Windowing

TOLERANCE_S = 0.001


class Cutter:
    """Feeds presentation times to a windower and keeps what comes out; a frame is its own time."""

    def __init__(
        self, *, num_frames: int = 4, span_s: float = 2.0, stride_s: float = 1.0, max_gap_s: float | None = None
    ) -> None:
        self.windowing = Windowing[float](num_frames=num_frames, span_s=span_s, stride_s=stride_s, max_gap_s=max_gap_s)
        self.sampled: dict[float, int] = {}
        self.cuts: list[Cut[float]] = []

    def play(self, times: list[float]) -> list[tuple[float, ...]]:
        for pts_s in times:
            self.cuts += self.windowing.push(pts_s, lambda seq, pts_s=pts_s: self.sample(seq, pts_s))
        self.cuts += self.windowing.flush()
        return [cut.frames for cut in self.cuts]

    def sample(self, highest_seq: int, pts_s: float) -> float:
        self.sampled[pts_s] = highest_seq
        return pts_s


def every(step_s: float, *, count: int, start_s: float = 0.0) -> list[float]:
    return [start_s + step_s * i for i in range(count)]


def test_windows_of_a_steady_source_are_spaced_by_span_over_frames_and_share_frames() -> None:
    windows = Cutter().play(every(0.1, count=41))

    assert windows == [
        pytest.approx((0.0, 0.5, 1.0, 1.5)),
        pytest.approx((1.0, 1.5, 2.0, 2.5)),
        pytest.approx((2.0, 2.5, 3.0, 3.5)),
    ]


def test_a_slot_is_filled_by_the_first_frame_that_is_not_earlier() -> None:
    windows = Cutter().play([0.0, 0.4, 0.6, 0.9, 1.2, 1.4, 1.7])

    assert windows == [(0.0, 0.6, 1.2, 1.7)]


def test_times_rounded_to_a_millisecond_fall_into_the_slot_they_were_meant_for() -> None:
    windows = Cutter(num_frames=3, span_s=1.0, stride_s=1.0).play([0.0, 0.333, 0.666, 0.999])

    assert windows == [(0.0, 0.333, 0.666)]


def test_a_source_slower_than_the_grid_gives_a_frame_to_several_slots() -> None:
    windows = Cutter(max_gap_s=2).play([0.0, 1.0, 2.0])

    assert windows == [(0.0, 1.0, 1.0, 2.0)]


def test_a_window_never_straddles_a_hole_and_its_number_goes_on() -> None:
    cutter = Cutter()

    windows = cutter.play([*every(0.1, count=18), *every(0.1, count=18, start_s=10.25)])

    assert windows == [pytest.approx((0.0, 0.5, 1.0, 1.5)), pytest.approx((10.25, 10.75, 11.25, 11.75))]
    assert [cut.seq for cut in cutter.cuts] == [0, 1]


def test_a_segment_too_short_for_a_window_gives_one_with_its_last_frame_repeated() -> None:
    windows = Cutter().play([0.0, 0.5, 0.7, 5.0, 5.1])

    assert windows == [(0.0, 0.5, 0.5, 0.5), (5.0, 5.0, 5.0, 5.0)]


def test_the_rest_of_a_segment_that_gave_windows_gives_none() -> None:
    windows = Cutter().play(every(0.5, count=6))

    assert windows == [(0.0, 0.5, 1.0, 1.5), (1.0, 1.5, 2.0, 2.5)]


def test_a_pause_as_long_as_the_greatest_gap_is_no_hole() -> None:
    windows = Cutter(max_gap_s=1.0).play([0.0, 0.5, 1.5, 2.0])

    assert windows == [(0.0, 0.5, 1.5, 1.5)]


def test_frames_between_two_windows_are_not_sampled_when_the_stride_is_longer_than_the_span() -> None:
    cutter = Cutter(num_frames=2, span_s=1.0, stride_s=3.0)

    windows = cutter.play(every(0.5, count=9))

    assert windows == [(0.0, 0.5), (3.0, 3.5)]
    assert list(cutter.sampled) == [0.0, 0.5, 3.0, 3.5]


def test_nothing_comes_of_a_source_without_frames() -> None:
    assert Cutter().play([]) == []


@pytest.mark.parametrize("stride_s", [0.3, 0.75, 0.1, 1.01])
def test_a_stride_that_is_no_whole_number_of_spacings_is_refused(stride_s: float) -> None:
    with pytest.raises(ConfigError, match=r"whole number of frame spacings.* = 0\.5 s"):
        Windowing(num_frames=4, span_s=2.0, stride_s=stride_s)


def test_spacings_that_are_no_binary_fraction_are_accepted() -> None:
    windows = Cutter(num_frames=10, span_s=1.0, stride_s=0.3).play(every(0.1, count=17))

    assert [window[0] for window in windows] == pytest.approx([0.0, 0.3, 0.6])


settings_of_a_window = st.builds(
    lambda frames, spacing_ms, strides: (frames, frames * spacing_ms / 1000, strides * spacing_ms / 1000),
    st.integers(1, 9),
    st.integers(20, 800),
    st.integers(1, 12),
)
steps_ms = st.lists(st.one_of(st.integers(0, 200), st.integers(0, 4000)), max_size=150)


@given(settings_of_a_window, steps_ms)
def test_whatever_the_times_windows_are_whole_ordered_and_free_of_holes(
    settings: tuple[int, float, float], steps: list[int]
) -> None:
    num_frames, span_s, stride_s = settings
    cutter = Cutter(num_frames=num_frames, span_s=span_s, stride_s=stride_s)
    times = [sum(steps[: i + 1]) / 1000 for i in range(len(steps))]
    max_gap_s = max(1.0, 2 * span_s / num_frames) + TOLERANCE_S
    holes = [(before, after) for before, after in pairwise(times) if after - before > max_gap_s]

    windows = cutter.play(times)

    assert [cut.seq for cut in cutter.cuts] == list(range(len(windows)))
    assert cutter.windowing.next_seq == len(windows)
    for window in windows:
        assert len(window) == num_frames
        assert list(window) == sorted(window)
        assert not any(window[0] <= before and after <= window[-1] for before, after in holes)
    assert len(windows) >= (1 + len(holes) if times else 0)


@given(settings_of_a_window, steps_ms)
def test_a_frame_belongs_to_no_window_above_the_one_it_was_sampled_for(
    settings: tuple[int, float, float], steps: list[int]
) -> None:
    num_frames, span_s, stride_s = settings
    cutter = Cutter(num_frames=num_frames, span_s=span_s, stride_s=stride_s)
    times = sorted({sum(steps[: i + 1]) / 1000 for i in range(len(steps))})

    cutter.play(times)

    for cut in cutter.cuts:
        assert all(cutter.sampled[frame] >= cut.seq for frame in cut.frames)


@given(st.integers(5, 60), st.integers(1, 9), st.sampled_from([0.2, 0.25, 0.5, 1.0]), st.integers(1, 4))
def test_at_a_constant_rate_no_frame_is_later_than_its_slot_by_a_frame_time(
    fps: int, num_frames: int, spacing_s: float, strides: int
) -> None:
    assume(fps * spacing_s >= 1)
    cutter = Cutter(num_frames=num_frames, span_s=num_frames * spacing_s, stride_s=strides * spacing_s)
    length_s = 10.0

    windows = cutter.play(every(1 / fps, count=math.ceil(length_s * fps) + 1))

    for seq, window in enumerate(windows):
        slots = [(seq * strides + place) * spacing_s for place in range(num_frames)]
        assert all(-TOLERANCE_S <= frame - slot < 1 / fps for frame, slot in zip(window, slots, strict=True))
    last_start_s = length_s - (num_frames - 1) * spacing_s
    assert len(windows) == math.floor(last_start_s / (strides * spacing_s) + 1e-6) + 1
