"""What a look at a queue says to the operator."""

from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.queues.builders import PIXELS, alert_token, fill, message, scores_of, take
from tests.statuses import source_status
from xclip_stream.pipeline.attention import concerns, look
from xclip_stream.protocols import SourceState
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.types import ScoreStatus, WindowId


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> MemoryQueue:
    return MemoryQueue(clock=clock)


def report(
    queue: MemoryQueue, clock: FakeClock, source_id: str = "yard", *, state: str = "running", live: bool = True
) -> None:
    error = "refused" if state in {"stalled", "failed"} else ""
    queue.report_source(
        source_status(source_id=source_id, state=SourceState(state), live=live, error=error, updated_at=clock.now())
    )


def told(queue: MemoryQueue, *, sources: list[str] | None = None, sinks: list[str] | None = None) -> list[str]:
    return concerns(look(queue, source_ids=sources, sink_ids=sinks))


def test_a_system_that_works_needs_nobody(queue: MemoryQueue, clock: FakeClock) -> None:
    fill(queue, 3)
    report(queue, clock)
    report(queue, clock, "film", state="ended", live=False)
    queue.acquire_alert(ttl_s=60)
    clock.advance(5)

    assert told(queue) == told(queue, sources=["yard", "film"], sinks=["ops"]) == []


def test_a_camera_that_is_stalled_or_refused_is_told_with_its_error(queue: MemoryQueue, clock: FakeClock) -> None:
    report(queue, clock, "gate", state="failed")
    report(queue, clock, "yard", state="stalled")

    assert told(queue) == ["source gate: failed: refused", "source yard: stalled: refused"]


def test_a_source_that_reports_no_more_is_told(queue: MemoryQueue, clock: FakeClock) -> None:
    report(queue, clock)
    clock.advance(15)
    in_time = told(queue)
    clock.advance(1)

    assert in_time == []
    assert told(queue) == ["source yard: no report for 16 s: does its ingest worker run?"]


def test_a_file_that_has_ended_or_failed_reports_no_more(queue: MemoryQueue, clock: FakeClock) -> None:
    report(queue, clock, "done", state="ended", live=False)
    report(queue, clock, "torn", state="failed", live=False)
    clock.advance(3600)

    assert told(queue) == ["source torn: failed: refused"]


def test_a_configuration_says_who_is_missing_and_who_is_nobody_s_business(queue: MemoryQueue, clock: FakeClock) -> None:
    report(queue, clock, "old", state="stalled")

    assert told(queue, sources=["yard"]) == ["source yard: nobody has reported of it yet"]


def test_without_a_configuration_a_camera_whose_reading_was_ended_is_left_alone(
    queue: MemoryQueue, clock: FakeClock
) -> None:
    fill(queue, 0, live=True)
    queue.add_tombstone(
        WindowId("yard", "e1", 0), status=ScoreStatus.SOURCE_ENDED, live=True, pts_s=0.0, captured_at=0.0
    )
    alert_token(queue)
    report(queue, clock)
    clock.advance(20)
    alert_token(queue)

    assert told(queue) == []
    assert told(queue, sources=["yard"]) == ["source yard: no report for 20 s: does its ingest worker run?"]


def test_windows_that_nobody_takes_are_told(queue: MemoryQueue, clock: FakeClock) -> None:
    fill(queue, 3)
    clock.advance(31)
    untaken = told(queue)
    take(queue, 1)
    taken = told(queue)
    clock.advance(31)

    assert untaken == ["no score worker has taken a window for 30 s; windows that wait: 3"]
    assert taken == []
    assert told(queue) == ["no score worker has taken a window for 30 s; windows that wait: 2"]


def test_a_cap_that_is_reached_is_told(clock: FakeClock) -> None:
    queue = MemoryQueue(clock=clock, limits=QueueLimits(max_bytes=2 * PIXELS.nbytes, live_windows=9, max_scores=1))
    queue.acquire_alert(ttl_s=60)
    fill(queue, 2, live=True)
    windows = told(queue)
    (first, _) = take(queue)
    queue.publish_scores(first, scores_of(first))

    assert [line.partition(":")[0] for line in windows] == ["the windows have reached their cap"]
    assert told(queue) == ["the scores have reached their cap of 1"]


def test_scores_without_an_alert_worker_are_told(queue: MemoryQueue) -> None:
    fill(queue, 1)
    (taken,) = take(queue)
    queue.publish_scores(taken, scores_of(taken))
    before = told(queue)
    queue.acquire_alert(ttl_s=60)

    assert before == ["no alert worker is there; scores that wait: 1"]
    assert told(queue) == []


def test_messages_that_wait_are_told_with_what_they_wait_for(queue: MemoryQueue, clock: FakeClock) -> None:
    sent = [(sink_id, message()) for sink_id in ("ops", "gone", "gone")]
    queue.commit(alert_token(queue), source_id="yard", state=b"", events=[], outbox=sent, done=[])
    unowned = told(queue, sinks=["ops"])
    queue.acquire_sink("ops", ttl_s=600)
    in_time = told(queue, sinks=["ops"])
    clock.advance(61)

    removed = "sink gone: it is not in the configuration; messages that wait: 2"
    assert unowned == ["sink ops: no deliver worker has it; messages that wait: 1", removed]
    assert in_time == [removed]
    assert told(queue, sinks=["ops"]) == ["sink ops: a message has waited for 61 s; messages that wait: 1", removed]


def test_dead_letters_are_told_with_where_to_look(queue: MemoryQueue) -> None:
    fill(queue, 1)
    (taken,) = take(queue)
    queue.bury_window(taken, reason="unreadable")
    alert_token(queue)

    assert told(queue) == ["1 dead letter: look with `xclip-stream dead-letters list`"]


def test_a_server_whose_memory_is_used_up_is_told(queue: MemoryQueue) -> None:
    view = look(queue, source_ids=None, sink_ids=None)
    full = replace(view.queue, memory_bytes=62 << 20, max_memory_bytes=64 << 20)

    assert concerns(replace(view, queue=full)) == ["Redis is full: 62 of 64 MiB are in use"]
