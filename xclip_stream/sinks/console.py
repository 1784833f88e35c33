"""Events to a terminal or a pipe, one line each."""

from types import TracebackType
from typing import Literal, Self, TextIO

from xclip_stream.errors import DecodeError, DeliveryRejected
from xclip_stream.events import parse_event
from xclip_stream.sinks.wording import event_line
from xclip_stream.types import Message


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
