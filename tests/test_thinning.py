"""How a camera's windows are thinned out under overload, and come back when there is room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream.rules import default_gap_s
from xclip_stream.thinning import LONGEST_CALM_S, Thinning, max_step


def camera() -> Thinning:
    return Thinning(max_step=4, patience_s=8.0, calm_s=20.0)


def play(thinning: Thinning, *, room: float, seconds: range) -> list[int]:
    """Let a camera make a window a second, of which the queue takes `room` a second; return the step at each."""
    steps, taken = [], 0.0
    for second in seconds:
        if thinning.keeps(second):
            taken = max(taken, 0.0)
            if taken * 1.0 <= 0.0:
                thinning.note_taken(float(second))
                taken += 1.0
            else:
                thinning.note_dropped(float(second))
        taken -= room
        steps.append(thinning.step)
    return steps


def test_one_window_that_is_given_up_changes_nothing() -> None:
    thinning = camera()

    thinning.note_dropped(0.0)
    thinning.note_dropped(9.0)

    assert thinning.step == 1


def test_a_queue_that_is_full_again_and_again_halves_the_windows_and_halves_them_again_up_to_a_bound() -> None:
    thinning = camera()

    steps = []
    for second in range(8):
        thinning.note_dropped(float(second))
        steps.append(thinning.step)

    assert steps == [1, 2, 2, 4, 4, 4, 4, 4]
    assert [number for number in range(9) if thinning.keeps(number)] == [0, 4, 8]


def test_every_window_is_back_once_nothing_is_given_up_for_a_while() -> None:
    thinning = camera()
    play(thinning, room=0.2, seconds=range(20))
    assert thinning.step == 4

    steps = play(thinning, room=2.0, seconds=range(20, 120))

    assert steps[-1] == 1
    assert set(steps) == {4, 2, 1}


def test_where_half_of_the_windows_find_room_all_of_them_are_tried_more_and_more_rarely() -> None:
    thinning = camera()

    steps = play(thinning, room=0.5, seconds=range(4000))

    tries = [second for second in range(1, len(steps)) if (steps[second - 1], steps[second]) == (2, 1)]
    assert max(steps) <= 4
    assert len(tries) <= 4000 / LONGEST_CALM_S + 8
    assert sum(step == 2 for step in steps) > 0.8 * len(steps)


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
