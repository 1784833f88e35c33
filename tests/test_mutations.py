"""The properties of the order and of the rules can fail: each is missed when the line that keeps it is gone."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests import score_builders, test_basis, test_ordering, test_rules, test_scores_in_any_order
from tests.mutations import HUNT, Mutation
from xclip_stream import basis, ordering, rules

OF_THE_ORDER = [
    ("following = [(here.generation, here.next_seq)]", "following = sorted(self._waiting)"),
    ("return here.ended or seq < here.next_seq", "return False"),
    ("if held.taken.entry_id != taken.entry_id:", "if False:"),
    ("if not scores.live and not (here.ended and seq == 0):", "if False:"),
    ("scores.status.ends_epoch)", "False)"),
]
OF_THE_RULES = [
    ("return rest is None or not 0 <= at - rest.since < rule.cooldown_s", "return True"),
    ("score < rule.enter or", "score < rule.exit or"),
    ("score < rule.exit:", "score < rule.enter:"),
    ("Phase.STARTED if held_s >= rule.min_duration_s - _CLOCK_S else None", "Phase.STARTED"),
    ("elif held_s >= rule.max_duration_s - _CLOCK_S:", "elif False:"),
    ("turn.end_all(EndReason.SOURCE_LOST, window)", "pass"),
    ("phase = Phase.UPDATED if has_risen else None", "phase = Phase.UPDATED"),
    ("revision=holding.revision + 1", "revision=1"),
    ("del self._holdings[holding.key]", "pass"),
    ("scores = filled(scores, state.basis)", "pass"),
    ("basis=basis_after(state.basis, scores),", "basis=None,"),
]
OF_THE_BASIS = [
    ("if (basis.generation, basis.seq) != (scores.generation, scores.same_as):", "if False:"),
    ("basis if basis is not None and basis.generation == scores.generation else None", "None"),
    ("if scores.live and scores.status is ScoreStatus.SCORED:", "if scores.live and scores.regions:"),
]
ORDER_PROPERTIES = (
    test_ordering.test_any_permutation_and_duplication_comes_out_in_the_same_order,
    test_ordering.test_a_crash_at_any_point_changes_nothing_of_the_order,
    test_scores_in_any_order.test_any_order_with_copies_holes_and_crashes_gives_the_events_of_the_order,
)
RULE_PROPERTIES = (
    test_rules.test_every_event_has_one_start_contiguous_revisions_and_one_end,
    test_rules.test_events_of_a_rule_follow_each_other_with_the_cooldown_between,
    test_rules.test_an_event_keeps_to_its_rule_and_to_its_epoch,
    test_basis.test_the_events_are_those_of_scoring_every_window,
)
BASIS_PROPERTIES = (test_basis.test_scores_come_from_the_window_that_was_scored_last_if_it_is_the_one_named,)
TESTS = (score_builders, test_basis, test_ordering, test_rules, test_scores_in_any_order)


@pytest.mark.parametrize(("guard", "instead"), OF_THE_ORDER)
def test_a_property_of_the_order_is_missed_without(guard: str, instead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_mutant(ordering, Mutation("ordering", guard, instead), monkeypatch)

    assert any(fails(check, monkeypatch) for check in ORDER_PROPERTIES)


@pytest.mark.parametrize(("guard", "instead"), OF_THE_RULES)
def test_a_property_of_the_rules_is_missed_without(guard: str, instead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_mutant(rules, Mutation("rules", guard, instead), monkeypatch)

    assert any(fails(check, monkeypatch) for check in RULE_PROPERTIES)


@pytest.mark.parametrize(("guard", "instead"), OF_THE_BASIS)
def test_a_property_of_the_basis_is_missed_without(guard: str, instead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_mutant(basis, Mutation("basis", guard, instead), monkeypatch)

    assert any(fails(check, monkeypatch) for check in BASIS_PROPERTIES)


def use_mutant(module: ModuleType, mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the tests a mutant of a module in the place of all that they have imported from it."""
    mutant = ModuleType(module.__name__)
    exec(mutation.of(Path(str(module.__file__)).read_text()), mutant.__dict__)  # noqa: S102 - our own source
    for test in TESTS:
        for name, value in vars(test).items():
            if getattr(value, "__module__", None) == module.__name__:
                monkeypatch.setattr(test, name, getattr(mutant, name))


def fails(check: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether a property does not hold."""
    monkeypatch.setattr(check, "_hypothesis_internal_use_settings", HUNT)
    try:
        check()
    except AssertionError:
        return True
    return False
