"""Events as ONVIF devices tell them over MQTT: https://www.onvif.org/specs/core/ONVIF-Core-Specification.pdf, 9.11"""

import json

from xclip_stream.event_schema import EventData
from xclip_stream.types import Phase


def onvif_message(prefix: str, data: EventData) -> tuple[str, bytes]:
    """Return the topic and the payload of a phase of an event: a property that is true until the event has ended."""
    topic = f"{prefix}/onvif-ej/RuleEngine/PromptDetector/{data.rule_id}/{data.source_id}"
    document = {
        "UtcTime": data.window.captured_at,
        "Source": {"VideoSource": data.source_id, "Rule": data.rule_id, "Region": data.region},
        "Data": {"State": data.phase is not Phase.ENDED, "EventId": data.event_id, "Likelihood": data.score},
    }
    return topic, json.dumps(document).encode()
