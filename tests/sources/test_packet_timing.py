from collections.abc import Sequence

import pytest

from xclip_stream.sources.packet_timing import Sighting, measure


def seen(stamps_s: Sequence[float], *, key_every: int = 10, arrived_s: Sequence[float] | None = None) -> list[Sighting]:
    """Return packets of 1000 bytes with these decoding times, which come when they are made unless told otherwise."""
    times = stamps_s if arrived_s is None else arrived_s
    return [
        Sighting(arrived_s=at_s, decoding_s=stamp_s, shown_s=stamp_s, size_bytes=1000, is_key=number % key_every == 0)
        for number, (stamp_s, at_s) in enumerate(zip(stamps_s, times, strict=True))
    ]


def every(interval_s: float, count: int, *, begin_s: float = 0.0) -> list[float]:
    return [begin_s + interval_s * number for number in range(count)]


def test_a_steady_stream_has_a_rate_and_nothing_odd() -> None:
    timing = measure(seen(every(0.1, 51)), live=True)

    assert timing.fps == pytest.approx(10)
    assert timing.span_s == pytest.approx(5)
    assert timing.keyframe_s == pytest.approx(1)
    assert timing.bit_rate == pytest.approx(80_000)
    assert (timing.gaps, timing.jumps) == (0, 0)
    assert timing.jitter_s == pytest.approx(0)
    assert timing.speed == pytest.approx(1)


def test_without_a_second_keyframe_it_is_told_how_long_none_came() -> None:
    timing = measure(seen(every(0.1, 51), key_every=100), live=True)

    assert timing.keyframe_s is None
    assert timing.since_keyframe_s == pytest.approx(5)


def test_a_hole_is_a_gap_and_counts_in_the_rate() -> None:
    timing = measure(seen([*every(0.1, 10), *every(0.1, 10, begin_s=3)]), live=True)

    assert (timing.gaps, timing.longest_gap_s) == (1, pytest.approx(2.1))
    assert timing.fps == pytest.approx(19 / 3.9)


def test_a_slow_camera_has_no_gaps() -> None:
    assert measure(seen(every(1.0, 10)), live=True).gaps == 0


@pytest.mark.parametrize("begin_s", [500.0, -500.0])
def test_stamps_that_leave_the_clock_have_jumped_and_count_in_nothing(begin_s: float) -> None:
    stamps = [*every(0.1, 10), *every(0.1, 10, begin_s=begin_s)]

    timing = measure(seen(stamps, arrived_s=every(0.1, 20)), live=True)

    assert (timing.jumps, timing.gaps) == (1, 0)
    assert timing.span_s == pytest.approx(1.8)


def test_a_file_may_leave_out_minutes_and_has_neither_jitter_nor_speed() -> None:
    timing = measure(seen([*every(0.1, 10), *every(0.1, 10, begin_s=500)], arrived_s=[0.0] * 20), live=False)

    assert (timing.jumps, timing.gaps) == (0, 1)
    assert timing.jitter_s is timing.speed is None


def test_packets_that_come_unevenly_have_jitter_but_not_for_the_burst_at_the_start() -> None:
    burst = [0.0] * 20
    uneven = [0.1 * number + (0.08 if number % 2 else 0.0) for number in range(20)]

    settled = measure(seen(every(0.1, 60), arrived_s=[*burst, *every(0.1, 40)]), live=True)
    restless = measure(seen(every(0.1, 40), arrived_s=[*burst, *uneven]), live=True)

    assert settled.jitter_s == pytest.approx(0, abs=1e-9)
    assert restless.jitter_s == pytest.approx(0.08)


def test_a_clock_that_runs_fast_is_told() -> None:
    assert measure(seen(every(0.2, 60), arrived_s=every(0.1, 60)), live=True).speed == pytest.approx(2)


def test_decoding_times_count_where_there_are_any() -> None:
    """Cameras give none with their first packets, and presentation times go back and forth with B-frames."""
    packets = [
        Sighting(arrived_s=0.1 * number, decoding_s=decoding_s, shown_s=shown_s, size_bytes=1, is_key=number == 0)
        for number, (decoding_s, shown_s) in enumerate([(None, None), (None, 0.4), (0.1, 0.1), (0.2, 0.2), (0.3, 0.3)])
    ]

    timing = measure(packets, live=True)

    assert timing.jumps == 0
    assert timing.fps == pytest.approx(10)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_packets_tell_nothing(count: int) -> None:
    timing = measure(seen(every(0.1, count)), live=True)

    assert timing.fps is timing.bit_rate is timing.keyframe_s is timing.jitter_s is None
