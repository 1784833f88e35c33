"""Twice as many windows as the scorer can score, from cameras and files together."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.live_site import write_clip, write_live_site
from tests.faults.score_tap import ScoreTap
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import System, wait_until
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, need_server
from xclip_stream.types import Scores, ScoreStatus

SPAN_S, STRIDE_S = 1.6, 0.4
CAMERAS = [f"camera-{number}" for number in range(6)]
FILES = [f"film-{number}" for number in range(2)]
OFFERED_A_S = (len(CAMERAS) + len(FILES)) / STRIDE_S
OVERLOAD = 2.0
MAX_AGE_WINDOWS = 2.0
REDIS_CAP_BYTES = 64 * 2**20
FAIR_SHARE = 0.8
"""Of equal sources, the least served has at least this part of what the best served has."""
_CALIBRATION_S = 8.0
_GIVE_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of the storm."""

    scores: Sequence[Scores]
    produced: Mapping[str, int]
    began_at: float
    """When all sources were under way, Unix seconds."""
    scored_a_s: float
    """Windows a second while the storm blew."""
    peak_bytes: int
    crashes: int
    drained: bool

    def of(self, names: Sequence[str], *statuses: ScoreStatus) -> Counter[str]:
        found = Counter(scores.id.source_id for scores in self.scores if not statuses or scores.status in statuses)
        return Counter({name: found[name] for name in names})


def run(scale: Scale) -> Sequence[Figure]:
    storm_s = scale.pick(short=45.0, long=300.0)
    need_server()
    capacity = _capacity_a_s(scale.folder / "calibration", slow_s=0.0)
    slow_s = max(0.0, OVERLOAD / OFFERED_A_S - 1 / capacity)
    outcome = _overload(scale.folder / "storm", storm_s, slow_s)
    scored = outcome.scored_a_s
    return [
        Figure.told("windows a second: scorer at full speed, the same slowed", f"{capacity:.1f}, {scored:.1f}"),
        Figure.told("windows a second: offered by cameras and by files at their own speed", OFFERED_A_S),
        Figure.at_least("overload", OFFERED_A_S / scored, 0.9 * OVERLOAD),
        *_age_figures(outcome),
        *_account_figures(outcome),
        Figure.at_most("Redis: most memory, MiB", outcome.peak_bytes / 2**20, REDIS_CAP_BYTES / 2**20),
        *_share_figures(outcome),
        Figure("all that was produced came out", "", "done", ok=outcome.drained),
        Figure.exactly("ends of workers", outcome.crashes),
    ]


def _age_figures(outcome: Outcome) -> list[Figure]:
    """Age counts from the capture of the last frame to the score, in lengths of a window (span_s)."""
    ages_s = sorted(
        scores.scored_at - scores.captured_at
        for scores in outcome.scores
        if scores.live and scores.status is ScoreStatus.SCORED and scores.captured_at >= outcome.began_at
    )
    p95_s = ages_s[int(0.95 * len(ages_s))] if ages_s else float("inf")
    return [
        Figure.at_most("age of a scored live window, p95, in windows (span_s)", p95_s / SPAN_S, MAX_AGE_WINDOWS),
        Figure.told("the same in strides", p95_s / STRIDE_S),
        Figure.told("the oldest, in windows", ages_s[-1] / SPAN_S if ages_s else "none"),
    ]


def _account_figures(outcome: Outcome) -> list[Figure]:
    names = [*CAMERAS, *FILES]
    given_up = (ScoreStatus.DROPPED, ScoreStatus.EXPIRED, ScoreStatus.FAILED)
    accounted = outcome.of(names, ScoreStatus.SCORED, ScoreStatus.UNCHANGED, *given_up)
    differing = sum(accounted[name] != outcome.produced[name] for name in names)
    kinds = Counter(str(scores.status) for scores in outcome.scores if scores.live)
    seqs = Counter((scores.id.source_id, scores.id.epoch, scores.id.seq) for scores in outcome.scores)
    lost = sum(outcome.produced[name] for name in FILES) - outcome.of(FILES, ScoreStatus.SCORED).total()
    return [
        Figure.told("live windows", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))),
        Figure.told("windows of files", sum(outcome.produced[name] for name in FILES)),
        Figure.exactly("sources whose produced is not scored + tombstones", differing),
        Figure.exactly("windows told twice", sum(count - 1 for count in seqs.values())),
        Figure.exactly("windows of files lost", lost),
    ]


def _share_figures(outcome: Outcome) -> list[Figure]:
    cameras = outcome.of(CAMERAS, ScoreStatus.SCORED)
    files = outcome.of(FILES, ScoreStatus.SCORED)
    part = files.total() / max(1, files.total() + cameras.total())
    return [
        Figure.at_least("fairness between cameras: least / most scored", _fairness(cameras), FAIR_SHARE),
        Figure.at_least("fairness between files", _fairness(files), FAIR_SHARE),
        Figure.at_least("the files' part of what was scored", part, 0.15),
    ]


def _fairness(scored: Counter[str]) -> float:
    return min(scored.values()) / max(1, *scored.values())


def _capacity_a_s(folder: Path, *, slow_s: float) -> float:
    """Return how many windows a second the scorer scores when there is always one more."""
    folder.mkdir()
    film = write_clip(folder / "film.mp4", seconds=600.0)
    sources = [{"id": f"film-{number}", "url": str(film)} for number in range(4)]
    config = _write(folder, sources)
    with (
        RedisServer("7", "--appendonly", "no") as server,
        System(
            config,
            redis_url=server.url,
            workers={"ingest": 1, "score": 1},
            folder=folder / "logs",
            commands={"score": _slow_scorer(slow_s)},
        ),
        ScoreTap(server.url) as tap,
    ):
        assert wait_until(lambda: _scored(tap) > 0, _GIVE_UP_S), "nothing was scored"
        began_at, before = time.monotonic(), _scored(tap)
        time.sleep(_CALIBRATION_S)
        return (_scored(tap) - before) / (time.monotonic() - began_at)


def _overload(folder: Path, storm_s: float, slow_s: float) -> Outcome:
    folder.mkdir()
    with ExitStack() as stack:
        camera = Camera(write_clip(folder / "clip.mp4"))
        stack.callback(camera.kill)
        camera.start()
        film = write_clip(folder / "film.mp4", seconds=storm_s + 60)
        live = [{"id": name, "url": camera.url()} for name in CAMERAS]
        files = [{"id": name, "url": str(film), "realtime": True} for name in FILES]
        server = stack.enter_context(
            RedisServer(
                "7", "--appendonly", "no", "--maxmemory", str(REDIS_CAP_BYTES), "--maxmemory-policy", "noeviction"
            )
        )
        system = stack.enter_context(
            System(
                _write(folder, [*live, *files]),
                redis_url=server.url,
                workers={"score": 1, "ingest": 1},
                folder=folder / "logs",
                commands={"score": _slow_scorer(slow_s)},
            )
        )
        tap = stack.enter_context(ScoreTap(server.url))
        assert wait_until(lambda: _all_scored(tap), _GIVE_UP_S), "not every source was scored"
        before, began_at = _scored(tap), time.time()
        time.sleep(storm_s)
        scored_a_s = (_scored(tap) - before) / (time.time() - began_at)
        return _finish(system, tap, server, began_at, scored_a_s)


def _finish(system: System, tap: ScoreTap, server: RedisServer, began_at: float, scored_a_s: float) -> Outcome:
    """Stop the reading, let the scorer score the rest, and add up."""
    system.of("ingest")[0].signal(signal.SIGTERM)
    drained = wait_until(lambda: system.of("ingest")[0].done, _GIVE_UP_S) and wait_until(
        lambda: system.queue.depths([]).windows == system.queue.depths([]).scores == 0, _GIVE_UP_S
    )
    statuses = system.queue.source_statuses()
    return Outcome(
        scores=list(tap.scores),
        produced={name: status.windows + status.dropped for name, status in statuses.items()},
        began_at=began_at,
        scored_a_s=scored_a_s,
        peak_bytes=int(server.client().info("memory")["used_memory_peak"]),
        crashes=len(system.crashes),
        drained=drained,
    )


def _write(folder: Path, sources: Sequence[Mapping[str, Any]]) -> Path:
    return write_live_site(folder, sources, span_s=SPAN_S, stride_s=STRIDE_S)


def _slow_scorer(slow_s: float) -> Sequence[str]:
    """Return the command of a score worker whose every window takes so much longer; no fault ever strikes it."""
    module = "tests.faults.broken_score_worker"
    return (sys.executable, "-m", module, "--fault", "fail", "--slow-s", f"{slow_s:.4f}")


def _scored(tap: ScoreTap) -> int:
    return sum(scores.status is ScoreStatus.SCORED for scores in tap.scores)


def _all_scored(tap: ScoreTap) -> bool:
    return {scores.id.source_id for scores in tap.scores} >= {*CAMERAS, *FILES}


STORM = Storm(
    name="overload",
    shows="twice what the scorer can do, from cameras and files: young, counted, fair, and no window of a file lost",
    run=run,
)
