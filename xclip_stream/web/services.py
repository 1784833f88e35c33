"""What the dashboard stands on: the seams of the queue, and what the configuration says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from xclip_stream.protocols import (
    DeadLetters,
    EventLog,
    EvidenceReader,
    EvidenceRecords,
    Overview,
    PictureBoard,
    ScoreHistory,
)
from xclip_stream.web.event_feed import EventFeed
from xclip_stream.web.site import ReadCopy, Site


class WebQueue(EventLog, DeadLetters, Overview, ScoreHistory, PictureBoard, EvidenceRecords, Protocol):
    """The roles of the queue that the dashboard uses; from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that the pages ask.

    `look` gives one look at the system, as `xclip-stream status --json` does; `metrics` the content type and the text
    of a scrape, as `xclip-stream exporter` does. `site` is the configuration in force;
    `read_copy` reads another one, without looking up what it refers to. `redact` hides what is secret in a text.
    `bucket` reads the evidence where it is kept in one, and is None where it is not.
    """

    queue: WebQueue
    feed: EventFeed
    look: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], tuple[str, bytes]]
    site: Callable[[], Site]
    read_copy: ReadCopy
    redact: Callable[[str], str]
    bucket: Callable[[], EvidenceReader | None]
