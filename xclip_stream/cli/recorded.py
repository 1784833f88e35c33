"""Recordings as the windows, scores and events that a source of a configuration would give, in this process alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.alert import build_rule, gap_s
from workers.windows import fitted, window_settings
from xclip_stream.config import Config
from xclip_stream.errors import ConfigError, SourceRejected
from xclip_stream.fidelity import Start
from xclip_stream.model.scorer import PromptFeatures, Scorer
from xclip_stream.pipeline.assembling import keep
from xclip_stream.rule_state import RuleState
from xclip_stream.rules import Rule, step, weigh_rules
from xclip_stream.sources import local_path, open_source
from xclip_stream.types import ClipGeometry, Phase, Scores, ScoreStatus, Window, WindowId


@dataclass(frozen=True, slots=True)
class Recording:
    """A file that stands for a source of the configuration."""

    source_id: str
    path: Path

    def windows(self, config: Config, geometry: ClipGeometry) -> Iterator[Window]:
        """Cut the file as the source's windows are cut.

        Raises:
            SourceRejected: it cannot be read.
        """
        source, regions = config.source(self.source_id), config.regions_of(self.source_id)
        settings = window_settings(source, num_frames=geometry.num_frames, regions=regions)
        windowing = settings.windowing()
        with open_source(
            str(self.path), geometry=fitted(geometry, source), regions=regions, masks=source.masks
        ) as opened:
            for frame in opened:
                cuts = windowing.push(frame.pts_s, lambda _seq, frame=frame: keep(frame))  # type: ignore[misc]
                for cut in cuts:
                    window_id = WindowId(self.source_id, str(self.path), cut.seq)
                    yield settings.assemble(cut, window_id, live=False, produced_at=0.0)

    def count_windows(self, config: Config) -> int:
        """Return about how many windows the file has.

        Raises:
            SourceRejected: it cannot be opened, or does not say how long it is.
        """
        window = config.source(self.source_id).window
        with open_source(str(self.path), geometry=ClipGeometry(num_frames=1, image_px=1)) as opened:
            if opened.duration_s is None:
                raise SourceRejected(f"{self.path}: does not say how long it is; remux it, for example into .mp4")
            return max(0, int((opened.duration_s - window.span_s) / window.stride_s) + 1)


def recordings_of(config: Config, named: Sequence[str]) -> list[Recording]:
    """Return the recordings that are named as SOURCE=FILE, or else the files among the sources.

    Raises:
        ConfigError: a name is not a source's or not of this form, or there is none at all.
    """
    found = []
    for text in named:
        source_id, separator, path = text.partition("=")
        if not separator or source_id not in config.source_ids:
            known = ", ".join(config.source_ids)
            raise ConfigError(f"{text}: write SOURCE=FILE, where SOURCE is one of: {known}")
        found.append(Recording(source_id, Path(path)))
    found = found or [
        Recording(source.id, local_path(source.url.get_secret_value())) for source in config.sources if not source.live
    ]
    if not found:
        raise ConfigError("all sources are cameras: name recordings of them, as SOURCE=FILE")
    judged = [recording for recording in found if config.rules_of(recording.source_id)]
    if not judged:
        raise ConfigError("no rule watches the sources of these recordings")
    return judged


class Answers:
    """What one model says of windows, gathered: vectors, best prompts, rules' scores and beginnings of events."""

    def __init__(self, scorer: Scorer, config: Config) -> None:
        self._scorer = scorer
        self._config = config
        self._rules = [build_rule(config, rule) for rule in config.rules]
        self._prompts: dict[str, PromptFeatures] = {}
        self._states: dict[tuple[str, str], RuleState] = {}
        self.vectors: list[NDArray[np.float32]] = []
        self.best: list[int] = []
        self.scores: list[float] = []
        self.starts: list[Start] = []

    def hear(self, window: Window) -> None:
        """Score a window, and let the rules judge it."""
        source_id = window.id.source_id
        if source_id not in self._prompts:
            self._prompts[source_id] = self._scorer.encode_prompts(self._config.prompts_of(source_id))
        prompts = self._prompts[source_id]
        clips = self._scorer.encode_clips(window.frames)
        logits = self._scorer.logits(clips, None, prompts)
        self.vectors += list(clips.videos.float().numpy())
        self.best += [int(number) for number in logits.argmax(axis=1)]
        rules = [rule for rule in self._rules if rule.watches(source_id)]
        scores = _scores_of(window, prompts.prompts, logits)
        self.scores += [weight.score for _, _, weight in weigh_rules(scores, rules)]
        self._judge(scores, rules)

    def _judge(self, scores: Scores, rules: Sequence[Rule]) -> None:
        source_id, recording = scores.id.source_id, scores.id.epoch
        state = self._states.get((source_id, recording)) or RuleState(source_id)
        gap = gap_s(self._config.source(source_id))
        state, notices = step(state, scores, rules, gap_s=gap, config_hash="")
        self._states[source_id, recording] = state
        started = [notice.event for notice in notices if notice.event.phase is Phase.STARTED]
        self.starts += [(f"{source_id} {recording}", event.rule_id, event.start_time) for event in started]


def _scores_of(window: Window, prompts: tuple[str, ...], logits: NDArray[np.float32]) -> Scores:
    return Scores(
        id=window.id,
        generation=0,
        status=ScoreStatus.SCORED,
        live=False,
        first_pts_s=window.first_pts_s,
        last_pts_s=window.last_pts_s,
        captured_at=window.captured_at,
        produced_at=window.produced_at,
        scored_at=window.produced_at,
        regions=window.regions,
        prompts=prompts,
        logits=logits,
    )
