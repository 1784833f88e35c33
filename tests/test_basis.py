"""A window that is unchanged is judged by the scores of the one that it names, and by no others."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.score_builders import CLIMB, EMPTY, FALL, judge, rule, story, tombstone, unchanged, window
from xclip_stream.basis import basis_after, filled
from xclip_stream.rule_state import RuleState
from xclip_stream.rules import stands_in_vain
from xclip_stream.types import Scores, ScoreStatus

UNCHANGED = ScoreStatus.UNCHANGED
STEADY = (rule(min_duration_s=2.0),)


def test_an_unchanged_window_has_the_scores_of_the_one_that_it_names() -> None:
    scored = window(3, {"": 0.25, "gate": 0.75}, live=True)

    given_scores = filled(unchanged(4, same_as=3), basis_after(None, scored))

    assert given_scores.is_scored
    assert (given_scores.id.seq, given_scores.captured_at, given_scores.status) == (4, 1004.0, UNCHANGED)
    assert (given_scores.regions, given_scores.prompts, given_scores.model_sha256) == (
        scored.regions,
        scored.prompts,
        scored.model_sha256,
    )
    np.testing.assert_array_equal(given_scores.logits, scored.logits)


@pytest.mark.parametrize(
    "other",
    [unchanged(5, same_as=2), unchanged(5, same_as=4), unchanged(5, same_as=3, generation=2, epoch="e2")],
    ids=["older", "newer", "another epoch"],
)
def test_a_window_that_names_another_one_has_none(other: Scores) -> None:
    assert not filled(other, basis_after(None, window(3, 0.5, live=True))).is_scored


@pytest.mark.parametrize("status", [status for status in ScoreStatus if status is not UNCHANGED])
def test_nothing_else_is_given_scores(status: ScoreStatus) -> None:
    scores = window(4, status=status, live=True)

    assert filled(scores, basis_after(None, window(3, 0.5, live=True))) is scores


def test_what_stands_is_the_last_window_that_was_scored_in_this_epoch() -> None:
    basis = basis_after(None, window(3, 0.5, live=True))

    assert basis_after(basis, tombstone(4, ScoreStatus.DROPPED, live=True)) == basis
    assert basis_after(basis, unchanged(4, same_as=3)) == basis
    assert basis_after(basis, tombstone(0, ScoreStatus.DROPPED, live=True, generation=2)) is None


def test_the_scores_of_a_file_stand_for_nothing() -> None:
    assert basis_after(None, window(3, 0.5, live=False)) is None


def test_an_event_goes_on_while_nothing_changes_and_says_so() -> None:
    scores = [
        window(0, 0.9, live=True),
        *(unchanged(seq, same_as=0) for seq in range(1, 12)),
        window(12, 0.1, live=True),
    ]

    state, told = judge(scores, *STEADY)

    assert story(told) == [("started", 0.0, None, None), ("ended", 0.0, 11.0, "released")]
    assert [notice.event.window.reused for notice in told] == [True, False]
    assert (state.counts.windows, state.counts.unchanged, state.counts.lost) == (13, 11, 0)


def test_a_window_for_which_nothing_stands_is_lost_and_decides_nothing() -> None:
    scores = [window(0, 0.9, live=True), tombstone(1, ScoreStatus.EXPIRED, live=True), unchanged(2, same_as=1)]

    state, told = judge(scores, rule())

    assert story(told) == [("started", 0.0, None, None)]
    assert (state.counts.unchanged, state.counts.lost, state.open_events) == (0, 1, 1)


def test_the_state_carries_what_stands_to_the_next_worker() -> None:
    state, _ = judge([window(0, {"": 0.9}, live=True)], *STEADY)

    after, told = judge(
        [unchanged(2, same_as=0), unchanged(3, same_as=0)], *STEADY, state=RuleState.decode(state.encode())
    )

    assert story(told) == [("started", 0.0, None, None)]
    assert after.basis == state.basis is not None


def test_a_state_of_an_older_version_has_nothing_that_stands() -> None:
    body = RuleState("yard").encode().replace(b',"basis":null', b"").replace(b',"unchanged":0', b"")

    assert b"basis" not in body
    assert RuleState.decode(body) == RuleState("yard")


def test_scores_that_lack_a_prompt_of_the_rules_stand_in_vain() -> None:
    known = filled(unchanged(1, same_as=0), basis_after(None, window(0, 0.5, live=True)))
    newer = rule("running", prompts=("a person running",), background=(EMPTY,))

    assert not stands_in_vain(known, [rule(), rule("falling", prompts=(FALL,), background=(EMPTY, CLIMB))])
    assert stands_in_vain(known, [rule(), newer])
    assert not stands_in_vain(known, [replace(newer, sources=("gate",)), replace(newer, regions=("door",))])
    assert stands_in_vain(unchanged(1, same_as=0), [])
    assert not stands_in_vain(window(1, 0.5, live=True), [newer])


@pytest.mark.parametrize("logits", ["", "AAAA", "AAA", "\N{BULLET}"])
def test_a_basis_that_somebody_else_wrote_stands_for_nothing(logits: str) -> None:
    basis = basis_after(None, window(0, 0.5, live=True))
    assert basis is not None
    assert not filled(unchanged(1, same_as=0), replace(basis, logits=logits)).is_scored


@given(st.data())
def test_scores_come_from_the_window_that_was_scored_last_if_it_is_the_one_named(data):
    basis, last = None, None
    for place in range(data.draw(st.integers(1, 12))):
        generation, status = data.draw(st.integers(1, 2)), data.draw(STATUSES)
        scores = window(place, place / 20, status=status, live=True, generation=generation)
        named = data.draw(st.integers(0, place)) if status is UNCHANGED else None
        last = last if last is not None and last.generation == generation else None

        found = filled(replace(scores, same_as=named), basis)

        if status is UNCHANGED:
            assert found.is_scored == (last is not None and last.id.seq == named)
        if found.is_scored and last is not None and status is UNCHANGED:
            np.testing.assert_array_equal(found.logits, last.logits)
        basis = basis_after(basis, found)
        last = scores if status is ScoreStatus.SCORED else last


STATUSES = st.sampled_from([ScoreStatus.SCORED, UNCHANGED, UNCHANGED, ScoreStatus.DROPPED])
SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.61, 0.7, 0.99])


@given(st.lists(st.tuples(SHARES, st.integers(1, 5)), min_size=1, max_size=8), st.data())
def test_the_events_are_those_of_scoring_every_window(stills, data):
    """Each still is a picture that does not change for some windows."""
    shares = [(share, first) for share, length in stills for first in (True, *[False] * (length - 1))]
    every = [window(seq, share, live=True) for seq, (share, _) in enumerate(shares)]
    some, sent = list[Scores](), 0
    for scores, (_, first) in zip(every, shares, strict=True):
        is_sent = first or data.draw(st.booleans())
        sent = scores.id.seq if is_sent else sent
        some.append(scores if is_sent else unchanged(scores.id.seq, same_as=sent))

    state, told = judge(some, rule(), *STEADY)
    expected_state, expected = judge(every, rule(), *STEADY)

    assert story(told) == story(expected)
    assert [notice.event.event_id for notice in told] == [notice.event.event_id for notice in expected]
    assert state.counts.windows == expected_state.counts.windows
