"""Events in words, for people."""

from datetime import UTC, datetime

from xclip_stream.events import is_dated
from xclip_stream.types import Event, Phase


def event_line(event: Event) -> str:
    """Return one phase of an event as a line: time, phase, severity, rule, place, score, prompt, and how it ended."""
    place = f"{event.source_id}/{event.region}" if event.region else event.source_id
    score = f"peak {event.peak_score:.2f}" if event.phase is Phase.ENDED else f"score {event.score:.2f}"
    prompt = " ".join(event.prompt.split())
    line = f'{_moment(event)}  {event.phase:<7}  {event.severity:<8}  {event.rule_id}  {place}  {score}  "{prompt}"'
    if event.end_time is None:
        return line
    return f"{line}  lasted {event.end_time - event.start_time:.1f} s ({event.end_reason})"


def headline(event: Event) -> str:
    """Return what happened where, in a few words: the title of a notification."""
    place = f"{event.source_id}/{event.region}" if event.region else event.source_id
    verb = {Phase.STARTED: "started", Phase.UPDATED: "goes on", Phase.ENDED: "ended"}[event.phase]
    return f"{event.rule_id} at {place} {verb}"


def _moment(event: Event) -> str:
    at = event.start_time if event.phase is Phase.STARTED else event.window.captured_at
    return show_time(at if event.end_time is None else event.end_time)


def show_time(at: float) -> str:
    """Return event time as UTC, or as the place in a recording that was given no start time."""
    if not is_dated(at):
        minutes, seconds = divmod(round(at, 1), 60)
        return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{seconds:04.1f}"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
