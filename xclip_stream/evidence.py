"""What is kept of an event for people to look at: a picture at its peak, and a clip with what came before and after.

The alert worker asks for it in the step that commits the event, and the reader of the source makes it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from xclip_stream.errors import DecodeError
from xclip_stream.types import is_moment

Value = TypeVar("Value")
SNAPSHOT, CLIP = ".jpg", ".mp4"
CLOCK_ROOM_S = 1.0
"""Frames and packets get their event times from clocks of their own."""
_FOLDER = r"(?!\.{1,2}/)[^/\0]{1,200}/\d{4}-\d\d-\d\d"
_NAME = re.compile(rf"{_FOLDER}/\w{{1,64}}", re.ASCII)
_FILE = re.compile(rf"{_FOLDER}/[0-9a-f]{{32}}\.(jpg|mp4)")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRequest:
    """What is wanted of one event, told with each of its phases: the newest one counts. All times are event times.

    `ends_at` is None while the event is open. `name` is where its evidence is kept, without the suffix.
    """

    event_id: str
    source_id: str
    rule_id: str
    prompt: str
    peak_score: float
    begins_at: float
    peak_at: float
    ends_at: float | None
    name: str

    def encode(self) -> bytes:
        """Return the request as JSON."""
        return _REQUEST.dump_json(self)

    @classmethod
    def decode(cls, body: bytes) -> "EvidenceRequest":
        """Read what `encode` wrote.

        Raises:
            DecodeError: it is no request, its times are none, or its name leads out of where evidence is kept.
        """
        request = _decoded(_REQUEST, body)
        if not _NAME.fullmatch(request.name):
            raise DecodeError("this is no evidence: its name is not that of a source, a day and an event")
        times = [request.begins_at, request.peak_at, *([] if request.ends_at is None else [request.ends_at])]
        if not all(map(is_moment, times)):
            raise DecodeError("this is no evidence: its times are in no calendar")
        return request


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecord:
    """What has become of the evidence of one event.

    `clip` says that there is one to look at, `is_complete` that it will not grow any more, `partial` that it lacks some
    of the event for good: its reader was killed, or the camera lost. While it grows, `lacks_from` says from which event
    time on it lacks something for good; the event may have ended by then. `error` is why something is missing for good.
    """

    snapshot: bool = False
    clip: bool = False
    is_complete: bool = False
    partial: bool = False
    lacks_from: float | None = None
    error: str = ""

    def lacks_some_before(self, ends_at: float) -> bool:
        """Tell whether the clip is known to lack some of an event that has been told up to `ends_at`."""
        return self.partial or (self.lacks_from is not None and self.lacks_from < ends_at - CLOCK_ROOM_S)

    def encode(self) -> bytes:
        """Return the record as JSON."""
        return _RECORD.dump_json(self)

    @classmethod
    def decode(cls, body: bytes) -> "EvidenceRecord":
        """Read what `encode` wrote.

        Raises:
            DecodeError: it is no record.
        """
        return _decoded(_RECORD, body)


def evidence_name(source_id: str, event_id: str, *, start_time: float) -> str:
    """Return where the evidence of an event is kept: a folder for each source and day (UTC)."""
    day = datetime.fromtimestamp(start_time, UTC).strftime("%Y-%m-%d")
    return f"{quote(source_id, safe='')}/{day}/{event_id}"


def is_evidence(path: str) -> bool:
    """Tell whether a file is named as evidence is."""
    return _FILE.fullmatch(path) is not None


def evidence_url(base_url: str, name: str, suffix: str) -> str:
    """Return the URL of a file that is kept under `name`; the name needs no quoting but for what it already has."""
    return f"{base_url.rstrip('/')}/{quote(name)}{suffix}"


def _decoded(kind: TypeAdapter[Value], body: bytes) -> Value:
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        raise DecodeError(f"this is no evidence: {error.errors()[0]['msg']}") from error


_REQUEST = TypeAdapter(EvidenceRequest)
_RECORD = TypeAdapter(EvidenceRecord)
