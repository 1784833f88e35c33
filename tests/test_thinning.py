"""How a camera's windows are thinned out under overload, and come back when there is room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream.rules import default_gap_s
from xclip_stream.thinning import LONGEST_CALM_S, Thinning, max_step


def camera() -> Thinning:
    return Thinning(max_step=4, calm_s=20.0)


def play(thinning: Thinning, *, room: float, seconds: range) -> list[int]:
    """Let a camera make a window a second, of which the queue takes `room` a second; return the step at each."""
    steps, free = [], 0.0
    for second in seconds:
        free = min(free + room, 2.0)
        if thinning.keeps(second):
            (thinning.note_taken if free >= 1.0 else thinning.note_dropped)(float(second))
            free = free - 1.0 if free >= 1.0 else free
        steps.append(thinning.step)
    return steps


@pytest.mark.parametrize("room", [0.55, 0.75, 1.0])
def test_while_more_than_half_of_the_windows_find_room_every_one_is_tried(room: float) -> None:
    assert set(play(camera(), room=room, seconds=range(1000))) == {1}


def test_a_queue_that_is_full_again_and_again_halves_the_windows_and_halves_them_again_up_to_a_bound() -> None:
    thinning = camera()

    steps = [play(thinning, room=0.0, seconds=range(at, at + 1))[0] for at in range(200)]

    assert list(dict.fromkeys(steps)) == [1, 2, 4]
    assert [number for number in range(9) if thinning.keeps(number)] == [0, 4, 8]


def test_every_window_is_back_once_nothing_is_given_up_for_a_while() -> None:
    thinning = camera()
    play(thinning, room=0.1, seconds=range(400))
    assert thinning.step == 4

    steps = play(thinning, room=1.0, seconds=range(400, 600))

    assert list(dict.fromkeys(steps)) == [4, 2, 1]


def test_where_half_of_the_windows_find_room_all_of_them_are_tried_now_and_then() -> None:
    steps = play(camera(), room=0.5, seconds=range(4000))

    tries = [second for second in range(1, len(steps)) if (steps[second - 1], steps[second]) == (2, 1)]
    assert max(steps) == 2
    assert len(tries) <= 4000 / LONGEST_CALM_S + 8


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 100)), max_size=60))
def test_the_step_is_a_power_of_two_within_its_bound_and_changes_by_one_at_a_time(story):
    thinning, now_s = camera(), 0.0
    for is_dropped, later_s in story:
        now_s, before = now_s + later_s, thinning.step
        (thinning.note_dropped if is_dropped else thinning.note_taken)(now_s)

        assert thinning.step in {1, 2, 4}
        assert thinning.step in ({before, 2 * before} if is_dropped else {before, before // 2})


@pytest.mark.parametrize(("span_s", "stride_s", "step"), [(4, 1, 4), (4, 2, 2), (4, 4, 1), (8, 4, 2), (1, 0.25, 4)])
def test_no_camera_is_thinned_out_until_its_events_would_end(span_s: float, stride_s: float, step: int) -> None:
    assert max_step(stride_s=stride_s, gap_s=default_gap_s(span_s=span_s, stride_s=stride_s)) == step
