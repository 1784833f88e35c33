"""What the alert loop asks the reader of a source for, and what it tells of it with the event."""

from dataclasses import replace

from xclip_stream.evidence import CLIP, SNAPSHOT, EvidenceRecord, EvidenceRequest, evidence_name, evidence_url
from xclip_stream.rules import Notice
from xclip_stream.types import Phase


def evidence_wanted(notice: Notice) -> EvidenceRequest:
    """Return what is wanted of the reader after this phase of an event."""
    event = notice.event
    return EvidenceRequest(
        event_id=event.event_id,
        source_id=event.source_id,
        rule_id=event.rule_id,
        prompt=event.prompt,
        peak_score=event.peak_score,
        begins_at=notice.begins_at,
        peak_at=notice.peak_at,
        ends_at=event.end_time,
        name=evidence_name(event.source_id, event.event_id, start_time=event.start_time),
    )


def with_evidence(notice: Notice, record: EvidenceRecord | None, base_url: str) -> Notice:
    """Add to a phase where its evidence is: to an update what is there, to the end what is there or is on its way.

    What was asked for in the same step as the end was told comes for certain, unless the record says that it cannot.
    """
    event, record = notice.event, record or EvidenceRecord()
    if event.phase is Phase.STARTED:
        return notice
    is_on_its_way = event.phase is Phase.ENDED and not record.error
    snapshot, clip = record.snapshot or is_on_its_way, record.clip or is_on_its_way
    name = evidence_name(event.source_id, event.event_id, start_time=event.start_time)
    return replace(
        notice,
        event=replace(
            event,
            snapshot_url=evidence_url(base_url, name, SNAPSHOT) if snapshot else None,
            clip_url=evidence_url(base_url, name, CLIP) if clip else None,
            clip_partial=record.lacks_some_before(
                event.window.captured_at if event.end_time is None else event.end_time
            ),
        ),
    )
