import numpy as np
import pytest

from xclip_stream.fidelity import Bounds, Fidelity, compare, shortfalls

GENERATOR = np.random.default_rng(0)
COMMON = 40 * GENERATOR.normal(size=64)
EXACT = COMMON + GENERATOR.normal(size=(200, 64))
LOGITS = GENERATOR.normal(size=(200, 5))
SCORES = GENERATOR.uniform(size=(200, 2))
STARTS = [("yard", "climbing", 10.0), ("yard", "climbing", 60.0), ("gate", "fight", 10.0)]


def compared(*, vectors=EXACT, logits=LOGITS, scores=SCORES, starts=STARTS) -> Fidelity:
    return compare(
        (EXACT, vectors),
        (LOGITS.argmax(axis=1), logits.argmax(axis=1)),
        (SCORES, scores),
        (STARTS, starts),
        within_s=2.0,
    )


def test_a_model_is_faithful_to_itself():
    found = compared()

    assert found == Fidelity(
        windows=200,
        cosine_p1=pytest.approx(1.0),
        score_p99=0.0,
        score_max=0.0,
        best_prompt=1.0,
        events=3,
        missed=0,
        extra=0,
    )
    assert shortfalls(found, Bounds()) == []


def test_what_all_vectors_have_in_common_hides_nothing():
    unrelated = COMMON + np.random.default_rng(1).normal(size=EXACT.shape)
    raw = (EXACT * unrelated).sum(axis=1) / np.linalg.norm(EXACT, axis=1) / np.linalg.norm(unrelated, axis=1)
    assert raw.min() > 0.99

    found = compared(vectors=unrelated)

    assert found.cosine_p1 < 0
    assert shortfalls(found, Bounds()) == [f"vectors agree to {found.cosine_p1:.3f} (1st percentile), wanted 0.97"]


def test_a_few_windows_that_differ_are_enough():
    changed = EXACT.copy()
    changed[:10] = COMMON - (changed[:10] - COMMON)

    assert compared(vectors=changed).cosine_p1 == pytest.approx(-1.0, abs=0.05)


def test_scores_are_compared_where_both_judge():
    changed = SCORES.copy()
    changed[0] += 0.5
    changed[1, 0] = np.nan

    found = compared(scores=changed)

    assert found.score_max == pytest.approx(0.5)
    assert found.score_p99 < 0.5
    assert "scores differ" in shortfalls(compared(scores=SCORES + 0.04), Bounds())[0]


def test_the_best_prompt_has_to_stay_the_best():
    changed = LOGITS.copy()
    changed[:50] = -changed[:50]

    found = compared(logits=changed)

    assert found.best_prompt == pytest.approx(0.75)
    assert "75.0 % of windows" in shortfalls(found, Bounds())[0]


@pytest.mark.parametrize(
    ("starts", "missed", "extra"),
    [
        ([("yard", "climbing", 11.0), ("yard", "climbing", 60.0), ("gate", "fight", 8.5)], 0, 0),
        (STARTS[1:], 1, 0),
        ([*STARTS, ("gate", "fight", 90.0)], 0, 1),
        ([*STARTS, STARTS[0]], 0, 1),
        ([("yard", "fight", 10.0), *STARTS[1:]], 1, 1),
        ([("yard", "climbing", 13.0), *STARTS[1:]], 1, 1),
    ],
)
def test_events_are_the_same_when_rule_source_and_time_are(starts, missed, extra):
    found = compared(starts=starts)

    assert (found.missed, found.extra) == (missed, extra)
    assert bool(shortfalls(found, Bounds())) == bool(missed or extra)


def test_values_that_are_not_numbers_are_not_faithful():
    changed = EXACT.copy()
    changed[3] = np.nan

    assert shortfalls(compared(vectors=changed), Bounds())


def test_nothing_can_be_said_of_no_windows():
    with pytest.raises(ValueError, match="not vectors of the same windows"):
        compare((EXACT[:0], EXACT[:0]), ([], []), (SCORES[:0],) * 2, ([], []), within_s=2.0)
