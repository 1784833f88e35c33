import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Self

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.videos import steady
from tests.waiting import wait_until
from xclip_stream.errors import LoginRejected, SourceError, SourceRejected, SourceUnavailable, StaleOwner
from xclip_stream.meters import ReaderCounts
from xclip_stream.motion_gate import MotionGate
from xclip_stream.pipeline.assembling import WindowSettings
from xclip_stream.pipeline.ingest_live import LiveIngest
from xclip_stream.pipeline.live_backlog import LiveEpochs
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import Admitted, SourceState, SourceStatus, Wishes
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.types import IdleState, Idling, Picture, Pixels, Scores, ScoreStatus, Window, WindowId

SETTINGS = WindowSettings(num_frames=2, span_s=1.0, stride_s=1.0, regions=("",))
REFUSED = SourceUnavailable("camera: connection refused")
LOCKED = LoginRejected("camera: wrong user or password")
MISSING = SourceRejected("camera: no such stream there (404)")
LOST, STOPPED = ScoreStatus.SOURCE_LOST, ScoreStatus.SOURCE_STOPPED


@dataclass
class Seen:
    index: int
    pts_s: float
    captured_at: float
    level: int = 0

    def pictures(self) -> Pixels:
        return np.full((1, 4, 4, 3), self.level % 256, np.uint8)

    def jpeg(self, *, width_px: int) -> bytes:
        return f"{self.index} at {width_px}".encode()


class Camera:
    """A camera that follows a script: for each connection the times of its frames, or why there is none.

    At the end of the script the reader is asked to stop, while a last connection stands.
    """

    live = True
    duration_s: float | None = None
    damage: Sequence[str] = ()

    def __init__(self, clock: FakeClock, *script: list[float] | SourceError) -> None:
        self._clock = clock
        self._script = list(script)
        self._next: list[float] = []
        self._index = 0
        self.is_over = False
        self.is_still = False
        self.idling: Idling | None = None
        self.tried_at: list[float] = []
        self.on_frame: Callable[[int], None] = lambda index: None

    def __enter__(self) -> Self:
        self.tried_at.append(self._clock.monotonic())
        step = self._script.pop(0)
        if isinstance(step, SourceError):
            raise step
        self._next = step
        return self

    def __exit__(self, *error: object) -> None:
        self._next = []

    def __iter__(self) -> Iterator[Seen]:
        last = 0.0
        for pts_s in self._next:
            self._clock.advance(max(0.0, pts_s - last))
            last = pts_s
            yield self._frame(pts_s)
        if not self._script:
            self.is_over = True
            yield self._frame(last)
        raise SourceUnavailable("camera: the stream ended")

    def _frame(self, pts_s: float) -> Seen:
        self.on_frame(self._index)
        self._index += 1
        return Seen(self._index - 1, pts_s, self._clock.now(), 0 if self.is_still else self._index - 1)


class Recorder(MemoryQueue):
    """A queue in memory that remembers every report."""

    def __init__(self, clock: FakeClock, limits: QueueLimits) -> None:
        super().__init__(clock=clock, limits=limits)
        self.reports: list[SourceStatus] = []
        self.pictures: list[Picture] = []
        self.has_begun = threading.Event()

    def begin_epoch(self, source_id: str, epoch: str, *, live: bool, token: int = 0) -> int:
        try:
            return super().begin_epoch(source_id, epoch, live=live, token=token)
        finally:
            self.has_begun.set()

    def report_source(self, status: SourceStatus) -> Wishes:
        self.reports.append(status)
        return super().report_source(status)

    def put_picture(self, source_id: str, picture: Picture, *, ttl_s: float) -> None:
        super().put_picture(source_id, picture, ttl_s=ttl_s)
        self.pictures.append(picture)


class Scene:
    def __init__(self, *script: list[float] | SourceError, limits: QueueLimits | None = None) -> None:
        self.clock = FakeClock()
        self.camera = Camera(self.clock, *script)
        self.queue = Recorder(self.clock, limits or QueueLimits(live_windows=1000))
        self.tally = Tally()

    def ingest(self, *, backlog_windows: int = 1000, idle: str = "off") -> LiveIngest:
        return LiveIngest(
            source_id="yard",
            source=self.camera,
            queue=self.queue,
            settings=SETTINGS,
            epochs=LiveEpochs(lease="lease", number=SimpleNamespace(value=0)),
            clock=self.clock,
            stopping=lambda: self.camera.is_over,
            log=structlog.get_logger(),
            backlog_windows=backlog_windows,
            draw=lambda: 1.0,
            tally=self.tally,
            gate=MotionGate(mode=idle, refresh_s=30.0),
        )

    def distances(self) -> list[float]:
        """Return how long after each try the next one came."""
        return [later - earlier for earlier, later in pairwise(self.camera.tried_at)]

    def windows(self) -> list[Window]:
        return [taken.window for taken in self.queue.take_windows(max_count=1000, block_s=0)]

    def tombstones(self) -> list[tuple[int, ScoreStatus]]:
        return [(scores.id.seq, scores.status) for scores in self.scores()]

    def unchanged(self) -> list[tuple[int, int | None]]:
        """Return the windows that were not sent, each with the one that stands for it."""
        scores = [each for each in self.scores() if each.status is ScoreStatus.UNCHANGED]
        return [(each.id.seq, each.same_as) for each in scores]

    def scores(self) -> list[Scores]:
        token = self.queue.acquire_alert(ttl_s=10_000)
        assert token is not None
        return [entry.scores for entry in self.queue.take_scores(token, max_count=1000, block_s=0)]


def test_windows_of_a_camera_come_in_order_and_the_stop_closes_the_epoch() -> None:
    scene = Scene(steady(10, 3.6))

    scene.ingest().run()

    windows = scene.windows()
    assert [window.id.seq for window in windows] == [0, 1, 2, 3]
    assert {window.id.epoch for window in windows} == {"lease-0"}
    assert all(window.live for window in windows)
    assert [window.frame_ids for window in windows] == [(0, 5), (10, 15), (20, 25), (30, 35)]
    assert scene.tombstones() == [(4, STOPPED)]


def test_a_short_break_is_no_loss_and_no_window_straddles_it() -> None:
    scene = Scene(steady(10, 1.3), steady(10, 1.3))

    scene.ingest().run()

    assert [window.frame_ids for window in scene.windows()] == [(0, 5), (13, 18)]
    assert scene.tombstones() == [(2, STOPPED)]


def test_of_a_camera_that_shows_nothing_new_the_first_window_of_each_connection_is_scored() -> None:
    scene = Scene(steady(10, 3.6), steady(10, 2.6))
    scene.camera.is_still = True

    scene.ingest(idle="conservative").run()

    assert [window.id.seq for window in scene.windows()] == [0, 4]
    assert scene.unchanged() == [(1, 0), (2, 0), (3, 0), (5, 4), (6, 4)]
    assert (scene.queue.reports[-1].windows, scene.queue.reports[-1].unchanged) == (7, 5)
    assert scene.tally.counts().unchanged == 5


def test_a_window_whose_scores_are_missed_by_the_rules_is_followed_by_one_that_is_scored() -> None:
    scene = Scene(steady(10, 20))
    scene.camera.is_still = True

    def miss_the_first_window(index: int) -> None:
        if index != 30:
            return
        wait_until(lambda: scene.queue.depths([]).windows == 1)
        scene.queue.want_rescored(WindowId("yard", "lease-0", 0), ttl_s=3600)
        told = len(scene.queue.reports)
        scene.clock.advance(2.0)
        wait_until(lambda: len(scene.queue.reports) > told)

    scene.camera.on_frame = miss_the_first_window
    scene.ingest(idle="conservative").run()

    assert [window.id.seq for window in scene.windows()] == [0, 3]
    assert {same_as for seq, same_as in scene.unchanged() if seq > 3} == {3}


def test_a_camera_that_cannot_be_reached_again_is_marked_lost_once_for_each_loss() -> None:
    scene = Scene(steady(10, 1), REFUSED, REFUSED, REFUSED, steady(10, 1), REFUSED, steady(10, 1))

    with capture_logs() as logs:
        scene.ingest().run()

    assert [window.id.seq for window in scene.windows()] == [0, 2, 4]
    assert scene.tombstones() == [(1, LOST), (3, LOST), (5, STOPPED)]
    assert [line["event"] for line in logs if line["event"].startswith("source_")] == [
        "source_opened",
        "source_lost",
        "source_opened",
        "source_lost",
        "source_opened",
    ]


def test_tries_come_at_longer_and_longer_distances_up_to_five_seconds() -> None:
    scene = Scene(*[REFUSED] * 5, steady(10, 1))

    scene.ingest().run()

    assert scene.distances() == pytest.approx([1, 2, 4, 5, 5])


def test_what_a_camera_rejects_is_tried_every_ten_seconds() -> None:
    scene = Scene(*[MISSING] * 6, steady(10, 1))

    scene.ingest().run()

    assert scene.distances() == pytest.approx([10] * 6)


def test_a_refused_login_is_tried_a_few_times_and_then_rarely_so_that_the_camera_does_not_lock_us_out() -> None:
    scene = Scene(*[LOCKED] * 9, steady(10, 1), LOCKED, steady(10, 1))

    scene.ingest().run()

    assert scene.distances()[:9] == pytest.approx([10, 10, 10, 60, 120, 240, 480, 600, 600])
    assert scene.distances()[-1] == pytest.approx(10)


def test_a_wrong_password_is_told_once_and_works_once_it_is_fixed() -> None:
    scene = Scene(LOCKED, LOCKED, steady(10, 1))

    with capture_logs() as logs:
        scene.ingest().run()

    assert len(scene.windows()) == 1
    [lost] = [line for line in logs if line["event"] == "source_lost"]
    assert (lost["state"], lost["error"]) == ("failed", str(LOCKED))


def test_reading_goes_on_while_the_queue_hangs_and_every_drop_is_counted() -> None:
    scene = Scene(steady(10, 10.6))
    hangs, reading_is_over = threading.Event(), threading.Event()
    add = scene.queue.add_window

    def hang(window: Window, *, token: int) -> Admitted:
        scene.queue.add_window = add  # type: ignore[method-assign]
        hangs.set()
        assert reading_is_over.wait(30)
        return add(window)

    def on_frame(index: int) -> None:
        if index == 8:
            assert hangs.wait(30)
        if scene.camera.is_over:
            reading_is_over.set()

    scene.queue.add_window = hang  # type: ignore[method-assign]
    scene.camera.on_frame = on_frame

    scene.ingest(backlog_windows=3).run()

    # The one that hung and the three newest came through.
    assert [window.id.seq for window in scene.windows()] == [0, 8, 9, 10]
    assert scene.tombstones() == [*((seq, ScoreStatus.DROPPED) for seq in range(1, 8)), (11, STOPPED)]
    assert (scene.queue.reports[-1].windows, scene.queue.reports[-1].dropped) == (4, 7)
    assert scene.tally.counts() == ReaderCounts(frames=106, windows=4, dropped=7)


def test_frames_and_losses_are_counted_over_all_connections() -> None:
    scene = Scene(steady(10, 1), REFUSED, REFUSED, steady(10, 1), steady(10, 1))

    scene.ingest().run()

    # Each connection broke, the last one at the end of the test; what was refused between is part of one loss.
    assert scene.tally.counts() == ReaderCounts(frames=30, windows=3, losses=2)


def test_the_status_of_a_camera_says_what_it_does_and_why_not() -> None:
    scene = Scene(steady(10, 1), LOCKED, steady(10, 1))

    scene.ingest().run()

    last = scene.queue.reports[-1]
    assert last.live
    assert last.state is SourceState.RUNNING
    assert last.windows == 2
    assert last.lag_s == 0.0
    assert (last.idle, last.decoded_share) == (None, 1.0)


def test_the_status_of_a_camera_says_whether_it_is_decoded() -> None:
    scene = Scene(steady(10, 10))
    scene.camera.idling = Idling(IdleState.IDLE, 0)

    def take_for_still(index: int) -> None:
        scene.camera.idling = Idling(IdleState.IDLE, index // 2)

    scene.camera.on_frame = take_for_still

    scene.ingest().run()

    last = scene.queue.reports[-1]
    assert last.idle is IdleState.IDLE
    assert last.decoded_share == pytest.approx(0.5, abs=0.02)
    assert scene.tally.counts().still == 50


def test_a_camera_that_another_worker_has_taken_over_is_left_to_it() -> None:
    scene = Scene(steady(10, 5))

    def take_over(index: int) -> None:
        if index == 20:
            assert scene.queue.has_begun.wait(30)
            scene.queue.begin_epoch("yard", "theirs", live=True, token=1)

    scene.camera.on_frame = take_over

    with pytest.raises(StaleOwner, match="yard"):
        scene.ingest().run()

    assert not scene.queue.epoch_ended("yard")


def test_who_looks_at_a_camera_sees_its_latest_picture() -> None:
    scene = Scene(steady(10, 4))
    scene.queue.watch_pictures(["yard"], ttl_s=600)

    def wait_for_the_other_thread(index: int) -> None:
        if index in (1, 20):  # a report is due in between
            wait_until(lambda: len(scene.queue.reports) > index // 20)
        if index == 39:
            wait_until(lambda: len(scene.queue.pictures) > 0)

    scene.camera.on_frame = wait_for_the_other_thread
    scene.ingest().run()

    assert scene.queue.pictures[0].jpeg.endswith(b" at 480")
    assert scene.queue.pictures[0].captured_at > 1_000_000
