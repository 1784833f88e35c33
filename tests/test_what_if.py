"""The scores at hand, judged by other rules and drawn as lines: the same as the rules themselves say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.score_builders import CLIMB, EMPTY, judge, recording, rule, tombstone, window
from xclip_stream.score_series import chart_of
from xclip_stream.types import Phase, ScoreStatus
from xclip_stream.weighing import weigh, weigh_windows
from xclip_stream.what_if import is_open, try_rules

SHARES = [0.1, 0.7, 0.9, 0.8, 0.2, 0.1, 0.65, 0.1]
LOGITS = st.floats(-60, 60, width=32) | st.just(float("nan")) | st.just(float("inf"))


def test_the_rules_of_then_give_the_events_of_then() -> None:
    history = recording(SHARES)
    told = {notice.event.event_id: notice.event for notice in judge(history, rule())[1]}

    trial = try_rules(history, [rule()], source_id="yard", gap_s=8)

    assert [replace(event, config_hash="") for event in trial.events] == [
        replace(event, config_hash="") for event in told.values()
    ]
    assert (trial.windows, trial.since, trial.until) == (9, 1000.0, 1008.0)


def test_a_higher_threshold_gives_fewer_events() -> None:
    trial = try_rules(recording(SHARES), [rule(enter=0.75)], source_id="yard", gap_s=8)

    assert [(event.start_time, event.end_time) for event in trial.events] == [(1002.0, 1003.0)]


def test_an_event_at_the_end_of_the_history_is_open() -> None:
    (event,) = try_rules(recording([0.9], ended=False), [rule()], source_id="yard", gap_s=8).events

    assert is_open(event)
    assert event.phase is Phase.STARTED


def test_a_rule_whose_prompts_were_never_scored_is_named() -> None:
    rules = [rule(), rule("swimming", prompts=("a person swimming",)), rule("gate", regions=("gate",))]

    trial = try_rules(recording(SHARES), rules, source_id="yard", gap_s=8)

    assert trial.unscored == ("swimming", "gate")


def test_a_rule_for_another_source_says_nothing() -> None:
    trial = try_rules(recording(SHARES), [rule(sources=("gate",))], source_id="yard", gap_s=8)

    assert (trial.events, trial.unscored) == ((), ())


def test_a_line_has_the_scores_of_the_rules_and_gaps_where_there_are_none() -> None:
    history = [window(0, 0.2), window(1, 0.8), tombstone(2, ScoreStatus.DROPPED), window(3, 0.5)]

    chart = chart_of(history, [rule()], source_id="yard", max_points=100)

    assert chart.times.tolist() == [1000.0, 1001.0, 1002.0, 1003.0]
    assert chart.series[0].highs == pytest.approx([0.2, 0.8, np.nan, 0.5], nan_ok=True)


def test_few_points_keep_the_peaks() -> None:
    history = recording([0.1] * 500 + [0.95] + [0.1] * 499, ended=False)

    chart = chart_of(history, [rule()], source_id="yard", max_points=50)

    assert len(chart.times) == 50
    assert max(chart.series[0].highs) == pytest.approx(0.95, abs=1e-6)
    assert min(chart.series[0].lows) == pytest.approx(0.1, abs=1e-6)


def test_each_region_has_a_line() -> None:
    history = [window(0, {"gate": 0.9, "door": 0.1})]

    chart = chart_of(history, [rule(regions=("door", "gate", "roof"))], source_id="yard", max_points=9)

    assert [(line.region, round(float(line.highs[0]), 3)) for line in chart.series] == [("door", 0.1), ("gate", 0.9)]


def test_no_history_is_an_empty_chart() -> None:
    chart = chart_of([], [rule()], source_id="yard", max_points=9)

    assert (len(chart.times), chart.series) == (0, ())


@given(st.lists(st.tuples(LOGITS, LOGITS, LOGITS), min_size=1, max_size=9))
def test_many_windows_weigh_what_each_of_them_does(rows: list[tuple[float, float, float]]) -> None:
    columns = {CLIMB: 0, "other": 1, EMPTY: 2}
    one_by_one = [weigh((CLIMB,), ("other", EMPTY), columns, row) for row in rows]

    together = weigh_windows((CLIMB,), ("other", EMPTY), columns, np.array(rows, np.float64))

    expected = [np.nan if evidence is None else evidence.score for evidence in one_by_one]
    assert together == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_a_prompt_that_was_not_scored_gives_no_number() -> None:
    assert np.isnan(weigh_windows((CLIMB,), (EMPTY,), {CLIMB: 0}, np.zeros((2, 1)))).all()
