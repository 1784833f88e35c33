"""The published form of events: the fields of the message, and the documents that are made from them."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from xclip_stream.rules import UPDATE_STEP
from xclip_stream.types import TRACEPARENT, EndReason, Phase

SCHEMA_ID = "urn:xclip-stream:event:1"
"""Names the version of the schema. A new field keeps it; a field that goes or changes its meaning makes it 2."""
DATA_SCHEMA = f"{SCHEMA_ID}#/definitions/EventData"

_Id = Annotated[str, Field(min_length=1)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$",
        json_schema_extra={"format": "date-time"},
        examples=["2026-03-01T21:04:12.480Z"],
    ),
]


class _Wire(BaseModel):
    # Unknown fields are passed over: a consumer of this version reads what a newer one writes.
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class PromptData(_Wire):
    """A prompt and its share of the softmax over the prompts and the background of the rule."""

    prompt: str
    score: _Share


class WindowData(_Wire):
    """The window that caused this phase."""

    epoch: str
    """One continuous run of the source."""
    seq: Annotated[int, Field(ge=0)]
    """The number of the window in its epoch."""
    first_pts_s: float
    """Media time of its first frame: seconds since the first frame of the source."""
    last_pts_s: float
    """Media time of its last frame."""
    captured_at: _Time
    """Event time of its last frame."""
    reused: bool = False
    """True when it was not scored: nothing had changed since an earlier window, whose scores stand for it."""


class ModelData(_Wire):
    """The checkpoint that scored the window."""

    name: str
    sha256: str


class LatencyData(_Wire):
    """Milliseconds since the last frame of the window was captured (live), or since the window was cut (file)."""

    produced: float
    """Until the window was complete."""
    scored: float
    """Until it was scored."""
    committed: float
    """Until this phase of the event was decided and stored."""


class EventData(_Wire):
    """One phase of one event."""

    event_id: _Id
    """The same for all phases of an event, and the same again when a file is played again."""
    phase: Phase
    """`started` once, `updated` when the peak has risen, `ended` once and always."""
    revision: Annotated[int, Field(ge=0)]
    """Counts the phases of the event: 0, 1, 2…"""
    source_id: _Id
    """The camera or file."""
    region: str
    """The region of the picture; empty for all of it."""
    rule_id: _Id
    """The rule that decided."""
    severity: str
    """As the rule says: info, warning or critical."""
    labels: Mapping[str, str]
    """As the rule says."""
    prompt: str
    """The rule's prompt with the largest share in the window of the peak."""
    score: _Share
    """The share of the rule's prompts in the last window that was scored."""
    peak_score: _Share
    """The largest share in the event so far."""
    threshold: _Share
    """The share from which the rule holds (`enter`)."""
    start_time: _Time
    """Event time of the last frame of the first window that held the rule."""
    end_time: _Time | None
    """Event time of the last frame of the last window that held the rule; null until the event has ended."""
    end_reason: EndReason | None
    """Why the event ended; null until then."""
    window: WindowData
    top_prompts: tuple[PromptData, ...]
    """The five largest shares in the window of the peak, background included."""
    model: ModelData
    config_hash: str
    """The configuration that decided; without secrets."""
    snapshot_url: str | None
    """A picture at the peak of the event, where one is kept; null in the phase `started`."""
    clip_url: str | None
    """A video of the event, where one is kept. It may grow for some seconds after the phase `ended`."""
    clip_partial: bool = False
    """True when it is known by now that the clip lacks some of the event for good: its reader died, or its camera."""
    latency_ms: LatencyData | None
    """Null when no window caused this phase, as after a change of the configuration."""


class CloudEvent(_Wire):
    """One phase of one event in a CloudEvents 1.0 envelope. `source` with `id` is what to deduplicate on."""

    specversion: Literal["1.0"]
    id: _Id
    """The event id and the revision: stable, so that a consumer can tell a repeated delivery."""
    source: Annotated[str, Field(min_length=1, examples=["xclip-stream/yard"])]
    """`xclip-stream/` and the source id, percent-encoded."""
    type: Literal["xclip.event.started", "xclip.event.updated", "xclip.event.ended"]
    subject: _Id
    """The rule id."""
    time: _Time
    """Event time of the window that caused this phase."""
    datacontenttype: Literal["application/json"]
    dataschema: str
    partitionkey: _Id
    """The source id: what has the same key is in order."""
    sequence: Annotated[str, Field(pattern=r"^\d{12,}$")]
    """Orders the messages of one source, as text too."""
    traceparent: Annotated[str, Field(pattern=f"^{TRACEPARENT}$")] | None = None
    """The trace of the window that caused this phase, where traces are made: the extension for distributed tracing."""
    data: EventData


def json_schema() -> str:
    """Return the JSON Schema of the messages (draft 7, which AsyncAPI tools read too)."""
    schema = CloudEvent.model_json_schema(mode="serialization", ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": SCHEMA_ID}
    return json.dumps(head | schema, indent=2, ensure_ascii=False) + "\n"


def asyncapi() -> str:
    """Return the AsyncAPI 3 document: where the messages of the JSON Schema are found."""
    return yaml.safe_dump(_asyncapi(), sort_keys=False, allow_unicode=True, width=120)


def _asyncapi() -> dict[str, Any]:
    phases = [phase.value for phase in Phase]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "xclip-stream events",
            "version": SCHEMA_ID.rpartition(":")[2],
            "description": "Actions seen in video, each with a start, updates and an end.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {"stream": _stream_channel(phases), "webhook": _webhook_channel(phases)},
        "operations": {
            "publishEvent": {"action": "send", "channel": {"$ref": "#/channels/stream"}},
            "postEvent": {"action": "send", "channel": {"$ref": "#/channels/webhook"}},
        },
        "components": {"messages": {phase.value: _message(phase) for phase in Phase}},
    }


def _stream_channel(phases: list[str]) -> dict[str, Any]:
    return {
        "address": "xclip:{namespace}:events",
        "title": "The public stream",
        "description": "A Redis stream. The field `event` of each entry holds one message.",
        "parameters": {
            "namespace": {
                "description": "`redis.namespace` of the configuration, in braces: they are part of the key.",
                "default": "{main}",
            }
        },
        "messages": _message_refs(phases),
    }


def _webhook_channel(phases: list[str]) -> dict[str, Any]:
    return {
        "address": None,
        "title": "Webhooks",
        "description": "A POST to the `url` of each webhook sink, signed as Standard Webhooks describes: the headers "
        "`webhook-id`, `webhook-timestamp` and `webhook-signature`.",
        "messages": _message_refs(phases),
    }


def _message_refs(phases: list[str]) -> dict[str, Any]:
    return {phase: {"$ref": f"#/components/messages/{phase}"} for phase in phases}


def _message(phase: Phase) -> dict[str, Any]:
    return {
        "name": f"xclip.event.{phase}",
        "summary": _SUMMARIES[phase],
        "contentType": "application/cloudevents+json",
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-07",
            "schema": {
                "allOf": [
                    {"$ref": "./event.schema.json"},
                    {"properties": {"type": {"const": f"xclip.event.{phase}"}}},
                ]
            },
        },
    }


_SUMMARIES = {
    Phase.STARTED: "A rule holds: the first message of an event.",
    Phase.UPDATED: f"The peak of the score has risen by {UPDATE_STEP} or more.",
    Phase.ENDED: "The event is over. Every event that started has exactly one of these.",
}
