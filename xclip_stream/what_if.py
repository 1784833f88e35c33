"""What other rules would have made of the scores that are still at hand: the same step, over the history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xclip_stream.rule_state import RuleState
from xclip_stream.rules import Rule, step
from xclip_stream.types import Event, Phase, Scores


@dataclass(frozen=True, slots=True)
class Trial:
    """What the rules make of the history of one source.

    `events` are the last phase of each event, in the order of their beginning; one without an `end_time` is still open
    at the end. `unscored` are the rules of which a prompt or a region was never scored: nothing can be said of them.
    """

    source_id: str
    windows: int
    since: float | None
    until: float | None
    events: tuple[Event, ...]
    unscored: tuple[str, ...]


def try_rules(
    history: Iterable[Scores], rules: Sequence[Rule], *, source_id: str, gap_s: float, config_hash: str = ""
) -> Trial:
    """Let rules judge the history of a source, from nothing known before it."""
    mine = [rule for rule in rules if rule.watches(source_id)]
    state, events = RuleState(source_id), dict[str, Event]()
    times, seen = list[float](), dict[tuple[tuple[str, ...], tuple[str, ...]], None]()
    for scores in history:
        state, notices = step(state, scores, mine, gap_s=gap_s, config_hash=config_hash)
        events |= {notice.event.event_id: notice.event for notice in notices}
        times.append(scores.captured_at)
        if scores.is_scored:
            seen[scores.regions, scores.prompts] = None
    return Trial(
        source_id=source_id,
        windows=len(times),
        since=min(times, default=None),
        until=max(times, default=None),
        events=tuple(sorted(events.values(), key=lambda event: event.start_time)),
        unscored=tuple(rule.rule_id for rule in mine if seen and not _was_scored(rule, seen)),
    )


def is_open(event: Event) -> bool:
    """Tell whether an event has not ended."""
    return event.phase is not Phase.ENDED


def _was_scored(rule: Rule, seen: Iterable[tuple[tuple[str, ...], tuple[str, ...]]]) -> bool:
    wanted = {*rule.prompts, *rule.background}
    return any(wanted.issubset(prompts) and not set(rule.regions).isdisjoint(regions) for regions, prompts in seen)
