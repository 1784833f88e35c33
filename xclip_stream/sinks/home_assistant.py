"""Rules as entities of Home Assistant: the documents of its MQTT discovery, and the states of its sensors.

Facts are those of https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload and of the pages of
`binary_sensor.mqtt` and `event.mqtt`. A source is a device. Each of its rules is a binary sensor for each region, ON
from `started` to `ended`, and one event entity, which is told each phase.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from xclip_stream.event_schema import CloudEvent
from xclip_stream.types import WHOLE_FRAME, Phase

ORIGIN = "xclip-stream"
LATE_S = 60
"""How much longer than a rule allows a sensor may be ON before Home Assistant itself turns it off: a safety net, for an
end that was lost with the queue."""

_TOLD = ("event_id", "region", "severity", "prompt", "score", "peak_score", "start_time", "end_time", "end_reason")
_EVENT_TEMPLATE = (
    "{% set data = value_json.data %}{{ {'event_type': data.phase, "
    + ", ".join(f"'{name}': data.{name}" for name in (*_TOLD, "snapshot_url"))
    + "} | to_json }}"
)


@dataclass(frozen=True, slots=True)
class WatchedRule:
    """A rule on a source: what becomes entities. `regions` may hold `WHOLE_FRAME`."""

    source_id: str
    rule_id: str
    regions: tuple[str, ...]
    max_duration_s: float


@dataclass(frozen=True, slots=True)
class Topics:
    """Where what is, below the prefix of one installation."""

    prefix: str

    @property
    def status(self) -> str:
        return f"{self.prefix}/status"

    def events(self, source_id: str, rule_id: str) -> str:
        return f"{self.prefix}/events/{source_id}/{rule_id}"

    def state(self, source_id: str, rule_id: str, region: str) -> str:
        return f"{self.prefix}/state/{source_id}/{rule_id}/{region or 'frame'}"


@dataclass(frozen=True, slots=True)
class SensorState:
    """What a binary sensor shows, and the message that it was last changed by."""

    is_on: bool
    sequence: str
    committed_at: float
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, event: CloudEvent, *, committed_at: float) -> Self:
        attributes = {name: value for name, value in event.data.model_dump(mode="json").items() if name in _TOLD}
        return cls(event.data.phase is not Phase.ENDED, event.sequence, committed_at, attributes)

    @classmethod
    def decode(cls, payload: bytes) -> Self | None:
        """Read what `encode` gives; None for anything else."""
        found = _decoded(payload)
        try:
            is_on, sequence = found["state"] == "ON", str(found["sequence"])
            return cls(is_on, sequence, float(found["committed_at"]), found["attributes"])
        except (ValueError, KeyError, TypeError):
            return None

    def encode(self) -> bytes:
        state = "ON" if self.is_on else "OFF"
        shown = {"state": state, "sequence": self.sequence, "committed_at": self.committed_at}
        return json.dumps(shown | {"attributes": self.attributes}, ensure_ascii=False).encode()

    def may_follow(self, before: Self | None) -> bool:
        """False for a phase that comes after later ones, as a dead letter that is replayed: it would stay ON for ever.

        Its `sequence` is lower then, and it was committed earlier. One alone says nothing: a file that is played again
        counts anew, and a clock may be set back.
        """
        if before is None or not self.is_on:
            return True
        return self.sequence >= before.sequence or self.committed_at >= before.committed_at


OFF = SensorState(is_on=False, sequence="", committed_at=0.0, attributes={})
"""What a sensor shows whose rule has never held."""


class Discovery:
    """What Home Assistant shall know of one installation.

    Args:
        prefix: of Home Assistant's own topics.
        version: of this package, shown with the devices.
    """

    def __init__(self, watched: Sequence[WatchedRule], *, topics: Topics, prefix: str, version: str) -> None:
        self.prefix = prefix
        self.birth_topic = f"{prefix}/status"
        self.config_filter = f"{prefix}/device/+/config"
        self.state_filter = topics.state("+", "+", "+")
        self.state_topics = frozenset(
            topics.state(rule.source_id, rule.rule_id, region) for rule in watched for region in rule.regions
        )
        self._topics = topics
        self._version = version
        sources = dict.fromkeys(rule.source_id for rule in watched)
        self.documents: Mapping[str, bytes] = {
            self._topic_of(source_id): _encoded(
                self._document(source_id, [rule for rule in watched if rule.source_id == source_id])
            )
            for source_id in sources
        }

    def corrections(self, topic: str, payload: bytes) -> list[bytes]:
        """Return what to publish, retained, after this document was found where an earlier run has left it.

        Components that are gone are named once with their platform alone, which removes their entities; a device that
        is gone gets an empty payload. Nothing is returned for what is right, or not ours.
        """
        found = _decoded(payload)
        if _part(found, "origin").get("name") != ORIGIN or found.get("availability_topic") != self._topics.status:
            return []
        wanted = self.documents.get(topic)
        if wanted is None:
            return [b""]
        document = _decoded(wanted)
        gone = {
            name: {"platform": component["platform"]}
            for name, component in _part(found, "components").items()
            if name not in document["components"] and isinstance(component, dict) and "platform" in component
        }
        if not gone:
            return []
        return [_encoded(document | {"components": document["components"] | gone}), wanted]

    def _topic_of(self, source_id: str) -> str:
        return f"{self.prefix}/device/{self._device_id(source_id)}/config"

    def _device_id(self, source_id: str) -> str:
        return f"{slug(self._topics.prefix)}_{slug(source_id)}"

    def _document(self, source_id: str, rules: Iterable[WatchedRule]) -> dict[str, Any]:
        device_id = self._device_id(source_id)
        components: dict[str, Any] = {}
        for rule in rules:
            for region in rule.regions:
                components[_component(rule.rule_id, region)] = self._sensor(device_id, rule, region)
            components[f"{slug(rule.rule_id)}_event"] = self._event(device_id, rule)
        return {
            "device": {
                "identifiers": [device_id],
                "name": source_id,
                "manufacturer": ORIGIN,
                "model": "source",
                "sw_version": self._version,
            },
            "origin": {"name": ORIGIN, "sw_version": self._version},
            "availability_topic": self._topics.status,
            "qos": 1,
            "components": components,
        }

    def _sensor(self, device_id: str, rule: WatchedRule, region: str) -> dict[str, Any]:
        topic = self._topics.state(rule.source_id, rule.rule_id, region)
        return {
            "platform": "binary_sensor",
            "name": rule.rule_id if region == WHOLE_FRAME else f"{rule.rule_id} {region}",
            "unique_id": f"{device_id}_{_component(rule.rule_id, region)}",
            "state_topic": topic,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topic,
            "json_attributes_template": "{{ value_json.attributes | to_json }}",
            "off_delay": round(rule.max_duration_s) + LATE_S,
        }

    def _event(self, device_id: str, rule: WatchedRule) -> dict[str, Any]:
        return {
            "platform": "event",
            "name": f"{rule.rule_id} event",
            "unique_id": f"{device_id}_{slug(rule.rule_id)}_event",
            "state_topic": self._topics.events(rule.source_id, rule.rule_id),
            "event_types": [phase.value for phase in Phase],
            "value_template": _EVENT_TEMPLATE,
        }


def slug(name: str) -> str:
    """Return a name of letters, digits, dashes and underscores, as Home Assistant wants in topics; no two are equal."""
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return kept if kept == name else f"{kept}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _component(rule_id: str, region: str) -> str:
    return f"{slug(rule_id)}_in_{slug(region) if region else 'frame'}"


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _decoded(payload: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else, since whoever may publish may have left it there."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _part(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}
