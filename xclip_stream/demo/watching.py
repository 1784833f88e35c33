"""From a video file to events in one process: the same windows, scores and rules as the pipeline, without its queue."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xclip_stream.demo.agreement import Told
from xclip_stream.demo.figures import Picture
from xclip_stream.demo.pool import shrink
from xclip_stream.demo.video import read_video
from xclip_stream.model.scorer import Scorer
from xclip_stream.rule_state import RuleState
from xclip_stream.rules import Rule, default_gap_s, step
from xclip_stream.types import WHOLE_FRAME, Phase, Scores, ScoreStatus, WindowId
from xclip_stream.windowing import Windowing

SPAN_S, STRIDE_S = 4.0, 1.0
_SOURCE, _EPOCH = "recording", "one"


def windows_of(path: Path) -> Iterator[tuple[float, list[Picture]]]:
    """Cut a file into windows: the time of the last frame, and the eight pictures at model size."""
    windowing: Windowing[tuple[float, Picture]] = Windowing(num_frames=8, span_s=SPAN_S, stride_s=STRIDE_S)
    for at, picture in read_video(path):
        for cut in windowing.push(at, lambda _seq, at=at, picture=picture: (at, shrink(picture))):  # type: ignore[misc]
            yield cut.frames[-1][0], [small for _, small in cut.frames]


def score_file(path: Path, scorer: Scorer, prompts: Sequence[str]) -> list[Scores]:
    """Score every window of a file against the prompts."""
    features = scorer.encode_prompts(prompts)
    scored = []
    for seq, (at, pictures) in enumerate(windows_of(path)):
        clip = scorer.encode_clips(np.stack(pictures)[None])
        scored.append(
            Scores(
                id=WindowId(_SOURCE, _EPOCH, seq),
                generation=0,
                status=ScoreStatus.SCORED,
                live=False,
                first_pts_s=at - SPAN_S,
                last_pts_s=at,
                captured_at=at,
                produced_at=at,
                scored_at=at,
                regions=(WHOLE_FRAME,),
                prompts=tuple(prompts),
                logits=scorer.logits(clip, None, features),
                model_name=scorer.name,
                model_sha256=scorer.sha256,
            )
        )
    return scored


def told_events(scored: Sequence[Scores], rules: Sequence[Rule]) -> list[Told]:
    """The events that the rules start, each with the time of the window that started it."""
    state, told = RuleState(_SOURCE), list[Told]()
    gap_s = default_gap_s(span_s=SPAN_S, stride_s=STRIDE_S)
    for scores in scored:
        state, notices = step(state, scores, rules, gap_s=gap_s, config_hash="")
        started = [notice.event for notice in notices if notice.event.phase is Phase.STARTED]
        told += [Told(event.rule_id, event.window.captured_at) for event in started]
    return told
