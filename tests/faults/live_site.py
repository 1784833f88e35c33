"""A site for storms that are not about what is told: any sources, a tiny model, and a rule that holds all the time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video
from xclip_stream.queues.redis import open_queue

FPS = 10
ALWAYS = {
    "id": "always",
    "prompts": ["a person running"],
    "background": ["an empty yard"],
    "enter": 1e-9,
    "exit": 0,
    "max_duration_s": 86_400,
}


def write_live_site(
    folder: Path,
    sources: Sequence[Mapping[str, Any]],
    *,
    span_s: float = 0.4,
    stride_s: float = 0.4,
    queue: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
) -> Path:
    """Write a configuration with these sources, whose windows are of four frames of 32 by 32; return its path."""
    window = {"span_s": span_s, "stride_s": stride_s}
    document = {
        "model": {
            "checkpoint": str(write_tiny_checkpoint(folder / "model")),
            "device": "cpu",
            "threads": 1,
            **(model or {}),
        },
        "queue": dict(queue or {}),
        "sources": [{"window": window, **source} for source in sources],
        "rules": [ALWAYS],
        "sinks": [{"id": "archive", "type": "jsonl", "path": "./events.jsonl"}],
    }
    config = folder / "site.yaml"
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    return config


def write_clip(path: Path, seconds: float = 4.0) -> Path:
    """Write what the cameras of a storm play."""
    return write_video(path, steady(FPS, seconds), tick=Fraction(1, FPS))


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One phase of an event, as a reader of the public stream sees it."""

    source_id: str
    phase: str
    message_id: str
    event_id: str
    start_time: str
    end_time: str | None
    end_reason: str | None
    latencies_ms: tuple[float, ...]


def seen_events(redis_url: str) -> list[SeenEvent]:
    """Return what the public stream holds, oldest first."""
    with closing(open_queue(redis_url)) as queue:
        return [_seen(body) for body in _bodies(queue.read_events)]


def _bodies(read: Any) -> Iterator[bytes]:
    after_id = "0"
    while entries := read(after_id=after_id, max_count=1000, block_s=0.0):
        yield from (body for _, body in entries)
        after_id = entries[-1][0]


def _seen(body: bytes) -> SeenEvent:
    event = json.loads(body)
    data = event["data"]
    return SeenEvent(
        source_id=data["source_id"],
        phase=data["phase"],
        message_id=event["id"],
        event_id=data["event_id"],
        start_time=data["start_time"],
        end_time=data["end_time"],
        end_reason=data["end_reason"],
        latencies_ms=tuple((data["latency_ms"] or {}).values()),
    )
