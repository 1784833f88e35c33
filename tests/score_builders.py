"""Scores and rules with sane defaults. The score of a rule is given as what the softmax shall be."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log

import numpy as np

from xclip_stream.rules import Notice, Rule, RuleState, step
from xclip_stream.types import WHOLE_FRAME, Scores, ScoreStatus, WindowId

CLIMB = "a person climbing a fence"
EMPTY = "an empty yard"
FALL = "a person falling"
PROMPTS = (CLIMB, FALL, EMPTY)


def rule(rule_id: str = "climbing", **changes: object) -> Rule:
    given: dict[str, object] = {"prompts": (CLIMB,), "background": (EMPTY,), "enter": 0.6, "exit": 0.4}
    return Rule(rule_id, **(given | changes))  # type: ignore[arg-type] # the tests name real fields


def window(
    seq: int,
    score: float | Mapping[str, float] = 0.0,
    *,
    fall: float = 0.0,
    at: float | None = None,
    source: str = "yard",
    epoch: str = "e1",
    generation: int = 1,
    status: ScoreStatus = ScoreStatus.SCORED,
    live: bool = False,
    latency_s: float = 0.5,
) -> Scores:
    """A window a second, its event time 1000 + seq, with `score` for CLIMB and `fall` for FALL against EMPTY.

    A mapping gives the score of CLIMB in each region.
    """
    captured_at = 1000.0 + seq if at is None else at
    by_region = {WHOLE_FRAME: score} if isinstance(score, int | float) else dict(score)
    rows = [[_logit(share), _logit(fall), 0.0] for share in by_region.values()]
    is_scored = status is ScoreStatus.SCORED
    return Scores(
        id=WindowId(source, epoch, seq),
        generation=generation,
        status=status,
        live=live,
        first_pts_s=float(seq),
        last_pts_s=seq + 3.5,
        captured_at=captured_at,
        produced_at=captured_at,
        scored_at=captured_at + latency_s,
        regions=tuple(by_region) if is_scored else (),
        prompts=PROMPTS if is_scored else (),
        logits=np.array(rows if is_scored else np.zeros((0, 0)), np.float32),
        model_name="tiny",
        model_sha256="0" * 64,
    )


def tombstone(seq: int, status: ScoreStatus, **place: object) -> Scores:
    return window(seq, status=status, **place)  # type: ignore[arg-type] # the tests name real options


def unchanged(seq: int, *, same_as: int, **place: object) -> Scores:
    """A window of a camera that shows what another one shows."""
    place = {"live": True, **place}
    return replace(window(seq, status=ScoreStatus.UNCHANGED, **place), same_as=same_as)  # type: ignore[arg-type]


def recording(shares: Sequence[float], *, ended: bool = True) -> list[Scores]:
    """A window for each share, then the end of the source."""
    windows = [window(seq, share) for seq, share in enumerate(shares)]
    return [*windows, tombstone(len(shares), ScoreStatus.SOURCE_ENDED)] if ended else windows


def judge(
    scores: Sequence[Scores], *rules: Rule, state: RuleState | None = None, gap_s: float = 8.0
) -> tuple[RuleState, list[Notice]]:
    state = state or RuleState("yard")
    told: list[Notice] = []
    for each in scores:
        state, notices = step(state, each, rules, gap_s=gap_s, config_hash="c0")
        told += notices
    return state, told


def story(notices: Sequence[Notice]) -> list[tuple[str, float, float | None, str | None]]:
    """(phase, start, end, reason) of each notice, with times counted from the first window."""
    return [
        (
            str(notice.event.phase),
            notice.event.start_time - 1000,
            None if notice.event.end_time is None else notice.event.end_time - 1000,
            None if notice.event.end_reason is None else str(notice.event.end_reason),
        )
        for notice in notices
    ]


def _logit(share: float) -> float:
    return log(max(share, 1e-6) / max(1 - share, 1e-6))
