"""The desk that makes evidence, with footage that a test writes by hand and a real queue in memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from xclip_stream.errors import EvidenceError, FootageGone, QueueUnavailable
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.meters import ReaderCounts
from xclip_stream.pipeline.evidence_desk import GIVE_UP_S, EvidenceDesk
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import SourceState, SourceStatus
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.storage import LocalStore

STATUS = SourceStatus("yard", SourceState.RUNNING, True, 25.0, 3.5, None, 4, 1, 0.2, "", 9.5)
NAME = "yard/2024-05-01/e1"


def request(*, peak_at: float = 102.0, ends_at: float | None = None, event_id: str = "e1") -> EvidenceRequest:
    return EvidenceRequest(
        event_id=event_id,
        source_id="yard",
        rule_id="climbing",
        prompt="a person climbing",
        peak_score=0.9,
        begins_at=100.0,
        peak_at=peak_at,
        ends_at=ends_at,
        name=f"yard/2024-05-01/{event_id}",
    )


class Video:
    """Footage that is there up to `until`; what it gives are the times that were asked for."""

    def __init__(self, *, grows: bool = True) -> None:
        self.grows = grows
        self.since = 0.0
        self.until = 0.0
        self.hole_at: float | None = None
        self.is_broken = self.is_gone = False
        self.has_pictures = True
        self.begun: list[float] = []

    def begin_clip(self, path: Path, *, begins_at: float, caption: str) -> "Growing":
        self.check()
        self.begun.append(begins_at)
        return Growing(path, self, max(self.since, begins_at))

    def reaches(self, at: float) -> bool:
        return self.since <= at

    def snapshot(self, at: float, *, caption: str) -> bytes:
        self.check()
        if not self.has_pictures:
            raise EvidenceError("the frame cannot be decoded")
        return f"{at}".encode()

    def check(self) -> None:
        if self.is_broken:
            raise EvidenceError("the disk is full")


class Growing:
    def __init__(self, path: Path, video: Video, begins_at: float) -> None:
        self._path = path
        self._video = video
        self._begins_at = begins_at
        self._ends_at = begins_at

    def extend(self, *, ends_at: float) -> bool:
        self._video.check()
        if self._video.is_gone:
            raise FootageGone("the video of that time is gone")
        self._ends_at = min(self._video.until, ends_at)
        self._path.write_text(f"{self._begins_at} to {self._ends_at}, growing")
        return self._video.until > ends_at

    def lacks_from(self, begins_at: float, ends_at: float | None) -> float | None:
        if self._begins_at > begins_at:
            return begins_at
        if self._video.hole_at is not None:
            return self._video.hole_at
        return self._video.until if ends_at is not None and self._video.until < ends_at else None

    def finish(self, path: Path) -> None:
        self._video.check()
        path.write_text(f"{self._begins_at} to {self._ends_at}")

    def close(self) -> None:
        pass


class Scene:
    def __init__(self, folder: Path, *, grows: bool = True) -> None:
        self.clock = FakeClock(now=100.0)
        self.queue = MemoryQueue(clock=self.clock)
        self.video = Video(grows=grows)
        self.folder = folder
        self.tally = Tally()
        self.desk = self.new_desk()
        self._reader = self.queue.consumer("reader")

    def new_desk(self) -> EvidenceDesk:
        return EvidenceDesk(
            source_id="yard",
            queue=self.queue,
            footage=self.video,
            store=LocalStore(self.folder),
            clock=self.clock,
            log=structlog.get_logger(),
            pre_roll_s=5.0,
            post_roll_s=3.0,
            max_clip_s=60.0,
            tally=self.tally,
        )

    def restart(self) -> None:
        """Let another reader come, which knows nothing."""
        self.desk = self.new_desk()
        self._reader = self.queue.consumer("another")

    def ask(self, *requests: EvidenceRequest) -> None:
        token = self.queue.acquire_alert(ttl_s=600)
        assert token is not None
        self.queue.commit(token, source_id="yard", state=b"", events=[], outbox=[], done=[], evidence=requests)

    def step(self, *, until: float | None = None) -> None:
        """Let the time, and the video, go on to `until`; report and work."""
        if until is not None:
            self.clock.advance(max(0.0, until - self.clock.now()))
            self.video.until = until
        self.desk.take(self._reader.report_source(STATUS).requests)
        self.desk.step()

    def record(self, event_id: str = "e1") -> EvidenceRecord:
        return self.queue.evidence_of([event_id]).get(event_id, EvidenceRecord())

    def kept(self, suffix: str) -> str:
        path = self.folder / (NAME + suffix)
        return path.read_text() if path.exists() else ""

    def waiting(self) -> int:
        return self.queue.evidence_waiting(["yard"])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "kept")


def test_a_clip_grows_with_the_event_and_is_finished_after_it(scene: Scene) -> None:
    scene.ask(request())
    scene.step(until=104.0)
    assert scene.record() == EvidenceRecord(snapshot=True, clip=True)
    assert (scene.kept(".jpg"), scene.kept(".mp4")) == ("102.0", "95.0 to 104.0, growing")

    scene.ask(request(ends_at=110.0))
    scene.step(until=112.0)
    assert not scene.record().is_complete

    scene.step(until=113.5)
    assert scene.record() == EvidenceRecord(snapshot=True, clip=True, is_complete=True)
    assert scene.kept(".mp4") == "95.0 to 113.0"
    assert (scene.waiting(), scene.desk.is_busy, scene.desk.made) == (0, False, 1)


def test_the_picture_is_that_of_the_highest_peak(scene: Scene) -> None:
    scene.ask(request(peak_at=102.0))
    scene.step(until=103.0)
    scene.ask(request(peak_at=106.0))
    scene.step(until=107.0)

    assert scene.kept(".jpg") == "106.0"
    assert scene.tally.counts() == ReaderCounts(snapshots=1)


def test_a_clip_is_no_longer_than_it_may_be_and_the_event_goes_on(scene: Scene) -> None:
    scene.ask(request())
    scene.step(until=160.0)
    assert scene.record().is_complete
    assert scene.kept(".mp4") == "95.0 to 155.0"

    scene.ask(request(peak_at=170.0), request(peak_at=170.0, ends_at=300.0))
    scene.step(until=301.0)
    assert (scene.kept(".jpg"), scene.waiting()) == ("170.0", 0)
    assert scene.video.begun == [95.0]


def test_a_camera_that_gives_no_more_frames_is_not_waited_for(scene: Scene) -> None:
    scene.ask(request(ends_at=110.0))
    scene.step(until=111.0)
    scene.clock.advance(11.0)
    scene.step()
    assert not scene.record().is_complete

    scene.clock.advance(2.0)
    scene.step()
    assert scene.kept(".mp4") == "95.0 to 111.0"
    assert scene.record().is_complete


@pytest.mark.parametrize(
    ("since", "until", "is_partial"),
    [(0.0, 114.0, False), (97.0, 114.0, False), (101.0, 114.0, True), (0.0, 110.5, False), (0.0, 109.0, True)],
    ids=["whole", "less before", "begins late", "less after", "ends early"],
)
def test_a_clip_that_lacks_some_of_the_event_says_so(
    scene: Scene, since: float, until: float, is_partial: bool
) -> None:
    scene.video.since = since
    scene.ask(request(ends_at=110.0))
    scene.step(until=until)
    scene.clock.advance(20.0)
    scene.step()

    assert scene.record() == EvidenceRecord(snapshot=True, clip=True, is_complete=True, partial=is_partial)


def test_a_clip_that_grows_tells_from_when_on_it_lacks_something(scene: Scene) -> None:
    scene.ask(request())
    scene.step(until=104.0)
    scene.video.hole_at = 104.0
    scene.step(until=110.0)
    assert scene.record() == EvidenceRecord(snapshot=True, clip=True, lacks_from=104.0)

    scene.ask(request(ends_at=112.0))
    scene.step(until=116.0)
    assert scene.record() == EvidenceRecord(snapshot=True, clip=True, is_complete=True, partial=True)


def test_a_clip_that_is_as_long_as_it_may_be_is_not_partial(scene: Scene) -> None:
    scene.ask(request(ends_at=300.0))
    scene.step(until=301.0)

    assert scene.kept(".mp4") == "95.0 to 155.0"
    assert not scene.record().partial


def test_a_file_is_cut_once_its_end_is_known(tmp_path: Path) -> None:
    scene = Scene(tmp_path, grows=False)
    scene.video.until = 1000.0
    scene.ask(request())
    scene.step()
    assert scene.record() == EvidenceRecord(snapshot=True)

    scene.ask(request(ends_at=110.0))
    scene.step()
    assert scene.kept(".mp4") == "95.0 to 113.0"
    assert scene.record().is_complete


def test_what_was_not_settled_is_made_by_the_next_reader(scene: Scene) -> None:
    scene.ask(request())
    scene.step(until=104.0)
    scene.restart()
    scene.ask(request(ends_at=110.0))
    scene.step(until=114.0)

    assert scene.record().is_complete
    assert scene.waiting() == 0


def test_a_reader_that_is_stopped_in_the_post_roll_finishes_the_clip_of_the_event(scene: Scene) -> None:
    scene.ask(request(ends_at=105.0), request(event_id="e2"))
    scene.step(until=106.0)
    scene.desk.close()

    assert scene.kept(".mp4") == "95.0 to 106.0"
    assert scene.record() == EvidenceRecord(snapshot=True, clip=True, is_complete=True)
    assert scene.waiting() == 1, "the other event goes on"
    assert scene.record("e2") == EvidenceRecord(snapshot=True, clip=True)


def test_the_picture_of_a_killed_reader_stands_when_the_peak_is_gone(scene: Scene) -> None:
    scene.ask(request(peak_at=102.0))
    scene.step(until=104.0)
    scene.restart()
    scene.video.since = 105.0
    scene.ask(request(peak_at=102.0, ends_at=110.0))
    scene.step(until=114.0)

    assert scene.kept(".jpg") == "102.0"
    assert scene.record() == EvidenceRecord(snapshot=True, clip=True, is_complete=True, partial=True)
    assert scene.tally.counts().snapshots == 1


def test_where_the_peak_is_gone_and_there_is_no_picture_the_next_frame_is_taken(scene: Scene) -> None:
    scene.video.since = 105.0
    scene.ask(request(peak_at=102.0, ends_at=110.0))
    scene.step(until=114.0)

    assert scene.kept(".jpg") == "102.0"


def test_what_fails_is_tried_again_and_told_once(scene: Scene) -> None:
    scene.video.is_broken = True
    scene.ask(request(ends_at=110.0))
    with capture_logs() as logs:
        for _ in range(20):
            scene.step(until=scene.clock.now() + 5)
    assert [line["event"] for line in logs] == ["evidence_failed"]
    assert scene.waiting() == 1

    scene.video.is_broken = False
    scene.step(until=scene.clock.now() + 60)
    assert scene.record() == EvidenceRecord(snapshot=True, clip=True, is_complete=True)


def test_what_fails_for_long_is_given_up_and_counted(scene: Scene) -> None:
    scene.video.is_broken = True
    scene.ask(request(ends_at=110.0))
    for _ in range(round(GIVE_UP_S / 20)):
        scene.step(until=scene.clock.now() + 40)

    assert scene.record() == EvidenceRecord(is_complete=True, error="the disk is full")
    assert (scene.desk.made, scene.desk.failed, scene.waiting()) == (0, 1, 0)
    assert scene.tally.counts() == ReaderCounts(snapshots_failed=1, clips_failed=1)


def test_a_clip_whose_video_is_gone_is_given_up_with_the_end_of_the_event(scene: Scene) -> None:
    scene.video.is_gone = True
    scene.ask(request(ends_at=None))
    scene.step(until=104.0)
    assert scene.waiting() == 1

    scene.ask(request(ends_at=110.0))
    scene.step(until=140.0)

    assert scene.record() == EvidenceRecord(snapshot=True, is_complete=True, error="the video of that time is gone")
    assert (scene.desk.failed, scene.waiting()) == (1, 0)


def test_a_picture_that_cannot_be_taken_is_given_up_with_the_end_of_the_clip(scene: Scene) -> None:
    scene.video.has_pictures = False
    scene.ask(request(ends_at=110.0))
    for now in (104.0, 114.0):
        scene.step(until=now)

    assert scene.record() == EvidenceRecord(clip=True, is_complete=True, error="the frame cannot be decoded")
    assert (scene.desk.made, scene.desk.failed, scene.waiting()) == (0, 1, 0)
    assert scene.tally.counts() == ReaderCounts(clips=1, snapshots_failed=1)


def test_events_at_the_same_time_have_each_their_own(scene: Scene) -> None:
    scene.ask(request(ends_at=110.0), request(event_id="e2", ends_at=120.0))
    scene.step(until=114.0)
    assert (scene.record("e1").is_complete, scene.record("e2").is_complete) == (True, False)

    scene.step(until=124.0)
    assert scene.record("e2").is_complete


def test_a_queue_that_is_away_hears_of_it_when_it_is_back(scene: Scene) -> None:
    record, outages = scene.queue.record_evidence, [1, 1]

    def away_at_first(
        source_id: str, event_id: str, made: EvidenceRecord, *, ttl_s: float, settled: Sequence[str] = ()
    ) -> None:
        if outages:
            outages.pop()
            raise QueueUnavailable("gone")
        record(source_id, event_id, made, ttl_s=ttl_s, settled=settled)

    scene.queue.record_evidence = away_at_first  # type: ignore[method-assign]
    scene.ask(replace(request(), ends_at=110.0))
    scene.step(until=114.0)
    assert scene.waiting() == 1

    scene.step()
    scene.step()
    assert scene.record().is_complete
    assert scene.waiting() == 0
