"""Events, and the messages that tell their phases, with values that matter to nobody unless a test says so."""

from dataclasses import replace

from xclip_stream.events import encode_event
from xclip_stream.types import EndReason, Event, Message, Phase, WindowRef

NOON = 1_772_366_400.0  # 2026-03-01T12:00:00Z


def an_event(**changes: object) -> Event:
    event = Event(
        event_id="e1",
        phase=Phase.STARTED,
        revision=0,
        source_id="yard",
        region="",
        rule_id="climbing",
        severity="critical",
        labels={},
        prompt="a person climbing over a fence",
        score=0.934,
        peak_score=0.934,
        threshold=0.7,
        start_time=NOON,
        end_time=None,
        end_reason=None,
        window=WindowRef(epoch="a", seq=3, first_pts_s=3.0, last_pts_s=7.0, captured_at=NOON + 2),
        top_prompts=(),
        model_name="tiny",
        model_sha256="0" * 64,
        config_hash="c",
    )
    return replace(event, **changes)


def a_message(**changes: object) -> Message:
    event = an_event(**changes)
    return Message(event.message_id, event.source_id, encode_event(event, number=1), committed_at=NOON)


def a_life(
    event_id: str = "e1", *, first_number: int = 1, committed_at: float = NOON, **changes: object
) -> list[Message]:
    """Return the three messages of an event: started, updated, ended."""
    ended = {"end_time": NOON + 3, "end_reason": EndReason.RELEASED}
    phases = [(Phase.STARTED, {}), (Phase.UPDATED, {}), (Phase.ENDED, ended)]
    messages = []
    for revision, (phase, more) in enumerate(phases):
        event = an_event(event_id=event_id, phase=phase, revision=revision, **(changes | more))
        body = encode_event(event, number=first_number + revision)
        messages.append(Message(event.message_id, event.source_id, body, committed_at + revision))
    return messages
