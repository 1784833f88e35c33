"""What the alert loop asks for and tells of evidence, over the queue in memory."""

from dataclasses import replace

import pytest

from tests.pipeline.test_alert import CLIMBING, Bench, rulebook
from tests.statuses import source_status
from xclip_stream.events import parse_event
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.pipeline.alert import AlertLoop, Rulebook
from xclip_stream.protocols import Wishes
from xclip_stream.types import Event, Phase

BOOK = replace(rulebook(CLIMBING), evidence_urls={"yard": "https://cameras.example/kept"})
SHARES = (0.1, 0.7, 0.9, 0.97, 0.1)


class Desk:
    """A bench whose events have evidence."""

    def __init__(self, book: Rulebook = BOOK) -> None:
        self.bench = Bench()
        self.book = book
        self.reader = self.bench.queue.consumer("reader")

    def judge(self, *shares: float, live: bool = True) -> None:
        """Let the rules judge windows, as many as there are shares."""
        for taken, share in zip(self.bench.take(len(shares), live=live), shares, strict=True):
            self.bench.publish(taken, share)
        self.loop().run()

    def loop(self) -> AlertLoop:
        return self.bench.loop(new=self.book)

    def wishes(self) -> Wishes:
        return self.reader.report_source(source_status())

    def requests(self) -> list[EvidenceRequest]:
        return [taken.request for taken in self.wishes().requests]

    def events(self) -> list[Event]:
        found = self.bench.queue.read_events(after_id="0", max_count=1000, block_s=0)
        return [parse_event(body) for _, body in found]


def test_each_phase_of_an_event_asks_for_what_is_known_by_then() -> None:
    desk = Desk()
    desk.judge(*SHARES)

    started, updated, _, ended = desk.requests()
    (event, *_) = desk.events()
    assert started.event_id == event.event_id
    assert started.ends_at is None
    assert started.begins_at < started.peak_at < event.start_time
    assert updated.peak_at > started.peak_at
    assert ended.peak_at > updated.peak_at
    assert ended.begins_at == started.begins_at
    assert ended.ends_at == desk.events()[-1].end_time


def test_the_end_tells_where_picture_and_clip_will_be_and_the_start_cannot() -> None:
    desk = Desk()
    desk.judge(*SHARES)

    started, *_, ended = desk.events()
    name = desk.requests()[0].name
    assert (started.snapshot_url, started.clip_url) == (None, None)
    assert ended.snapshot_url == f"https://cameras.example/kept/{name}.jpg"
    assert ended.clip_url == f"https://cameras.example/kept/{name}.mp4"
    assert name == f"yard/1970-01-01/{ended.event_id}"


def test_an_update_tells_what_is_there() -> None:
    desk = Desk()
    desk.judge(0.1, 0.7)
    (asked,) = desk.requests()
    desk.judge(0.8)
    desk.reader.record_evidence("yard", asked.event_id, EvidenceRecord(snapshot=True), ttl_s=600)
    desk.judge(0.9)
    desk.reader.record_evidence("yard", asked.event_id, EvidenceRecord(snapshot=True, clip=True), ttl_s=600)
    desk.judge(0.98)

    told = [(bool(event.snapshot_url), bool(event.clip_url)) for event in desk.events()]
    assert [event.phase for event in desk.events()] == [Phase.STARTED, Phase.UPDATED, Phase.UPDATED, Phase.UPDATED]
    assert told == [(False, False), (False, False), (True, False), (True, True)]


def test_the_end_has_no_url_of_what_was_given_up() -> None:
    desk = Desk()
    desk.judge(0.1, 0.7)
    (asked,) = desk.requests()
    record = EvidenceRecord(snapshot=True, is_complete=True, error="the disk is full")
    desk.reader.record_evidence("yard", asked.event_id, record, ttl_s=600)
    desk.judge(0.1)

    ended = desk.events()[-1]
    assert ended.phase is Phase.ENDED
    assert (bool(ended.snapshot_url), ended.clip_url) == (True, None)


def test_the_end_tells_of_a_clip_that_is_known_not_to_be_whole() -> None:
    desk = Desk()
    desk.judge(0.1, 0.7)
    (asked,) = desk.requests()
    record = EvidenceRecord(snapshot=True, clip=True, is_complete=True, partial=True)
    desk.reader.record_evidence("yard", asked.event_id, record, ttl_s=600)
    desk.judge(0.98)
    desk.judge(0.1)

    assert [(event.phase, event.clip_partial) for event in desk.events()] == [
        (Phase.STARTED, False),
        (Phase.UPDATED, True),
        (Phase.ENDED, True),
    ]


@pytest.mark.parametrize(("after_s", "is_partial"), [(0.0, True), (1000.0, False)], ids=["in the event", "behind it"])
def test_what_a_growing_clip_lacks_is_told_where_it_is_of_the_event(after_s: float, is_partial: bool) -> None:
    desk = Desk()
    desk.judge(0.1, 0.7)
    (asked,) = desk.requests()
    record = EvidenceRecord(snapshot=True, clip=True, lacks_from=asked.begins_at + after_s)
    desk.reader.record_evidence("yard", asked.event_id, record, ttl_s=600)
    desk.judge(0.98)
    desk.judge(0.1)

    assert [event.clip_partial for event in desk.events()] == [False, is_partial, is_partial]


def test_nothing_is_asked_for_of_a_source_that_keeps_no_evidence() -> None:
    desk = Desk(replace(BOOK, evidence_urls={}))
    desk.judge(*SHARES)

    assert desk.requests() == []
    assert {(event.snapshot_url, event.clip_url) for event in desk.events()} == {(None, None)}


def test_the_reader_of_a_file_hears_that_all_of_it_was_judged() -> None:
    desk = Desk()
    desk.judge(*SHARES, live=False)
    assert desk.wishes().judged_epoch == ""

    desk.bench.end(len(SHARES))
    desk.loop().run()
    assert desk.wishes().judged_epoch == "e1"


def test_a_camera_is_never_judged_to_its_end() -> None:
    desk = Desk()
    desk.judge(*SHARES)
    desk.bench.end(len(SHARES), live=True)
    desk.loop().run()

    assert desk.wishes().judged_epoch == ""
