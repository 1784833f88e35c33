"""Events to a terminal or a pipe, one line each."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self, TextIO

from xclip_stream.errors import DecodeError, DeliveryRejected
from xclip_stream.events import parse_event
from xclip_stream.types import Event, Message, Phase

A_DAY_S = 86_400.0


class ConsoleSink:
    """Writes each event to `stream` as a line to read, or as its JSON, and flushes it.

    A stream that was closed at the other end rejects every message: it does not come back.
    """

    def __init__(self, *, stream: TextIO, format: Literal["text", "json"] = "text") -> None:  # noqa: A002 - its key
        self._stream = stream
        self._format = format

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def deliver(self, message: Message) -> None:
        try:
            line = message.body.decode() if self._format == "json" else event_line(parse_event(message.body))
            self._write(line + "\n")
        except (DecodeError, UnicodeDecodeError) as error:
            raise DeliveryRejected(f"console: {error}") from None
        except (OSError, ValueError) as error:  # ValueError: the stream is closed on this side
            raise DeliveryRejected(f"console: the output is closed: {error}") from None

    def _write(self, text: str) -> None:
        # A terminal of another encoding than UTF-8 shall not lose an alert for a letter in its prompt.
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()


def event_line(event: Event) -> str:
    """Return one phase of an event as a line: time, phase, severity, rule, place, score, prompt, and how it ended."""
    place = f"{event.source_id}/{event.region}" if event.region else event.source_id
    score = f"peak {event.peak_score:.2f}" if event.phase is Phase.ENDED else f"score {event.score:.2f}"
    prompt = " ".join(event.prompt.split())
    line = f'{_moment(event)}  {event.phase:<7}  {event.severity:<8}  {event.rule_id}  {place}  {score}  "{prompt}"'
    if event.end_time is None:
        return line
    return f"{line}  lasted {event.end_time - event.start_time:.1f} s ({event.end_reason})"


def _moment(event: Event) -> str:
    at = event.start_time if event.phase is Phase.STARTED else event.window.captured_at
    return show_time(at if event.end_time is None else event.end_time)


def show_time(at: float) -> str:
    """Return event time as UTC, or as the place in a recording that was given no start time."""
    if 0 <= at < A_DAY_S:
        minutes, seconds = divmod(round(at, 1), 60)
        return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{seconds:04.1f}"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
