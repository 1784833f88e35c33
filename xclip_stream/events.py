"""Events as consumers see them: CloudEvents 1.0 in JSON, and back.

`python -m xclip_stream.events` writes the JSON Schema and the AsyncAPI document that stand in docs/events.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import ValidationError

from xclip_stream.errors import DecodeError
from xclip_stream.event_schema import (
    DATA_SCHEMA,
    SCHEMA_ID,
    CloudEvent,
    EventData,
    LatencyData,
    ModelData,
    PromptData,
    WindowData,
    asyncapi,
    json_schema,
)
from xclip_stream.types import Event, Latency, Phase, PromptScore, WindowRef

A_YEAR_S = 365 * 86_400.0
_ENTRY_ID = re.compile(r"[0-9]{1,18}(-[0-9]{1,18})?")


def encode_event(event: Event, *, number: int) -> bytes:
    """Return one phase of an event as CloudEvents JSON; `number` counts the messages of its source."""
    envelope = CloudEvent(
        specversion="1.0",
        id=event.message_id,
        source=f"xclip-stream/{quote(event.source_id, safe='')}",
        type=_TYPES[event.phase],
        subject=event.rule_id,
        time=format_time(event.window.captured_at),
        datacontenttype="application/json",
        dataschema=DATA_SCHEMA,
        partitionkey=event.source_id,
        sequence=f"{number:012d}",
        traceparent=event.traceparent,
        data=_data_of(event),
    )
    # An attribute of the envelope that has no value is left out, as CloudEvents wants it.
    return envelope.model_dump_json(exclude={"traceparent"} if event.traceparent is None else None).encode()


def parse_event(body: bytes) -> Event:
    """Read the CloudEvents JSON of one phase of an event.

    Raises:
        DecodeError: it is not an event of this schema.
    """
    envelope = parse_envelope(body)
    try:
        event = _event_of(envelope.data)
    except ValueError as error:
        raise DecodeError(f"not an event of {SCHEMA_ID}: a time of it: {error}") from None
    return replace(event, traceparent=envelope.traceparent)


def parse_envelope(body: bytes) -> CloudEvent:
    """Read the CloudEvents JSON of one phase of an event as it was written.

    Raises:
        DecodeError: it is not an event of this schema.
    """
    try:
        return CloudEvent.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the message"
        raise DecodeError(f"not an event of {SCHEMA_ID}: {place}: {first['msg']}") from error


def is_entry_id(text: str) -> bool:
    """Tell whether a text can be the id of an entry of the public stream: `1718000000000-0`, or its first part."""
    return _ENTRY_ID.fullmatch(text) is not None


def format_time(at: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def is_dated(at: float) -> bool:
    """Tell whether an event time is one of the calendar, not a place in a recording that was given no start time."""
    return not 0 <= at < A_YEAR_S


def parse_time(text: str) -> float:
    """Return RFC 3339 in UTC as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


_TYPES: Mapping[Phase, Literal["xclip.event.started", "xclip.event.updated", "xclip.event.ended"]] = {
    Phase.STARTED: "xclip.event.started",
    Phase.UPDATED: "xclip.event.updated",
    Phase.ENDED: "xclip.event.ended",
}


def _data_of(event: Event) -> EventData:
    window, latency = event.window, event.latency
    return EventData(
        event_id=event.event_id,
        phase=event.phase,
        revision=event.revision,
        source_id=event.source_id,
        region=event.region,
        rule_id=event.rule_id,
        severity=event.severity,
        labels=event.labels,
        prompt=event.prompt,
        score=event.score,
        peak_score=event.peak_score,
        threshold=event.threshold,
        start_time=format_time(event.start_time),
        end_time=None if event.end_time is None else format_time(event.end_time),
        end_reason=event.end_reason,
        window=WindowData(
            epoch=window.epoch,
            seq=window.seq,
            first_pts_s=round(window.first_pts_s, 3),
            last_pts_s=round(window.last_pts_s, 3),
            captured_at=format_time(window.captured_at),
            reused=window.reused,
        ),
        top_prompts=tuple(PromptData(prompt=top.prompt, score=top.score) for top in event.top_prompts),
        model=ModelData(name=event.model_name, sha256=event.model_sha256),
        config_hash=event.config_hash,
        snapshot_url=event.snapshot_url,
        clip_url=event.clip_url,
        clip_partial=event.clip_partial,
        latency_ms=None if latency is None else _latency_data(latency),
    )


def _latency_data(latency: Latency) -> LatencyData:
    return LatencyData(
        produced=round(latency.produced_ms, 1),
        scored=round(latency.scored_ms, 1),
        committed=round(latency.committed_ms, 1),
    )


def _event_of(data: EventData) -> Event:
    window, latency = data.window, data.latency_ms
    return Event(
        event_id=data.event_id,
        phase=data.phase,
        revision=data.revision,
        source_id=data.source_id,
        region=data.region,
        rule_id=data.rule_id,
        severity=data.severity,
        labels=dict(data.labels),
        prompt=data.prompt,
        score=data.score,
        peak_score=data.peak_score,
        threshold=data.threshold,
        start_time=parse_time(data.start_time),
        end_time=None if data.end_time is None else parse_time(data.end_time),
        end_reason=data.end_reason,
        window=WindowRef(
            epoch=window.epoch,
            seq=window.seq,
            first_pts_s=window.first_pts_s,
            last_pts_s=window.last_pts_s,
            captured_at=parse_time(window.captured_at),
            reused=window.reused,
        ),
        top_prompts=tuple(PromptScore(top.prompt, top.score) for top in data.top_prompts),
        model_name=data.model.name,
        model_sha256=data.model.sha256,
        config_hash=data.config_hash,
        latency=None if latency is None else Latency(latency.produced, latency.scored, latency.committed),
        snapshot_url=data.snapshot_url,
        clip_url=data.clip_url,
        clip_partial=data.clip_partial,
    )


def write_documents(folder: Path) -> None:
    """Write the JSON Schema and the AsyncAPI document."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "event.schema.json").write_text(json_schema())
    (folder / "asyncapi.yaml").write_text(asyncapi())


if __name__ == "__main__":
    write_documents(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/events"))
