"""One source as the alert loop sees it: its scores in order, its committed state, and when to report of it."""

from collections.abc import Sequence

from xclip_stream.ordering import Arrival, Ordering
from xclip_stream.protocols import TakenScores
from xclip_stream.rule_state import RuleState
from xclip_stream.rules import Rule, weigh_rules
from xclip_stream.types import Scores

REPORT_EVERY_S = 1.0


class AlertSource:
    """What the alert loop holds of one source between two commits; `state` is what is committed."""

    def __init__(self, state: RuleState, *, now_s: float, max_age_s: float) -> None:
        self.state = state
        self.met_at_s = now_s
        self.ordering = Ordering(state.position, max_age_s=max_age_s)
        self.refused: list[str] = []
        self.late = 0
        self.is_changed = False
        self._reported_at_s: float | None = None
        self._last_scored: Scores | None = None

    def add(self, taken: TakenScores, *, now_s: float) -> None:
        arrival = self.ordering.add(taken, now_s=now_s)
        if arrival is not Arrival.WAITING:
            self.refused.append(taken.entry_id)
        self.late += arrival is Arrival.LATE

    def note(self, scores: Scores) -> None:
        """Keep of scores that have had their turn what the next report says."""
        if scores.is_scored:
            self._last_scored = scores

    @property
    def is_quiet(self) -> bool:
        """True while there is nothing to decide, to let go of or to report."""
        return not (self.ordering.waiting or self.refused or self.is_changed)

    def is_report_due(self, now_s: float) -> bool:
        """True when there is news and the last report is old enough, or when the source has ended."""
        is_old = self._reported_at_s is None or now_s - self._reported_at_s >= REPORT_EVERY_S
        return self.is_changed and (is_old or self.state.position.ended)

    def reported(self, now_s: float) -> None:
        self._reported_at_s = now_s
        self.is_changed = False

    def top(self, rules: Sequence[Rule]) -> tuple[str, float]:
        """Return the rule with the highest score in the last window, and that score."""
        if self._last_scored is None:
            return "", 0.0
        ranked = ((weight.score, rule.rule_id) for rule, _, weight in weigh_rules(self._last_scored, rules))
        score, rule_id = max(ranked, default=(0.0, ""))
        return rule_id, score
