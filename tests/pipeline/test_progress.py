"""What a run is thought to have left to do."""

import pytest

from tests.statuses import rule_status, source_status
from xclip_stream.pipeline.progress import Progress, Scope
from xclip_stream.protocols import SourceState, SourceStatus
from xclip_stream.queues.memory import MemoryQueue


def status(state: SourceState, *, windows: int = 0) -> SourceStatus:
    error = "wrong user or password" if state is SourceState.FAILED else ""
    return source_status(state=state, windows=windows, error=error, updated_at=100.0)


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def progress(queue: MemoryQueue) -> Progress:
    scope = Scope(source_ids=frozenset({"yard"}), file_ids=frozenset(), sink_ids=())
    return Progress(overview=queue, scope=scope, started_at=50.0)


def test_a_camera_that_refuses_from_the_start_has_failed(queue: MemoryQueue, progress: Progress) -> None:
    queue.report_source(status(SourceState.FAILED))

    snapshot = progress.look()

    assert snapshot is not None
    assert snapshot.failed == snapshot.silent == {"yard"}
    assert progress.is_read(snapshot)


def test_a_camera_that_refuses_after_it_has_given_frames_is_waited_for(queue: MemoryQueue, progress: Progress) -> None:
    queue.report_source(status(SourceState.RUNNING, windows=3))
    progress.look()
    # Another reader of the same camera counts from the beginning.
    queue.report_source(status(SourceState.FAILED))

    snapshot = progress.look()

    assert snapshot is not None
    assert snapshot.failed == snapshot.silent == frozenset()
    assert not progress.is_read(snapshot)


def test_a_camera_that_is_not_reached_is_silent_but_has_not_failed(queue: MemoryQueue, progress: Progress) -> None:
    queue.report_source(status(SourceState.STALLED))

    snapshot = progress.look()

    assert snapshot is not None
    assert (snapshot.failed, snapshot.silent) == (frozenset(), {"yard"})
    assert not progress.is_read(snapshot)


def test_windows_that_were_scored_or_failed_are_counted_over_epochs_and_those_given_up_are_not(
    queue: MemoryQueue, progress: Progress
) -> None:
    def judged(windows: int, *, dropped: int = 0, expired: int = 0) -> int:
        queue.report_rules(rule_status(windows=windows, dropped=dropped, expired=expired, failed=1, updated_at=100.0))
        progress.look()
        return progress.scored

    first = [judged(5), judged(9, dropped=3, expired=1), judged(9, dropped=5, expired=1)]
    another_epoch = judged(2)

    assert first == [5, 5, 5]
    assert another_epoch == 5
    assert judged(4) == 7
