"""Turns the scores of one source, in order, into events: a pure function of a state and the next scores.

Everything here runs in event time. The state is a value; it can be encoded between any two steps and decoded by
another worker, and the events are the same.
"""

import hashlib
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from xclip_stream.basis import Basis, basis_after, filled
from xclip_stream.ordering import Position
from xclip_stream.rule_state import Counts, Holding, Rest, RuleState
from xclip_stream.schedule import Schedule
from xclip_stream.types import WHOLE_FRAME, EndReason, Event, Phase, Scores, ScoreStatus, WindowRef
from xclip_stream.weighing import Weight, weigh

UPDATE_STEP = 0.05
"""An event is told again when its peak has risen by this much over the last one told."""

_CLOSING = {
    ScoreStatus.SOURCE_LOST: EndReason.SOURCE_LOST,
    ScoreStatus.SOURCE_ENDED: EndReason.SOURCE_ENDED,
    ScoreStatus.SOURCE_STOPPED: EndReason.SHUTDOWN,
}
_ROUNDING = 1e-9  # 0.65 - 0.6 is a little less than 0.05
_CLOCK_S = 1e-6  # seconds of today are kept in steps of 2.4e-7, so that a difference of 1.2 may be as much less
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Rule:
    """When prompts are an event: `enter` and `exit` are shares of the softmax over `prompts` and `background`.

    `sources` of None means all of them. Those of `sinks` that hear an event start hear it to its end.
    """

    rule_id: str
    prompts: tuple[str, ...]
    background: tuple[str, ...]
    enter: float = 0.6
    exit: float = 0.4
    min_duration_s: float = 0.0
    cooldown_s: float = 0.0
    max_duration_s: float = 300.0
    schedule: Schedule | None = None
    severity: str = "warning"
    labels: Mapping[str, str] = field(default_factory=dict)
    sinks: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = None
    regions: tuple[str, ...] = (WHOLE_FRAME,)

    def watches(self, source_id: str) -> bool:
        """Tell whether this rule is for the source."""
        return self.sources is None or source_id in self.sources

    def is_awake(self, at: float) -> bool:
        """Tell whether the schedule is open at event time `at`."""
        return self.schedule is None or self.schedule.is_open(at)

    def fingerprint(self) -> str:
        """A hash of all that decides an event or is told with it. Where the rule looks and who hears of it is not."""
        own = {key: value for key, value in asdict(self).items() if key not in {"sources", "regions", "sinks"}}
        return _hash(own)


@dataclass(frozen=True, slots=True)
class Notice:
    """One phase of an event, and the sinks that are to hear of it.

    `number` orders the notices of a source. `begins_at` is the first frame of the first window that held the rule,
    `peak_at` the middle of the window with the highest score so far, both in event time.
    """

    event: Event
    sinks: tuple[str, ...]
    number: int
    begins_at: float
    peak_at: float


def default_gap_s(*, span_s: float, stride_s: float) -> float:
    """Return the hole in event time that no event bridges, for windows of this span and stride."""
    return max(5.0, 2.0 * span_s, 2.0 * stride_s)


def step(
    state: RuleState, scores: Scores, rules: Sequence[Rule], *, gap_s: float, config_hash: str
) -> tuple[RuleState, list[Notice]]:
    """Let the next scores of a source have their turn; return the state after them and what is to be told.

    `scores` come in order, each once; a jump of `seq` says that the windows between were given up. Tombstones of lost
    windows are unknown, not zero: they neither start nor release anything. A window that is unchanged is judged by the
    scores of the one that it names. A hole of more than `gap_s` of event time since the last window that was judged
    ends what is open.
    """
    scores = filled(scores, state.basis)
    turn = _Turn(state, config_hash=config_hash)
    window = _window_ref(scores)
    is_new_epoch = scores.generation != state.position.generation
    if is_new_epoch:
        turn.end_all(EndReason.SOURCE_LOST, window)
        if not scores.live:  # a file that is played again has its own time, a camera goes on
            turn.forget_rests()
    turn.end_stale(window, gap_s=gap_s)
    if scores.status in _CLOSING:
        turn.end_all(_CLOSING[scores.status], window)
    elif scores.is_scored:
        for rule, region, weight in weigh_rules(scores, rules):
            turn.judge(rule, region, weight, scores)
    return turn.finish(
        position=state.position.after(scores),
        counts=_counted(state, scores),
        position_s=scores.last_pts_s if is_new_epoch else max(state.position_s, scores.last_pts_s),
        basis=basis_after(state.basis, scores),
    )


def reconcile(
    state: RuleState, rules: Sequence[Rule], *, config_hash: str, reason: EndReason = EndReason.CONFIGURATION
) -> tuple[RuleState, list[Notice]]:
    """End the open events of rules that are not among `rules` as they were; with no rules at all, every one."""
    mine = [rule for rule in rules if rule.watches(state.source_id)]
    unchanged = {(rule.rule_id, region): rule.fingerprint() for rule in mine for region in rule.regions}
    turn = _Turn(state, config_hash=config_hash)
    for holding in state.holdings:
        if unchanged.get(holding.key) != holding.fingerprint:
            turn.end(holding, reason, holding.seen)
    turn.forget_rests(keep=unchanged)
    return turn.finish(position=state.position, counts=state.counts, position_s=state.position_s, basis=state.basis)


def weigh_rules(scores: Scores, rules: Sequence[Rule]) -> Iterator[tuple[Rule, str, Weight]]:
    """Yield what scores say of each rule that watches the source, in each of its regions.

    A rule whose prompts or region were not scored is passed over: a scorer may still have an older configuration.
    """
    columns = {prompt: column for column, prompt in enumerate(scores.prompts)}
    rows = dict(zip(scores.regions, scores.logits.tolist(), strict=True))
    for rule in rules:
        if rule.watches(scores.id.source_id):
            for region in rule.regions:
                weight = weigh(rule.prompts, rule.background, columns, rows.get(region))
                if weight is not None:
                    yield rule, region, weight


def stands_in_vain(scores: Scores, rules: Sequence[Rule]) -> bool:
    """Tell whether an UNCHANGED window should rather be scored: there is nothing that stands for it, or what there is
    lacks a prompt of a rule that watches the source, because the rules are newer.
    """
    if scores.status is not ScoreStatus.UNCHANGED:
        return False
    known, regions = set(scores.prompts), set(scores.regions)
    return not scores.is_scored or any(
        not known.issuperset((*rule.prompts, *rule.background))
        for rule in rules
        if rule.watches(scores.id.source_id) and not regions.isdisjoint(rule.regions)
    )


class _Turn:
    """The work of one step: takes a state apart, changes it, and puts it together again."""

    def __init__(self, state: RuleState, *, config_hash: str) -> None:
        self._state = state
        self._config_hash = config_hash
        self._holdings = {holding.key: holding for holding in state.holdings}
        self._rests = {rest.key: rest for rest in state.rests}
        self._notices: list[Notice] = []

    def finish(
        self, *, position: Position, counts: Counts, position_s: float, basis: Basis | None
    ) -> tuple[RuleState, list[Notice]]:
        started = sum(notice.event.phase is Phase.STARTED for notice in self._notices)
        state = RuleState(
            source_id=self._state.source_id,
            position=position,
            position_s=position_s,
            holdings=tuple(self._holdings.values()),
            rests=tuple(self._rests.values()),
            counts=replace(counts, events=counts.events + started),
            notices=self._state.notices + len(self._notices),
            basis=basis,
        )
        return state, self._notices

    def judge(self, rule: Rule, region: str, weight: Weight, scores: Scores) -> None:
        window = _window_ref(scores)
        holding = self._holdings.get((rule.rule_id, region))
        if holding is None:
            if self._may_begin(rule, region, weight, window.captured_at):
                self._tell(rule, _begin(rule, region, weight, scores), window)
            return
        holding = replace(holding, seen=window, score=weight.score)
        if weight.score < rule.exit:
            self.end(holding, EndReason.RELEASED, window)
        elif not rule.is_awake(window.captured_at):
            self.end(holding, EndReason.SCHEDULE, window)
        else:
            holding = replace(holding, held_at=window.captured_at)
            if weight.score > holding.peak.score:
                holding = replace(holding, peak=weight, peak_at=_middle_of(window))
            self._tell(rule, holding, window)

    def end_stale(self, window: WindowRef, *, gap_s: float) -> None:
        for holding in list(self._holdings.values()):
            if window.captured_at - holding.seen.captured_at > gap_s + _CLOCK_S:
                self.end(holding, EndReason.SOURCE_LOST, window)

    def end_all(self, reason: EndReason, window: WindowRef) -> None:
        for holding in list(self._holdings.values()):
            self.end(holding, reason, window)

    def end(self, holding: Holding, reason: EndReason, window: WindowRef) -> None:
        """Forget a pending holding; end an open event."""
        del self._holdings[holding.key]
        if holding.is_open:
            self._rests[holding.key] = Rest(holding.rule_id, holding.region, holding.held_at)
            self._notify(holding, Phase.ENDED, window, reason)

    def forget_rests(self, keep: Container[tuple[str, str]] = ()) -> None:
        self._rests = {key: rest for key, rest in self._rests.items() if key in keep}

    def _may_begin(self, rule: Rule, region: str, weight: Weight, at: float) -> bool:
        if weight.score < rule.enter or not rule.is_awake(at):
            return False
        rest = self._rests.get((rule.rule_id, region))
        # A camera whose clock was set back may be before its last event; it has no rest to keep from then.
        return rest is None or not 0 <= at - rest.since < rule.cooldown_s - _CLOCK_S

    def _tell(self, rule: Rule, holding: Holding, window: WindowRef) -> None:
        """Keep a holding that this window held, and tell what it has become: at most one phase a window."""
        held_s = window.captured_at - holding.first.captured_at
        if not holding.is_open:
            holding = replace(holding, sinks=rule.sinks)
            phase = Phase.STARTED if held_s >= rule.min_duration_s - _CLOCK_S else None
        elif held_s >= rule.max_duration_s - _CLOCK_S:
            self.end(holding, EndReason.MAX_DURATION, window)
            return
        else:
            has_risen = holding.peak.score >= holding.told_peak + UPDATE_STEP - _ROUNDING
            phase = Phase.UPDATED if has_risen else None
        if phase is not None:
            self._notify(holding, phase, window, None)
            holding = replace(holding, told_peak=holding.peak.score, revision=holding.revision + 1)
        self._holdings[holding.key] = holding

    def _notify(self, holding: Holding, phase: Phase, window: WindowRef, reason: EndReason | None) -> None:
        event = Event(
            event_id=holding.event_id,
            phase=phase,
            revision=holding.revision,
            source_id=self._state.source_id,
            region=holding.region,
            rule_id=holding.rule_id,
            severity=holding.severity,
            labels=holding.labels,
            prompt=holding.peak.prompt,
            score=round(holding.score, _DIGITS),
            peak_score=round(holding.peak.score, _DIGITS),
            threshold=holding.threshold,
            start_time=holding.first.captured_at,
            end_time=holding.held_at if phase is Phase.ENDED else None,
            end_reason=reason,
            window=_not_before(holding.seen, window),
            top_prompts=holding.peak.top_prompts,
            model_name=holding.model_name,
            model_sha256=holding.model_sha256,
            config_hash=self._config_hash,
        )
        number = self._state.notices + len(self._notices)
        peak_at = _middle_of(holding.first) if holding.peak_at is None else holding.peak_at
        self._notices.append(Notice(event, holding.sinks, number, _beginning_of(holding.first), peak_at))


def _begin(rule: Rule, region: str, weight: Weight, scores: Scores) -> Holding:
    window = _window_ref(scores)
    return Holding(
        event_id=_hash([scores.id.source_id, window.epoch, rule.rule_id, region, window.seq]),
        rule_id=rule.rule_id,
        region=region,
        fingerprint=rule.fingerprint(),
        severity=rule.severity,
        labels=rule.labels,
        sinks=rule.sinks,
        threshold=rule.enter,
        model_name=scores.model_name,
        model_sha256=scores.model_sha256,
        first=window,
        held_at=window.captured_at,
        seen=window,
        score=weight.score,
        peak=weight,
        peak_at=_middle_of(window),
    )


def _counted(state: RuleState, scores: Scores) -> Counts:
    same_epoch = scores.generation == state.position.generation
    counts = state.counts if same_epoch else Counts()
    expected_seq = state.position.next_seq if same_epoch else 0
    is_unchanged = scores.status is ScoreStatus.UNCHANGED
    return Counts(
        windows=counts.windows + (scores.status not in _CLOSING),
        dropped=counts.dropped + (scores.status is ScoreStatus.DROPPED),
        expired=counts.expired + (scores.status is ScoreStatus.EXPIRED),
        failed=counts.failed + (scores.status is ScoreStatus.FAILED),
        lost=counts.lost + scores.id.seq - expected_seq + (is_unchanged and not scores.is_scored),
        events=counts.events,
        unchanged=counts.unchanged + (is_unchanged and scores.is_scored),
    )


def _window_ref(scores: Scores) -> WindowRef:
    return WindowRef(
        epoch=scores.id.epoch,
        seq=scores.id.seq,
        first_pts_s=scores.first_pts_s,
        last_pts_s=scores.last_pts_s,
        captured_at=scores.captured_at,
        reused=scores.status is ScoreStatus.UNCHANGED,
    )


def _beginning_of(window: WindowRef) -> float:
    """Return the event time of the first frame of a window."""
    return window.captured_at - (window.last_pts_s - window.first_pts_s)


def _middle_of(window: WindowRef) -> float:
    return (_beginning_of(window) + window.captured_at) / 2


def _not_before(seen: WindowRef, window: WindowRef) -> WindowRef:
    """Return `window`, at the time of `seen` if it is older: whoever closes an epoch may not know its time."""
    if window.captured_at >= seen.captured_at:
        return window
    return replace(window, first_pts_s=seen.first_pts_s, last_pts_s=seen.last_pts_s, captured_at=seen.captured_at)


def _hash(value: object) -> str:
    body = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def _plain(value: object) -> str | list[int]:
    return sorted(value) if isinstance(value, frozenset) else str(value)
