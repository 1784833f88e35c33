from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import structlog

from tests.fakes import FakeClock
from tests.videos import GEOMETRY, noise, number_of, steady, write_video
from xclip_stream.errors import QueueUnavailable, SourceRejected, StaleOwner
from xclip_stream.pipeline.assembling import WindowSettings
from xclip_stream.pipeline.ingest import FileIngest
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import Admission, Admitted, FrameSource, SourceState, SourceStatus
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.sources import open_source
from xclip_stream.types import Pixels, Region, Scores, ScoreStatus, Window, WindowId

SETTINGS = WindowSettings(num_frames=4, span_s=2.0, stride_s=1.0, regions=("",))
log = structlog.get_logger()


class Desk:
    """A queue in memory and a scorer that works whenever the reader sleeps."""

    def __init__(self, *, file_windows: int = 1000) -> None:
        self.clock = FakeClock()
        self.queue = MemoryQueue(limits=QueueLimits(file_windows=file_windows), clock=self.clock)
        self.scored: list[Window] = []

    def score(self, max_count: int = 1000) -> None:
        for taken in self.queue.take_windows(max_count=max_count, block_s=0):
            window = taken.window
            self.scored.append(window)
            scores = Scores(
                id=window.id,
                generation=taken.generation,
                status=ScoreStatus.SCORED,
                live=window.live,
                first_pts_s=window.first_pts_s,
                last_pts_s=window.last_pts_s,
                captured_at=window.captured_at,
                produced_at=window.produced_at,
                scored_at=self.clock.now(),
            )
            self.queue.publish_scores(taken, scores)

    def numbers(self) -> list[list[int]]:
        """Return the numbers that were drawn on the frames of all windows so far."""
        self.score()
        return [[number_of(picture) for picture in window.frames[0]] for window in self.scored]

    def statuses(self) -> list[tuple[int, ScoreStatus]]:
        self.score()
        token = self.queue.acquire_alert(ttl_s=1000)
        assert token is not None
        taken = self.queue.take_scores(token, max_count=1000, block_s=0)
        return sorted((entry.scores.id.seq, entry.scores.status) for entry in taken)

    def status(self) -> SourceStatus:
        return self.queue.source_statuses()["film"]


class ObservedSource:
    """Counts what is asked of a real source."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self.opened = 0
        self.converted: list[int] = []
        self.on_frame: Callable[[int], None] = lambda index: None

    live = False
    duration_s: float | None = None

    @property
    def damage(self) -> list[str]:
        return list(self._source.damage)

    def __enter__(self) -> Self:
        self.opened += 1
        self._source.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._source.__exit__(None, None, None)

    def __iter__(self) -> Iterator["ObservedFrame"]:
        for frame in self._source:
            self.on_frame(frame.index)
            yield ObservedFrame(frame.index, frame.pts_s, frame.captured_at, frame.pictures, self.converted)


@dataclass
class ObservedFrame:
    index: int
    pts_s: float
    captured_at: float
    convert: Callable[[], Pixels]
    converted: list[int]

    def pictures(self) -> Pixels:
        self.converted.append(self.index)
        return self.convert()

    def jpeg(self, *, width_px: int) -> bytes:
        return f"{self.index} at {width_px}".encode()


@dataclass
class TroubledQueue(MemoryQueue):
    """A queue in memory that has an answer of its own to some of the windows, once each."""

    answers: dict[int, Admitted | QueueUnavailable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(clock=FakeClock())

    def add_window(self, window: Window, *, token: int = 0) -> Admitted:
        answer = self.answers.pop(window.id.seq, None)
        if isinstance(answer, QueueUnavailable):
            raise answer
        return answer or super().add_window(window, token=token)


def ingest(
    source: FrameSource,
    desk: Desk,
    *,
    queue: MemoryQueue | None = None,
    clock: FakeClock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    epoch: str = "e",
    realtime: bool = False,
    settings: WindowSettings = SETTINGS,
    tally: Tally | None = None,
) -> FileIngest:
    return FileIngest(
        source_id="film",
        source=source,
        queue=queue or desk.queue,
        settings=settings,
        name_epoch=lambda: epoch,
        clock=clock or desk.clock,
        stopping=stopping,
        log=log,
        realtime=realtime,
        tally=tally,
    )


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Four seconds at 5 frames a second: three windows of frames 0 2(3) 5 7(8), and so on."""
    return write_video(tmp_path / "film.mp4", steady(5, 4))


def test_a_file_becomes_windows_in_order_and_its_epoch_is_closed(film: Path) -> None:
    desk = Desk()

    finished = ingest(open_source(str(film), geometry=GEOMETRY, start_time=5000.0), desk).run()

    assert finished
    assert desk.numbers() == [[0, 3, 5, 8], [5, 8, 10, 13], [10, 13, 15, 18]]
    assert [window.id for window in desk.scored] == [WindowId("film", "e", seq) for seq in range(3)]
    assert desk.scored[0].frame_ids == (0, 3, 5, 8)
    assert [window.captured_at for window in desk.scored] == pytest.approx([5001.6, 5002.6, 5003.6])
    assert (desk.scored[1].first_pts_s, desk.scored[1].last_pts_s) == pytest.approx((1.0, 2.6))
    assert desk.scored[0].frames.shape == (1, 4, 32, 32, 3)
    assert desk.scored[0].frames.dtype == np.uint8
    assert desk.queue.epoch_ended("film")
    assert desk.statuses()[-1] == (3, ScoreStatus.SOURCE_ENDED)


def test_a_reading_that_goes_on_counts_only_the_windows_that_it_adds(film: Path) -> None:
    desk, first, second = Desk(), Tally(), Tally()
    source = open_source(str(film), geometry=GEOMETRY)
    ingest(source, desk, stopping=lambda: len(desk.numbers()) == 1, tally=first).run()

    ingest(source, desk, tally=second).run()

    assert (first.counts().windows, second.counts().windows) == (1, 2)
    assert second.counts().frames == 20


def test_each_region_is_a_clip_of_its_own(film: Path) -> None:
    desk = Desk()
    settings = WindowSettings(num_frames=4, span_s=2.0, stride_s=1.0, regions=("left", "right"))
    regions = (Region("left", x1=0.5), Region("right", x0=0.5))

    ingest(open_source(str(film), geometry=GEOMETRY, regions=regions), desk, settings=settings).run()
    desk.score()

    assert desk.scored[0].regions == ("left", "right")
    assert desk.scored[0].frames.shape == (2, 4, 32, 32, 3)


def test_reading_waits_while_the_queue_is_full_and_loses_nothing(film: Path) -> None:
    desk = Desk(file_windows=1)
    desk.clock.sleep = lambda duration_s: (desk.clock.advance(duration_s), desk.score(1))[0]  # type: ignore[method-assign]

    ingest(open_source(str(film), geometry=GEOMETRY), desk).run()

    assert len(desk.numbers()) == 3


def test_a_reading_that_was_stopped_is_resumed_without_converting_what_is_done(film: Path) -> None:
    desk = Desk()
    first, second = (ObservedSource(open_source(str(film), geometry=GEOMETRY)) for _ in range(2))
    stopped = []
    first.on_frame = lambda index: stopped.append(index) if index == 14 else None

    finished = ingest(first, desk, stopping=lambda: bool(stopped)).run()

    assert not finished
    assert not desk.queue.epoch_ended("film")
    assert ingest(second, desk).run()
    assert desk.numbers() == [[0, 3, 5, 8], [5, 8, 10, 13], [10, 13, 15, 18]]
    assert min(second.converted) == 10


def test_a_file_that_was_read_to_its_end_is_not_opened_again(film: Path) -> None:
    desk = Desk()
    ingest(open_source(str(film), geometry=GEOMETRY), desk).run()
    before = desk.status()
    again = ObservedSource(open_source(str(film), geometry=GEOMETRY))

    finished = ingest(again, desk).run()

    assert finished
    assert again.opened == 0
    assert len(desk.numbers()) == 3
    assert desk.status() == before


def test_another_epoch_of_the_same_source_is_read_from_its_start(film: Path) -> None:
    desk = Desk()
    ingest(open_source(str(film), geometry=GEOMETRY), desk).run()

    ingest(open_source(str(film), geometry=GEOMETRY), desk, epoch="other").run()

    assert len(desk.numbers()) == 6


def test_a_queue_that_came_back_older_gets_again_what_it_lost(film: Path) -> None:
    desk = Desk()
    queue = TroubledQueue(answers={2: Admitted(Admission.REWIND, 1)})
    source = ObservedSource(open_source(str(film), geometry=GEOMETRY))

    finished = ingest(source, desk, queue=queue).run()

    assert finished
    assert source.opened == 2
    assert [taken.window.id.seq for taken in queue.take_windows(max_count=9, block_s=0)] == [0, 1, 2]
    assert queue.epoch_ended("film")


def test_a_window_that_the_queue_has_already_is_passed_over(film: Path) -> None:
    desk = Desk()
    queue = TroubledQueue(answers={0: QueueUnavailable("the reply was lost")})
    queue.begin_epoch("film", "e", live=False)

    finished = ingest(open_source(str(film), geometry=GEOMETRY), desk, queue=queue).run()

    assert finished
    assert [taken.window.id.seq for taken in queue.take_windows(max_count=9, block_s=0)] == [0, 1, 2]


def test_a_source_that_another_worker_has_taken_over_is_left_to_it(film: Path) -> None:
    desk = Desk()
    source = ObservedSource(open_source(str(film), geometry=GEOMETRY))
    source.on_frame = lambda index: desk.queue.begin_epoch("film", "e", live=False, token=1) if index == 12 else None

    with pytest.raises(StaleOwner, match="film"):
        ingest(source, desk).run()


def test_a_file_that_cannot_be_read_is_reported_with_its_reason(tmp_path: Path) -> None:
    desk = Desk()

    with pytest.raises(SourceRejected, match="no such file"):
        ingest(open_source(str(tmp_path / "gone.mp4"), geometry=GEOMETRY), desk).run()

    assert desk.status().state is SourceState.FAILED
    assert desk.status().error == f"{tmp_path}/gone.mp4: there is no such file"


def test_the_status_tells_how_far_reading_is_and_what_was_damaged(tmp_path: Path) -> None:
    desk = Desk()
    whole = write_video(tmp_path / "film.ts", steady(5, 4), pictures=[noise(i) for i in range(20)])
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    whole.write_bytes(content)
    source = ObservedSource(open_source(str(whole), geometry=GEOMETRY))
    source.on_frame = lambda index: desk.clock.advance(0.1)
    seen = []
    report = desk.queue.report_source
    desk.queue.report_source = lambda status: (seen.append(status), report(status))[1]  # type: ignore[method-assign]

    ingest(source, desk).run()

    assert [status.state for status in seen][:2] == [SourceState.CONNECTING, SourceState.RUNNING]
    assert seen[2].fps == pytest.approx(10, abs=1)
    assert 0 < seen[2].position_s < 4
    assert seen[-1].state is SourceState.ENDED
    assert seen[-1].windows == len(desk.numbers())
    assert " × " in seen[-1].error


def test_a_file_played_in_real_time_takes_as_long_as_it_is(film: Path) -> None:
    desk = Desk()
    began = desk.clock.monotonic()

    ingest(open_source(str(film), geometry=GEOMETRY), desk, realtime=True).run()

    assert desk.clock.monotonic() - began == pytest.approx(3.8)


def test_what_is_skipped_at_a_resumption_takes_no_real_time(film: Path) -> None:
    desk = Desk()
    first, stopped = ObservedSource(open_source(str(film), geometry=GEOMETRY)), list[int]()
    first.on_frame = lambda index: stopped.append(index) if index == 14 else None
    ingest(first, desk, stopping=lambda: bool(stopped)).run()
    began = desk.clock.monotonic()

    ingest(open_source(str(film), geometry=GEOMETRY), desk, realtime=True).run()

    # Two windows are there; of the four seconds what follows them is left.
    assert desk.clock.monotonic() - began < 2.0
