"""The status lines of a run: a progress bar with the time left for each file, a line of health for each camera."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from xclip_stream.cli.fitting_table import FittingGrid
from xclip_stream.config import SourceConfig
from xclip_stream.pipeline.progress import Snapshot
from xclip_stream.protocols import RuleStatus, SourceState, SourceStatus

MAX_LINES = 20
"""More sources than this do not fit above a prompt; the rest is counted in one line."""

_COLOURS = {
    SourceState.CONNECTING: "yellow",
    SourceState.RUNNING: "green",
    SourceState.STALLED: "red",
    SourceState.ENDED: "blue",
    SourceState.FAILED: "red",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a source goes, from two looks at it."""

    seen_at: float
    position_s: float
    windows: int

    def windows_per_s(self, *, windows: int, now: float) -> float:
        return (windows - self.windows) / (now - self.seen_at) if now > self.seen_at else 0.0

    def left_s(self, *, position_s: float, duration_s: float, now: float) -> float | None:
        """Return the seconds until the end at this pace; None while it cannot be told."""
        done_s = position_s - self.position_s
        if done_s <= 0 or now <= self.seen_at:
            return None
        return max(0.0, duration_s - position_s) * (now - self.seen_at) / done_s


class StatusBoard:
    """Turns snapshots into status lines. `now` is a monotonic clock."""

    def __init__(self, sources: Sequence[SourceConfig], *, now: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._now = now
        self._snapshot: Snapshot | None = None
        self._first: dict[str, Pace] = {}

    def follow(self, sources: Sequence[SourceConfig]) -> None:
        """Show these from now on."""
        self._sources = sources

    def update(self, snapshot: Snapshot) -> None:
        """Take the newest state of the run."""
        self._snapshot = snapshot
        for name, rule in snapshot.rules.items():
            self._first.setdefault(name, Pace(self._now(), rule.position_s, rule.windows))

    def table(self) -> RenderableType:
        """Return the status lines as they are now."""
        table = FittingGrid.grid(padding=(0, 2))
        for source in self._sources[:MAX_LINES]:
            table.add_row(Text(source.id, style="bold"), *self._cells(source))
        if len(self._sources) > MAX_LINES:
            table.add_row(Text(f"… and {len(self._sources) - MAX_LINES} more"))
        return table

    def _cells(self, source: SourceConfig) -> list[RenderableType]:
        status = self._snapshot and self._snapshot.sources.get(source.id)
        if not status:
            return [Text("starting", style="yellow")]
        rule = self._snapshot.rules.get(source.id) if self._snapshot else None
        if status.state is SourceState.FAILED:
            return [state_text(status), Text(status.error)]
        cells = self._camera(status, rule) if source.live else self._file(status, rule)
        return [state_text(status), *cells, Text(score_text(rule))]

    def _file(self, status: SourceStatus, rule: RuleStatus | None) -> list[RenderableType]:
        position_s = rule.position_s if rule else 0.0
        windows = rule.windows if rule else 0
        pace = self._first.get(status.source_id)
        now = self._now()
        duration_s = status.duration_s or 0.0
        left_s = pace.left_s(position_s=position_s, duration_s=duration_s, now=now) if pace and duration_s else None
        if status.state is SourceState.ENDED and windows >= status.windows:
            position_s, left_s = duration_s, 0.0
        speed = pace.windows_per_s(windows=windows, now=now) if pace else 0.0
        return [
            ProgressBar(total=duration_s or None, completed=min(position_s, duration_s), width=24),
            Text(f"{clock_text(position_s)}/{clock_text(duration_s) if duration_s else '?'}"),
            Text(f"ETA {clock_text(left_s) if left_s is not None else '-:--'}"),
            Text(f"{speed:.1f} windows/s"),
        ]

    def _camera(self, status: SourceStatus, rule: RuleStatus | None) -> list[RenderableType]:
        dropped = status.dropped + (rule.expired if rule else 0)
        return [
            Text(f"{status.fps:.1f} fps"),
            Text(f"lag {status.lag_s:.1f} s"),
            Text(f"{dropped} dropped", style="yellow" if dropped else ""),
            Text(status.error, style="red") if status.state is SourceState.STALLED else Text(""),
        ]


def clock_text(seconds: float) -> str:
    """Return a duration as `m:ss` or `h:mm:ss`."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def score_text(rule: RuleStatus | None) -> str:
    """Return the last score and the rule that it is of."""
    return f"{rule.top_rule} {rule.top_score:.2f}" if rule and rule.top_rule else ""


def state_text(status: SourceStatus) -> Text:
    """Return the state of a source in its colour."""
    return Text(str(status.state), style=_COLOURS[status.state])
