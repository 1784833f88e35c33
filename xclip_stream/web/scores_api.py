"""The part of the API about scores: their lines over time, and what another configuration would have made of them."""

import math
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xclip_stream.errors import ConfigError
from xclip_stream.events import format_time, is_dated
from xclip_stream.score_series import Chart, chart_of
from xclip_stream.types import Event, Scores
from xclip_stream.web.answers import answered, body_of, missing, number, whole_number, wrong
from xclip_stream.web.services import Services
from xclip_stream.web.sharing import Shared
from xclip_stream.web.site import COPY_NAME, ShownSource, Site
from xclip_stream.what_if import Trial, try_rules

PAGE = 2000
MAX_WINDOWS = 200_000
"""Of one source in one chart."""
TRIAL_WINDOWS = 40_000
"""Of all sources in one trial: more would keep a person waiting."""
MAX_POINTS = 2000
ANY_TIME, NEVER = -1.0, 1e12
"""Unix seconds before and behind all event times."""
LOOK_AGAIN_AFTER_S = 2.0
_PROBLEM = re.compile(rf"{COPY_NAME}:(\d+):(\d+): (.*)", re.DOTALL)


class ScoresApi:
    """Charts are made once for all pages that show the same; one trial is made at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._charts = Shared[tuple[str, float, int, float, float], dict[str, Any]](
            lambda key: self._chart(*key), for_s=LOOK_AGAIN_AFTER_S, max_keys=32
        )
        self._trying = threading.Lock()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/timeline/{source_id}", self.timeline),
            Route("/api/configuration", self.configuration),
            Route("/api/configuration/try", self.try_copy, methods=["POST"]),
        ]

    def timeline(self, request: Request) -> Response:
        source_id = request.path_params["source_id"]
        hours = number(request, "hours", 1.0, low=0.01, high=24 * 31)
        points = whole_number(request, "points", 600, low=10, high=MAX_POINTS)
        since = number(request, "since", ANY_TIME, low=ANY_TIME, high=NEVER)
        until = number(request, "until", NEVER, low=ANY_TIME, high=NEVER)
        if since > until:
            raise wrong("until must not be before since")
        return self._answered(self._charts((source_id, hours, points, since, until)))

    def configuration(self, _request: Request) -> Response:
        site = self._services.site()
        # Its secrets are hidden in it: in the whole text, a password such as `secret` would hide keys too.
        return answered({"config_hash": site.config_hash, "yaml": site.yaml}, str)

    async def try_copy(self, request: Request) -> Response:
        body = await body_of(request)
        text = body.get("yaml")
        if not isinstance(text, str):
            raise wrong("send the copy as yaml")
        return await run_in_threadpool(self._try_copy, text)

    def _try_copy(self, text: str) -> Response:
        if not self._trying.acquire(blocking=False):
            raise HTTPException(409, "another copy is being tried: wait a moment")
        try:
            copy = self._services.read_copy(text)
        except ConfigError as error:
            return self._answered({"problems": [_problem(line) for line in str(error).splitlines()], "trials": []})
        else:
            trials = list(self._trials(copy))
            return self._answered({"problems": [], "config_hash": copy.config_hash, "trials": trials})
        finally:
            self._trying.release()

    def _trials(self, copy: Site) -> Iterator[dict[str, Any]]:
        now, left = self._services.site(), TRIAL_WINDOWS
        for source in copy.sources:
            history = self._history(source.id, hours=copy.history_hours, max_windows=left)
            left -= len(history)
            then = _trial(history, now, source.id)
            yield _compared(source, _trial(history, copy, source.id), then, complete=left > 0)

    def _chart(self, source_id: str, hours: float, points: int, since: float, until: float) -> dict[str, Any]:
        site = self._services.site()
        _require_source(site, source_id)
        history = _within(self._history(source_id, hours=hours, max_windows=MAX_WINDOWS, until=until), since, until)
        chart = chart_of(history, site.rules, source_id=source_id, max_points=points)
        return {"source": source_id, "windows": len(history), **_plain_chart(chart)}

    def _history(self, source_id: str, *, hours: float, max_windows: int, until: float = NEVER) -> list[Scores]:
        """Return the newest windows of a source, oldest first, of those that were judged in the last hours.

        Those that were judged after the first one behind `until` need not be among them.
        """
        found, after = list[Scores](), "0"
        since = time.time() - hours * 3600
        while len(found) < MAX_WINDOWS:
            page = self._services.queue.read_history(source_id, since=since, after_id=after, max_count=PAGE)
            found += [scores for _, scores in page]
            if len(page) < PAGE or found[-1].captured_at > until:
                break
            after = page[-1][0]
        return found[-max_windows:] if max_windows > 0 else []

    def _answered(self, value: Any) -> Response:
        return answered(value, self._services.redact)


def _require_source(site: Site, source_id: str) -> None:
    if all(source.id != source_id for source in site.sources):
        raise missing(f"there is no source {source_id}")


def _within(history: Sequence[Scores], since: float, until: float) -> list[Scores]:
    """Return the windows of one stretch of event time.

    A source that was a recording without a date and is a camera now has both kinds of time, which no one axis can show:
    where no stretch is asked for, the kind of what was judged last counts.
    """
    if not history:
        return []
    dated = is_dated(history[-1].captured_at if since == ANY_TIME else since)
    return [each for each in history if since <= each.captured_at <= until and is_dated(each.captured_at) is dated]


def _plain_chart(chart: Chart) -> dict[str, Any]:
    return {
        "times": np.round(chart.times, 3).tolist(),
        "series": [
            {
                "rule_id": line.rule.rule_id,
                "region": line.region,
                "severity": line.rule.severity,
                "enter": line.rule.enter,
                "exit": line.rule.exit,
                "prompts": list(line.rule.prompts),
                "lows": np.round(line.lows, 4).tolist(),
                "highs": np.round(line.highs, 4).tolist(),
            }
            for line in chart.series
        ],
    }


def _trial(history: list[Scores], site: Site, source_id: str) -> Trial:
    gap_s = site.gap_s.get(source_id, 8.0)
    return try_rules(history, site.rules, source_id=source_id, gap_s=gap_s, config_hash=site.config_hash)


def _compared(source: ShownSource, trial: Trial, then: Trial, *, complete: bool) -> dict[str, Any]:
    """Return what a trial gave beside what the rules in force give on the same scores."""
    return {
        "source": source.id,
        "windows": trial.windows,
        "since": trial.since,
        "until": trial.until,
        "complete": complete,
        "unscored": list(trial.unscored),
        "now": len(then.events),
        "then": len(trial.events),
        "events": sorted(_changes(then.events, trial.events), key=lambda event: event["start_time"]),
    }


def _changes(before: Sequence[Event], after: Sequence[Event]) -> Iterator[dict[str, Any]]:
    """Yield each event with what a trial makes of it: it is the same, new, gone, or moved: begins or ends elsewhere."""
    left = {event.event_id: event for event in before}
    for event in after:
        same = left.pop(event.event_id, None)
        met = same or next((other for other in left.values() if _overlap(event, other)), None)
        if met is None:
            yield _plain_event(event) | {"change": "new"}
            continue
        left.pop(met.event_id, None)
        is_same = (event.start_time, event.end_time) == (met.start_time, met.end_time)
        yield _plain_event(event) | {"change": "same" if is_same else "moved"}
    yield from (_plain_event(event) | {"change": "gone"} for event in left.values())


def _overlap(one: Event, other: Event) -> bool:
    """Tell whether two events of a rule in a region have a time in common; one that has not ended goes on."""
    ends = [math.inf if event.end_time is None else event.end_time for event in (one, other)]
    same_place = (one.rule_id, one.region) == (other.rule_id, other.region)
    return same_place and one.start_time <= ends[1] and other.start_time <= ends[0]


def _plain_event(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "rule_id": event.rule_id,
        "region": event.region,
        "severity": event.severity,
        "prompt": event.prompt,
        "peak_score": event.peak_score,
        "start_time": format_time(event.start_time),
        "end_time": None if event.end_time is None else format_time(event.end_time),
    }


def _problem(line: str) -> Mapping[str, Any]:
    match = _PROBLEM.fullmatch(line)
    if match is None:
        return {"line": None, "column": None, "text": line}
    return {"line": int(match[1]), "column": int(match[2]), "text": match[3]}
