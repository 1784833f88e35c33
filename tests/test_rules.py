from dataclasses import replace
from itertools import pairwise
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.score_builders import CLIMB, EMPTY, FALL, judge, recording, rule, story, tombstone, window
from xclip_stream.errors import DecodeError
from xclip_stream.rules import UPDATE_STEP, Notice, Rule, RuleState, default_gap_s, reconcile, step
from xclip_stream.schedule import Schedule
from xclip_stream.types import EndReason, Phase, Scores, ScoreStatus

# ------------------------------------------------------------------------------------------------------------ scores


def test_the_score_is_the_share_of_the_rules_prompts_in_its_own_softmax():
    both = rule(prompts=(CLIMB, FALL), background=(EMPTY,))
    scores = replace(window(0), logits=np.array([[2.0, 1.0, 0.5]], np.float32))

    _, (notice,) = judge([scores], both)

    positive = exp(2.0) + exp(1.0)
    assert notice.event.score == pytest.approx(positive / (positive + exp(0.5)), abs=1e-4)
    assert notice.event.prompt == CLIMB
    assert [top.prompt for top in notice.event.top_prompts] == [CLIMB, FALL, EMPTY]
    assert sum(top.score for top in notice.event.top_prompts) == pytest.approx(1, abs=1e-3)


def test_huge_logits_do_not_overflow():
    scores = replace(window(0), logits=np.array([[5e4, 0.0, -5e4]], np.float32))

    _, (notice,) = judge([scores], rule())

    assert notice.event.score == 1.0


def test_the_best_prompt_is_one_of_the_rules_own_even_when_the_background_is_stronger():
    quiet = rule(prompts=(FALL, CLIMB), enter=0.2, exit=0.1)
    scores = replace(window(0), logits=np.array([[1.0, 0.0, 2.0]], np.float32))

    _, (notice,) = judge([scores], quiet)

    assert notice.event.prompt == CLIMB
    assert notice.event.top_prompts[0].prompt == EMPTY


def test_only_the_five_largest_shares_are_told():
    many = tuple(f"prompt {n}" for n in range(9))
    scores = replace(window(0), prompts=many, logits=np.arange(9, dtype=np.float32)[None])

    _, (notice,) = judge([scores], rule(prompts=many[4:], background=many[:4]))

    assert [top.prompt for top in notice.event.top_prompts] == list(many[:3:-1])


@pytest.mark.parametrize("missing", ["a prompt that was not scored", CLIMB])
def test_a_rule_whose_prompts_or_region_were_not_scored_neither_starts_nor_ends(missing):
    strange = rule(prompts=(missing,), regions=("gate",))

    _, told = judge([window(0, {"gate": 0.9} if missing == CLIMB else 0.9)], rule())
    _, none = judge([window(0, 0.9)], strange)

    assert none == []
    assert len(told) == (0 if missing == CLIMB else 1)


def test_a_logit_that_is_not_finite_is_unknown():
    broken = replace(window(1), logits=np.full((1, 3), np.nan, np.float32))

    _, told = judge([window(0, 0.9), broken, window(2, 0.9)], rule())

    assert story(told) == [("started", 0, None, None)]


# ------------------------------------------------------------------------------------------------- the state machine


def test_an_event_starts_at_enter_stays_until_exit_and_ends_below_it():
    _, told = judge(recording([0.5, 0.61, 0.5, 0.41, 0.39, 0.1]), rule())

    assert story(told) == [("started", 1, None, None), ("ended", 1, 3, "released")]


def test_the_ended_event_tells_the_window_that_ended_it_and_the_peak():
    _, told = judge(recording([0.7, 0.9, 0.2]), rule())

    ended = told[-1].event
    assert (ended.window.seq, ended.score, ended.peak_score, ended.threshold) == (2, 0.2, 0.9, 0.6)


def test_a_rule_with_a_minimum_duration_starts_when_it_has_held_that_long_and_tells_when_it_began():
    _, told = judge(recording([0.7, 0.5, 0.7, 0.7, 0.0]), rule(min_duration_s=2))

    assert story(told) == [("started", 0, None, None), ("ended", 0, 3, "released")]
    assert [notice.event.window.seq for notice in told] == [2, 4]


@pytest.mark.parametrize("begun_at", [0.0, 1_714_586_400.0, 1_764_558_000.123])
def test_limits_that_are_met_exactly_are_met_whenever_a_recording_was_made(begun_at):
    shares = [0.9, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    windows = [window(seq, share, at=begun_at + 0.4 * seq) for seq, share in enumerate(shares)]
    behind_hole = replace(windows[-1], id=replace(windows[-1].id, seq=10), captured_at=begun_at + 0.4 * 9 + 1.2)

    _, told = judge([*windows, behind_hole], rule(cooldown_s=1.6, min_duration_s=0.8, max_duration_s=1.2), gap_s=1.2)
    _, rested = judge(windows, rule(cooldown_s=1.6))
    _, bridged = judge([windows[-1], behind_hole], rule(), gap_s=1.2)

    assert [(str(notice.event.phase), notice.event.window.seq) for notice in told] == [("started", 6), ("ended", 7)]
    assert [(str(notice.event.phase), notice.event.window.seq) for notice in rested][2] == ("started", 4)
    assert [str(notice.event.phase) for notice in bridged] == ["started"]


def test_a_rule_that_is_released_before_its_minimum_duration_says_nothing():
    _, told = judge(recording([0.7, 0.7, 0.3, 0.7, 0.7, 0.3]), rule(min_duration_s=2))

    assert told == []


def test_an_update_is_told_when_the_peak_has_risen_by_a_twentieth_over_the_last_one_told():
    _, told = judge(recording([0.61, 0.65, 0.67, 0.71, 0.5, 0.73, 0.0]), rule())

    updates = [(notice.event.window.seq, notice.event.peak_score) for notice in told[1:-1]]
    assert updates == [(2, 0.67), (5, 0.73)]
    assert [notice.event.revision for notice in told] == [0, 1, 2, 3]


def test_an_event_that_lasts_too_long_ends_and_a_new_one_waits_for_the_cooldown():
    lasting = rule(max_duration_s=3, cooldown_s=2)

    _, told = judge(recording([0.9] * 8, ended=False), lasting)

    assert story(told) == [
        ("started", 0, None, None),
        ("ended", 0, 3, "max_duration"),
        ("started", 5, None, None),
    ]


def test_the_cooldown_counts_from_the_end_of_the_event():
    _, told = judge(recording([0.9, 0.1, 0.9, 0.9, 0.9, 0.9]), rule(cooldown_s=4))

    assert story(told) == [
        ("started", 0, None, None),
        ("ended", 0, 0, "released"),
        ("started", 4, None, None),
        ("ended", 4, 5, "source_ended"),
    ]


def test_a_rule_is_judged_in_each_of_its_regions_by_itself():
    gates = rule(regions=("east", "west"))
    scores = [window(0, {"east": 0.9, "west": 0.1}), window(1, {"east": 0.1, "west": 0.9})]

    _, told = judge(scores, gates)

    assert [(str(n.event.phase), n.event.region) for n in told] == [
        ("started", "east"),
        ("ended", "east"),
        ("started", "west"),
    ]


def test_a_rule_for_another_source_is_not_asked():
    _, told = judge(recording([0.9]), rule(sources=("gate",)))

    assert told == []


def test_severity_labels_and_sinks_are_those_of_the_rule():
    _, (notice, _) = judge(recording([0.9]), rule(severity="critical", labels={"site": "north"}, sinks=("ops", "log")))

    assert (notice.event.severity, notice.event.labels, notice.sinks) == ("critical", {"site": "north"}, ("ops", "log"))


# --------------------------------------------------------------------------------------- tombstones, holes and epochs


@pytest.mark.parametrize("status", [ScoreStatus.DROPPED, ScoreStatus.EXPIRED, ScoreStatus.FAILED])
def test_a_lost_window_is_unknown_it_neither_releases_nor_starts(status):
    _, told = judge([window(0, 0.9), tombstone(1, status), window(2, 0.9)], rule())
    _, none = judge([window(0, 0.9), tombstone(1, status), window(2, 0.1)], rule(min_duration_s=2))

    assert story(told) == [("started", 0, None, None)]
    assert none == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (ScoreStatus.SOURCE_LOST, "source_lost"),
        (ScoreStatus.SOURCE_ENDED, "source_ended"),
        (ScoreStatus.SOURCE_STOPPED, "shutdown"),
    ],
)
def test_the_end_of_the_source_ends_what_is_open_and_forgets_what_is_pending(status, reason):
    patient = rule("patient", min_duration_s=3)

    state, told = judge([window(0, 0.9), window(1, 0.9), tombstone(2, status)], rule(), patient)

    assert story(told) == [("started", 0, None, None), ("ended", 0, 1, reason)]
    assert state.holdings == ()


def test_evidence_does_not_bridge_a_long_hole_in_time():
    scores = [window(0, 0.9), window(1, 0.9), window(2, 0.9, at=1020.0)]

    _, told = judge(scores, rule())

    assert story(told) == [
        ("started", 0, None, None),
        ("ended", 0, 1, "source_lost"),
        ("started", 20, None, None),
    ]


def test_a_pending_rule_begins_anew_after_a_long_hole():
    scores = [window(0, 0.9), window(1, 0.9, at=1020.0), window(2, 0.9, at=1023.0)]

    _, told = judge(scores, rule(min_duration_s=3))

    assert story(told) == [("started", 20, None, None)]


def test_many_lost_windows_end_an_event_as_soon_as_the_hole_is_too_long():
    lost = [tombstone(seq, ScoreStatus.EXPIRED) for seq in range(1, 20)]

    _, told = judge([window(0, 0.9), *lost], rule())

    assert (told[-1].event.end_reason, told[-1].event.window.seq) == (EndReason.SOURCE_LOST, 9)


def test_the_hole_that_ends_events_is_never_shorter_than_the_stride():
    assert default_gap_s(span_s=2, stride_s=1) == 5
    assert default_gap_s(span_s=4, stride_s=1) == 8
    assert default_gap_s(span_s=4, stride_s=10) == 20


def test_an_epoch_that_never_ended_is_lost_when_the_next_one_begins():
    scores = [window(0, 0.9, live=True), window(0, 0.9, live=True, epoch="e2", generation=2, at=1003.0)]

    state, told = judge(scores, rule())

    assert story(told) == [("started", 0, None, None), ("ended", 0, 0, "source_lost"), ("started", 3, None, None)]
    assert told[0].event.event_id != told[2].event.event_id
    assert state.counts.windows == 1


@pytest.mark.parametrize("live", [True, False])
def test_a_cooldown_lasts_into_the_next_epoch_of_a_camera_but_not_into_another_playing_of_a_file(live):
    first = [window(0, 0.9, live=live), tombstone(1, ScoreStatus.SOURCE_ENDED, live=live)]
    second = window(0, 0.9, live=live, epoch="e2", generation=2, at=1004.0)

    _, told = judge([*first, second], rule(cooldown_s=30))

    assert len(told) == (2 if live else 3)


def test_a_clock_that_was_set_back_neither_makes_a_negative_duration_nor_a_cooldown_of_hours():
    end = tombstone(1, ScoreStatus.SOURCE_ENDED, live=True, at=0.0)
    scores = [window(0, 0.9, live=True), end, window(0, 0.9, live=True, epoch="e2", generation=2, at=500.0)]

    _, told = judge(scores, rule(cooldown_s=30))

    assert story(told) == [("started", 0, None, None), ("ended", 0, 0, "source_ended"), ("started", -500, None, None)]
    assert told[1].event.window.captured_at == 1000.0


def test_windows_that_passed_are_counted_by_their_outcome():
    scores = [window(0), tombstone(1, ScoreStatus.DROPPED), tombstone(2, ScoreStatus.EXPIRED), window(5, 0.9)]

    state, _ = judge([*scores, tombstone(6, ScoreStatus.FAILED), tombstone(7, ScoreStatus.SOURCE_ENDED)], rule())

    counts = state.counts
    assert (counts.windows, counts.dropped, counts.expired, counts.failed, counts.lost) == (5, 1, 1, 1, 2)
    assert (counts.events, state.open_events, state.position.ended) == (1, 0, True)


# ---------------------------------------------------------------------------------------------------------- schedule


def test_a_rule_that_sleeps_does_not_start_and_one_that_falls_asleep_ends():
    # 1000 s after midnight is 00:16:40, so the rule wakes at second 20 and sleeps from second 80.
    night = rule(schedule=Schedule.parse(days="mon-sun", opens="00:17", closes="00:18", timezone="UTC"))

    _, told = judge(recording([0.9] * 100), night)

    assert story(told)[0] == ("started", 20, None, None)
    assert story(told)[1] == ("ended", 20, 79, "schedule")
    assert len(told) == 2


# ----------------------------------------------------------------------------------------- configuration and restart


def test_an_open_event_of_a_removed_rule_ends_with_all_that_was_told_at_its_start():
    state, (started,) = judge([window(0, 0.9), window(1, 0.9)], rule(labels={"site": "north"}, sinks=("ops",)))

    state, (ended,) = reconcile(RuleState.decode(state.encode()), [], config_hash="c1")

    assert (ended.event.phase, ended.event.end_reason) == (Phase.ENDED, EndReason.CONFIGURATION)
    assert (ended.event.start_time, ended.event.end_time, ended.event.config_hash) == (1000.0, 1001.0, "c1")
    assert ended.event.labels == {"site": "north"}
    assert (ended.sinks, ended.number, ended.event.revision) == (("ops",), 1, 1)
    assert ended.event.event_id == started.event.event_id
    assert state.holdings == ()


@pytest.mark.parametrize(
    "change",
    [{"enter": 0.7}, {"background": (FALL,)}, {"severity": "info"}, {"regions": ("gate",)}, {"sources": ("gate",)}],
)
def test_an_open_event_of_a_changed_rule_ends(change):
    state, _ = judge([window(0, 0.9)], rule())

    _, told = reconcile(state, [rule(**change)], config_hash="c1")

    assert [notice.event.end_reason for notice in told] == [EndReason.CONFIGURATION]


def test_events_of_rules_that_stay_go_on_over_a_change_of_the_configuration():
    state, _ = judge([window(0, 0.9)], rule(sources=("yard",)))

    after, told = reconcile(state, [rule("new"), rule(sources=("yard", "gate"))], config_hash="c1")

    assert (after, told) == (state, [])


def test_an_event_is_told_to_the_sinks_that_heard_its_start_when_others_are_chosen_meanwhile():
    state, (started,) = judge([window(0, 0.9)], rule(sinks=("ops",)))

    _, (ended,) = judge([window(1, 0.1)], rule(sinks=("ops", "log")), state=state)

    assert (started.sinks, ended.sinks) == (("ops",), ("ops",))


def test_an_event_starts_at_the_sinks_that_are_chosen_then():
    state, none = judge([window(0, 0.9)], rule(min_duration_s=1, sinks=("ops",)))

    _, (started,) = judge([window(1, 0.9)], rule(min_duration_s=1, sinks=("log",)), state=state)

    assert none == []
    assert started.sinks == ("log",)


def test_without_rules_every_event_can_be_ended_for_a_reason_of_ones_own():
    state, _ = judge([window(0, 0.9)], rule())

    _, told = reconcile(state, [], config_hash="c0", reason=EndReason.SHUTDOWN)

    assert [notice.event.end_reason for notice in told] == [EndReason.SHUTDOWN]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"source_id": "yard", "version": 99}'])
def test_bytes_that_are_no_state_are_refused(body):
    with pytest.raises(DecodeError, match="state"):
        RuleState.decode(body)


# -------------------------------------------------------------------------------------------------------- properties

SHARES = st.sampled_from([0.0, 0.2, 0.39, 0.41, 0.5, 0.59, 0.61, 0.7, 0.76, 0.9, 0.99])
STATUSES = st.sampled_from([*[ScoreStatus.SCORED] * 12, *ScoreStatus])


@st.composite
def histories(draw: st.DrawFn) -> list[Scores]:
    """One or more epochs of a camera with everything that can happen to it, in order."""
    scores: list[Scores] = []
    at = 1000.0
    for generation in range(1, draw(st.integers(1, 3)) + 1):
        seq = 0
        for _ in range(draw(st.integers(0, 25))):
            status = draw(STATUSES)
            at += draw(st.sampled_from([1.0, 1.0, 1.0, 3.0, 20.0]))
            seq += draw(st.sampled_from([0, 0, 0, 2]))
            place = {"epoch": f"e{generation}", "generation": generation, "live": True, "at": at, "status": status}
            scores.append(window(seq, draw(SHARES), fall=draw(SHARES), **place))
            seq += 1
            if status is ScoreStatus.SOURCE_ENDED:
                break
    return scores


@st.composite
def rules(draw: st.DrawFn, rule_id: str = "climbing") -> Rule:
    return rule(
        rule_id,
        prompts=draw(st.sampled_from([(CLIMB,), (FALL,), (CLIMB, FALL)])),
        min_duration_s=draw(st.sampled_from([0.0, 1.0, 3.0])),
        cooldown_s=draw(st.sampled_from([0.0, 2.0, 10.0])),
        max_duration_s=draw(st.sampled_from([2.0, 5.0, 300.0])),
    )


def closed(scores: list[Scores], *with_rules: Rule) -> list[Notice]:
    """Judge a history and take the rules away at its end."""
    state, told = judge(scores, *with_rules)
    return told + reconcile(state, [], config_hash="c0")[1]


@given(histories(), rules("one"), rules("two"))
def test_every_event_has_one_start_contiguous_revisions_and_one_end(scores, one, two):
    told = [notice.event for notice in closed(scores, one, two)]

    for event_id in {event.event_id for event in told}:
        phases = [event for event in told if event.event_id == event_id]
        assert [event.revision for event in phases] == list(range(len(phases)))
        assert [event.phase for event in phases[1:-1]] == [Phase.UPDATED] * (len(phases) - 2)
        assert (phases[0].phase, phases[-1].phase) == (Phase.STARTED, Phase.ENDED)
        assert phases[-1].end_time >= phases[0].start_time
        assert phases[-1].end_reason is not None
    assert len({event.message_id for event in told}) == len(told)


@given(histories(), rules())
def test_events_of_a_rule_follow_each_other_with_the_cooldown_between(scores, one):
    told = [notice.event for notice in closed(scores, one)]

    ends = [event for event in told if event.phase is Phase.ENDED]
    starts = [event for event in told if event.phase is Phase.STARTED]
    for before, after in zip(ends, starts[1:], strict=False):
        assert told.index(before) < told.index(after)
        assert after.start_time - before.end_time >= one.cooldown_s
    for start in starts:
        assert start.window.captured_at - start.start_time >= one.min_duration_s


@given(histories(), rules())
def test_an_event_keeps_to_its_rule_and_to_its_epoch(scores, one):
    told = [notice.event for notice in closed(scores, one)]

    for event_id in {event.event_id for event in told}:
        *held, end = [event for event in told if event.event_id == event_id]
        assert held[0].peak_score >= one.enter
        assert all(event.score >= one.exit for event in held)
        assert end.end_reason is not EndReason.RELEASED or end.score < one.exit
        assert all(event.window.captured_at - event.start_time < one.max_duration_s for event in held[1:])
        assert all(after.peak_score >= before.peak_score + UPDATE_STEP - 1e-3 for before, after in pairwise(held))
        assert {event.window.epoch for event in held} == {held[0].window.epoch}
        assert end.window.epoch == held[0].window.epoch or end.end_reason is EndReason.SOURCE_LOST


@given(histories(), rules("one"), rules("two"))
def test_adding_a_rule_never_changes_the_events_of_another(scores, one, two):
    alone = [notice.event for notice in closed(scores, one)]

    together = [notice.event for notice in closed(scores, two, one) if notice.event.rule_id == "one"]

    assert together == alone


@given(histories(), rules("one"), rules("two"), st.sets(st.integers(0, 80)))
def test_events_are_the_same_when_the_state_is_stored_and_read_between_any_two_steps(scores, one, two, stops):
    _, whole = judge(scores, one, two)

    state, told = RuleState("yard"), []
    for n, each in enumerate(scores):
        if n in stops:
            state, none = reconcile(RuleState.decode(state.encode()), [one, two], config_hash="c0")
            assert none == []
        state, notices = step(state, each, [one, two], gap_s=8.0, config_hash="c0")
        told += notices

    assert told == whole
