"""The part of the API about events: lists with filters, and all that is known of one event."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xclip_stream.events import format_time
from xclip_stream.rulebook import find_rule
from xclip_stream.types import DeadLetter
from xclip_stream.web.answers import answered, missing, whole_number, wrong
from xclip_stream.web.event_book import Filter, ToldPhase, summary
from xclip_stream.web.evidence_files import media_of
from xclip_stream.web.services import Services
from xclip_stream.web.sharing import Shared
from xclip_stream.web.system_api import MAX_LETTERS

MAX_EVENTS = 200
CHOICES = {"severity": ("critical", "warning", "info"), "state": ("open", "ended")}
"""Of the filters that take one of a few words. A source or rule that is not configured may have events of before."""
LOOK_AGAIN_AFTER_S = 1.0
LOOKED_THROUGH = 1000
"""So many messages of an outbox are looked at; a message behind them waits too."""


class EventsApi:
    """Lists come from memory; what became of an event is asked of the queue, once a second for each sink."""

    def __init__(self, services: Services) -> None:
        self._services = services
        queue = services.queue
        self._waiting = Shared[str, list[str]](
            lambda sink_id: queue.waiting_messages(sink_id, max_count=LOOKED_THROUGH), for_s=LOOK_AGAIN_AFTER_S
        )
        self._dead = Shared[None, list[DeadLetter]](
            lambda _: queue.list_dead(max_count=MAX_LETTERS), for_s=LOOK_AGAIN_AFTER_S
        )
        self._rulebook = Shared[str, bytes | None](queue.read_rulebook, for_s=60)

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/events", self.find), Route("/api/events/{event_id}", self.show)]

    def find(self, request: Request) -> Response:
        wanted, before = _filter(request.query_params), request.query_params.get("before", "")
        count = whole_number(request, "limit", 50, low=1, high=MAX_EVENTS)
        if before:
            self._phases(before)
        found = self._services.feed.book.find(wanted, max_count=count, before=before)
        events = [summary(phase) | media_of(phase.fields, self._services) for phase in found]
        return self._answered({"events": events, "more": len(found) == count})

    def show(self, request: Request) -> Response:
        event_id = request.path_params["event_id"]
        phases = self._phases(event_id)
        rule = self._rule(phases[0])
        record = self._services.queue.evidence_of([event_id]).get(event_id)
        return self._answered(
            {
                "event": phases[-1].message,
                "media": media_of(phases[-1].fields, self._services, record),
                "evidence": None if record is None else asdict(record),
                "phases": [_phase(phase) for phase in phases],
                "rule": rule,
                "deliveries": list(self._deliveries(phases, rule)),
            }
        )

    def _phases(self, event_id: str) -> list[ToldPhase]:
        phases = self._services.feed.book.get(event_id)
        if not phases:
            raise missing(f"event {event_id} is not among the newest that are kept")
        return phases

    def _rule(self, phase: ToldPhase) -> Mapping[str, Any] | None:
        """Return the rule as it was when the event began; None where that is not kept any more."""
        rulebook = self._rulebook(str(phase.fields["config_hash"]))
        return None if rulebook is None else find_rule(rulebook, str(phase.fields["rule_id"]))

    def _deliveries(self, phases: Sequence[ToldPhase], rule: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        """Yield what became of the messages at each sink that hears of the rule.

        A message and its places in the outboxes are stored in one step: one that is neither there nor dead was taken.
        """
        told = {str(phase.message["id"]) for phase in phases}
        dead = [(letter.origin, letter.subject, letter.reason) for letter in self._dead(None)]
        for sink_id in [] if rule is None else rule["sinks"]:
            waiting = told.intersection(self._waiting(sink_id))
            refused = {subject: why for origin, subject, why in dead if origin == f"outbox:{sink_id}"}
            lost = told & refused.keys()
            yield {
                "sink": sink_id,
                "type": self._services.site().sinks.get(sink_id),
                "state": "waiting" if waiting else "dead" if lost else "delivered",
                "delivered": len(told) - len(waiting) - len(lost),
                "waiting": len(waiting),
                "dead": len(lost),
                "reason": next((refused[subject] for subject in lost), None),
            }

    def _answered(self, value: Any) -> Response:
        return answered(value, self._services.redact)


def _filter(query: Mapping[str, str]) -> Filter:
    """Return which events a query asks for; what no event could ever fit is refused."""
    words = {name: query.get(name, "") for name in ("source", "rule", "severity", "state", "text")}
    for name, choices in CHOICES.items():
        if words[name] not in {"", *choices}:
            raise wrong(f"{name} must be one of {', '.join(choices)}")
    since, until = (_moment(query.get(name)) for name in ("since", "until"))
    if until and since > until:
        raise wrong("until must not be before since")
    return Filter(**words, since=since, until=until)


def _moment(text: str | None) -> str:
    """Return a time of the query in the form of the events."""
    if not text:
        return ""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return format_time(at.timestamp())
    except (ValueError, OverflowError):  # that is none, or none of the calendar
        pass
    raise wrong(f"{text!r} is no time with its zone: write it like 2026-03-01T21:04:12Z")


def _phase(phase: ToldPhase) -> dict[str, Any]:
    fields = phase.fields
    kept = ("phase", "revision", "score", "peak_score", "prompt", "end_reason", "window", "latency_ms")
    return {key: fields.get(key) for key in kept} | {
        "message_id": phase.message["id"],
        "time": phase.message["time"],
        "committed_ms": phase.committed_ms,
    }
