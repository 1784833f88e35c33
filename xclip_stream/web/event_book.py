"""The newest events, put together from their phases and kept in memory: lists and filters cost Redis nothing."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from xclip_stream.errors import DecodeError
from xclip_stream.events import parse_envelope

KEPT_EVENTS = 5000
KEPT_PHASES = 64
"""Of one event: the first, and the newest."""


@dataclass(frozen=True, slots=True)
class ToldPhase:
    """One message of the public stream: its id there, and what it says."""

    entry_id: str
    message: dict[str, Any]

    @property
    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = self.message["data"]
        return fields

    @property
    def committed_ms(self) -> int:
        """When it was stored, in Unix milliseconds by the clock of Redis."""
        return int(self.entry_id.partition("-")[0])


@dataclass(slots=True)
class EventRecord:
    """One event: its phases so far, the first of them first."""

    phases: list[ToldPhase] = field(default_factory=list)

    @property
    def last(self) -> ToldPhase:
        return self.phases[-1]

    def add(self, phase: ToldPhase) -> None:
        self.phases.append(phase)
        if len(self.phases) > KEPT_PHASES:
            del self.phases[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are asked for; what is empty does not matter. Times are in the form of the events."""

    source: str = ""
    rule: str = ""
    severity: str = ""
    state: str = ""
    """`open` or `ended`."""
    text: str = ""
    since: str = ""
    until: str = ""

    def takes(self, record: EventRecord) -> bool:
        """Tell whether an event is one of them."""
        fields = record.last.fields
        is_ended = fields.get("phase") == "ended"
        return (
            self.source in {"", fields.get("source_id")}
            and self.rule in {"", fields.get("rule_id")}
            and self.severity in {"", fields.get("severity")}
            and self.state in {"", "ended" if is_ended else "open"}
            and (not self.since or str(fields.get("start_time")) >= self.since)
            and (not self.until or str(fields.get("start_time")) <= self.until)
            and (not self.text or self.text.casefold() in _words(fields))
        )


class EventBook:
    """The events of which the newest phases are known, for any number of threads."""

    def __init__(self, *, kept: int = KEPT_EVENTS) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._records: OrderedDict[str, EventRecord] = OrderedDict()

    def add(self, entry_id: str, body: bytes) -> None:
        """Take a message of the public stream; one that cannot be read is passed over, as other consumers do."""
        try:
            event_id = parse_envelope(body).data.event_id
        except DecodeError:
            return
        phase = ToldPhase(entry_id, json.loads(body))
        with self._lock:
            self._records.setdefault(event_id, EventRecord()).add(phase)
            while len(self._records) > self._kept:
                self._records.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._records.clear()

    def get(self, event_id: str) -> list[ToldPhase]:
        """Return the phases of an event; none where it is not known."""
        with self._lock:
            record = self._records.get(event_id)
            return [] if record is None else list(record.phases)

    def find(self, wanted: Filter, *, max_count: int, before: str = "") -> list[ToldPhase]:
        """Return the newest phase of each event that is asked for, those that began last first.

        Args:
            before: the id of an event; those that began before it are returned.
        """
        with self._lock:
            records = [(event_id, record) for event_id, record in reversed(self._records.items())]
            found: list[ToldPhase] = []
            for record in _after(records, before):
                if wanted.takes(record):
                    found.append(record.last)
                if len(found) == max_count:
                    break
            return found


def summary(phase: ToldPhase) -> dict[str, Any]:
    """Return what a list shows of an event."""
    fields = phase.fields
    kept = ("event_id", "phase", "source_id", "region", "rule_id", "severity", "prompt", "score", "peak_score")
    more = ("threshold", "start_time", "end_time", "end_reason", "snapshot_url", "clip_url")
    return {key: fields.get(key) for key in kept + more} | {"committed_ms": phase.committed_ms}


def _after(records: list[tuple[str, EventRecord]], event_id: str) -> Iterator[EventRecord]:
    passed = not event_id
    for name, record in records:
        if passed:
            yield record
        passed = passed or name == event_id


def _words(fields: dict[str, Any]) -> str:
    told = [fields.get(key) for key in ("event_id", "source_id", "rule_id", "region", "prompt", "end_reason")]
    return " ".join(map(str, [*told, *dict(fields.get("labels") or {}).values()])).casefold()
