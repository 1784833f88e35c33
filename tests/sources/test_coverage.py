import pytest

from xclip_stream.sources.coverage import Coverage


def coverage(*runs: tuple[float, float], fps: float = 10.0) -> Coverage:
    """Return that of packets from the first time of each run up to the second."""
    covered = Coverage(runs[0][0])
    for begins_at, ends_at in runs:
        for number in range(round((ends_at - begins_at) * fps)):
            at = begins_at + number / fps
            covered.add(at, media_s=at)
    return covered


@pytest.mark.parametrize(
    ("begins_at", "ends_at", "lacks_from"),
    [
        (5.0, 30.0, 14.9),
        (5.0, 15.5, None),
        (5.0, 16.5, 14.9),
        (19.5, 30.0, None),
        (16.0, 30.0, 16.0),
        (21.0, 30.0, None),
    ],
    ids=["around", "ends with it", "ends in it", "begins at its end", "begins in it", "begins behind"],
)
def test_a_hole_in_the_event_is_missing(begins_at: float, ends_at: float, lacks_from: float | None) -> None:
    covered = coverage((0.0, 15.0), (20.0, 35.0))

    assert covered.lacks_from(begins_at, ends_at) == (None if lacks_from is None else pytest.approx(lacks_from))


def test_a_hole_that_lasts_until_the_clip_is_over_is_missing() -> None:
    assert coverage((0.0, 15.0), (40.0, 40.1)).lacks_from(5.0, 30.0) == pytest.approx(14.9)


def test_what_is_still_to_come_is_not_missing() -> None:
    covered = coverage((10.0, 15.0))

    assert covered.lacks_from(10.0, None) is None
    assert covered.lacks_from(10.0, 20.0) == pytest.approx(14.9)
    assert covered.lacks_from(5.0, None) == 5.0


def test_a_camera_with_a_frame_each_few_seconds_has_no_holes() -> None:
    covered = coverage((0.0, 100.0), fps=0.2)

    assert covered.lacks_from(10.0, 90.0) is None


def test_a_camera_that_sends_fewer_frames_while_nothing_moves_has_no_holes() -> None:
    covered = coverage((0.0, 10.0), fps=25.0)
    for at in range(10, 20):
        covered.add(float(at), media_s=float(at))

    assert covered.lacks_from(0.0, 19.0) is None


def test_packets_that_come_late_are_not_missing() -> None:
    covered = coverage((0.0, 10.0))
    for number in range(100, 150):
        covered.add(15.0, media_s=number / 10)
    covered.add(15.1, media_s=15.0)

    assert covered.lacks_from(0.0, 15.1) is None


def test_a_camera_that_sets_its_clock_leaves_no_hole() -> None:
    covered = coverage((0.0, 10.0))
    for number in range(50):
        covered.add(10.0 + number / 10, media_s=40.0 + number / 10)

    assert covered.lacks_from(0.0, 14.9) is None
