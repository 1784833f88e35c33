"""Ordering and rules together, as the alert worker has them: however the scores come, the events are those in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from tests.score_builders import judge, rule, tombstone, window
from xclip_stream.ordering import PATIENCE_CAP_S, Arrival, Ordering
from xclip_stream.protocols import TakenScores
from xclip_stream.rules import Notice, Rule, RuleState, step
from xclip_stream.types import Scores, ScoreStatus

GAP_S = 8.0
RULES = (
    rule("quick"),
    rule("steady", min_duration_s=2.0, cooldown_s=3.0, max_duration_s=6.0),
)
SHARES = st.sampled_from([0.0, 0.3, 0.5, 0.61, 0.7, 0.99])
OUTCOMES = st.sampled_from([*[ScoreStatus.SCORED] * 8, ScoreStatus.FAILED])
LIVE_OUTCOMES = st.sampled_from(
    [
        *[ScoreStatus.SCORED] * 8,
        *[ScoreStatus.UNCHANGED] * 4,
        ScoreStatus.FAILED,
        ScoreStatus.DROPPED,
        ScoreStatus.EXPIRED,
        ScoreStatus.SOURCE_LOST,
    ]
)


@st.composite
def histories(draw: st.DrawFn, *, live: bool) -> list[Scores]:
    """All that became of the windows of some epochs of one source, in order, with no hole in the `seq`."""
    scores: list[Scores] = []
    for generation in range(1, draw(st.integers(1, 3)) + 1):
        length = draw(st.integers(0, 10))
        place = {"epoch": f"e{generation}", "generation": generation, "live": live}
        for seq in range(length):
            status = draw(LIVE_OUTCOMES if live else OUTCOMES)
            at = 1000.0 + len(scores)
            scored = window(seq, draw(SHARES), status=status, at=at, **place)
            # It names the window that was sent last, whatever has become of that one.
            same_as = draw(st.integers(0, max(0, seq - 1))) if status is ScoreStatus.UNCHANGED else None
            scores.append(replace(scored, same_as=same_as))
        scores.append(tombstone(length, ScoreStatus.SOURCE_ENDED, at=1000.0 + len(scores), **place))
    return scores


@dataclass
class Worker:
    """An alert worker without its queue: `body`, `entries` and `told` are what a crash leaves."""

    rules: Sequence[Rule] = RULES
    body: bytes = field(default_factory=lambda: RuleState("yard").encode())
    entries: dict[str, TakenScores] = field(default_factory=dict)
    told: list[Notice] = field(default_factory=list)
    published: int = 0

    def __post_init__(self) -> None:
        self.wake()

    def wake(self) -> None:
        """Begin as a new process does: with what was committed."""
        self.state = RuleState.decode(self.body)
        self.ordering = Ordering(self.state.position)
        self.read: set[str] = set()

    def publish(self, scores: Scores) -> None:
        self.published += 1
        self.entries[str(self.published)] = TakenScores(str(self.published), scores)

    def work(self, *, now_s: float, dies_before_commit: bool = False) -> None:
        """Read what is new, judge what has its turn, and commit it in one step."""
        done = [entry_id for entry_id, taken in self.entries.items() if self._is_refused(entry_id, taken, now_s)]
        released = self.ordering.release(now_s=now_s)
        state, told = self.state, list[Notice]()
        for taken in released:
            state, notices = step(state, taken.scores, self.rules, gap_s=GAP_S, config_hash="c0")
            told += notices
        if dies_before_commit:
            self.wake()
            return
        self.state, self.body = state, state.encode()
        self.told += told
        for entry_id in [*done, *(taken.entry_id for taken in released)]:
            del self.entries[entry_id]

    def _is_refused(self, entry_id: str, taken: TakenScores, now_s: float) -> bool:
        if entry_id in self.read:
            return False
        self.read.add(entry_id)
        return self.ordering.add(taken, now_s=now_s) is not Arrival.WAITING


def is_possible(published: Sequence[Scores]) -> bool:
    """Whether a queue could hold just this: it ends an epoch in the step that begins the next one."""
    newest = max((scores.generation for scores in published), default=0)
    ended = {scores.generation for scores in published if scores.status.ends_epoch}
    return ended >= set(range(1, newest))


STEPS = st.sampled_from(["publish"] * 6 + ["again", "work", "work", "wait", "die", "die before the commit"])


@given(st.booleans(), st.data())
def test_any_order_with_copies_holes_and_crashes_gives_the_events_of_the_order(live, data):
    history = data.draw(histories(live=live))
    # A live source may lose what nobody scored; a file waits for it.
    lost = data.draw(st.sets(st.integers(0, len(history) - 1), max_size=4)) if live else set[int]()
    kept = [scores for place, scores in enumerate(history) if place not in lost]
    coming = list(data.draw(st.permutations(kept)))
    worker, published = Worker(), list[Scores]()

    while coming:
        match data.draw(STEPS):
            case "publish":
                published.append(coming.pop())
                worker.publish(published[-1])
            case "again" if published:
                worker.publish(data.draw(st.sampled_from(published)))
            case "work":
                worker.work(now_s=0.0)
            case "wait" if not live and is_possible(published):
                worker.work(now_s=2 * PATIENCE_CAP_S)
            case "die":
                worker.wake()
            case "die before the commit":
                worker.work(now_s=0.0, dies_before_commit=True)
    worker.work(now_s=0.0)
    worker.work(now_s=2 * PATIENCE_CAP_S)

    expected_state, expected = judge(kept, *RULES, gap_s=GAP_S)
    assert worker.told == expected
    assert worker.state == expected_state
    assert worker.entries == {}
