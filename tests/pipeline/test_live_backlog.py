from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from xclip_stream.errors import QueueUnavailable, StaleOwner
from xclip_stream.motion_gate import MotionGate
from xclip_stream.pipeline.assembling import WindowSettings
from xclip_stream.pipeline.live_backlog import MAX_TOMBSTONES, Backlog, LiveEpochs
from xclip_stream.protocols import Admission, Admitted
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.thinning import Thinning
from xclip_stream.types import Frame, ScoreStatus, Window, WindowId
from xclip_stream.windowing import Cut

SETTINGS = WindowSettings(num_frames=1, span_s=1.0, stride_s=1.0, regions=("",))
DROPPED, LOST = ScoreStatus.DROPPED, ScoreStatus.SOURCE_LOST
ENDED, STOPPED = ScoreStatus.SOURCE_ENDED, ScoreStatus.SOURCE_STOPPED


class Yard:
    """A camera's backlog before a queue in memory that can fail and forget."""

    def __init__(self, *, live_windows: int = 1000, capacity: int = 3, idle: str = "off", max_step: int = 1) -> None:
        self.clock = FakeClock()
        self.is_down = False
        self.has_memory = True
        self.older: Admitted | None = None
        self.queue = FailingQueue(self, QueueLimits(live_windows=live_windows))
        self.epochs = LiveEpochs(lease="lease", number=SimpleNamespace(value=0))
        self.backlog = Backlog(
            source_id="yard",
            queue=self.queue,
            epochs=self.epochs,
            settings=SETTINGS,
            capacity=capacity,
            clock=self.clock,
            log=structlog.get_logger(),
            gate=MotionGate(mode=idle, refresh_s=30.0),
            thinning=Thinning(max_step=max_step, calm_s=20.0),
        )

    def show(self, *levels: int) -> None:
        """Let a window of one grey level come each second, and one chance to send after each."""
        for level in levels:
            second = round(self.clock.monotonic())
            frame = Frame(second, float(second), 1000.0 + second, np.full((1, 8, 8, 3), level, np.uint8))
            self.backlog.add_window(Cut(second, (frame,)))
            self.clock.advance(1.0)
            self.backlog.pump()

    def score(self) -> list[float]:
        """Score what is in the queue, and return the seconds of the windows."""
        taken = self.queue.take_windows(max_count=10_000, block_s=0)
        for each in taken:
            self.queue.bury_window(each, reason="done")
        return [each.window.last_pts_s for each in taken]

    def see(self, *seconds: int) -> None:
        """Let a window come for each second, and one chance to send after each."""
        for second in seconds:
            frame = Frame(second, float(second), 1000.0 + second, np.full((1, 2, 2, 3), second % 256, np.uint8))
            self.backlog.add_window(Cut(second, (frame,)))
            self.clock.advance(1.0)
            self.backlog.pump()

    def see_at(self, second: int, *, captured_at: float) -> None:
        """Let one window come whose event time is not what it should be."""
        frame = Frame(second, float(second), captured_at, np.zeros((1, 2, 2, 3), np.uint8))
        self.backlog.add_window(Cut(0, (frame,)))
        self.backlog.pump()

    def windows(self) -> list[tuple[int, float]]:
        """Take the windows from the queue, as `(seq, second)`."""
        taken = self.queue.take_windows(max_count=10_000, block_s=0)
        return [(entry.window.id.seq, entry.window.last_pts_s) for entry in taken]

    def unchanged(self) -> list[tuple[int, int | None]]:
        """Return the windows that were not sent, each with the one that stands for it."""
        token = self.queue.acquire_alert(ttl_s=1000)
        assert token is not None
        taken = self.queue.take_scores(token, max_count=10_000, block_s=0)
        scores = [entry.scores for entry in taken if entry.scores.status is ScoreStatus.UNCHANGED]
        return [(each.id.seq, each.same_as) for each in scores]

    def tombstones(self) -> list[tuple[int, ScoreStatus]]:
        token = self.queue.acquire_alert(ttl_s=1000)
        assert token is not None
        taken = self.queue.take_scores(token, max_count=10_000, block_s=0)
        return [(entry.scores.id.seq, entry.scores.status) for entry in taken]


class FailingQueue(MemoryQueue):
    def __init__(self, yard: Yard, limits: QueueLimits) -> None:
        super().__init__(clock=yard.clock, limits=limits)
        self.yard = yard

    def begin_epoch(self, source_id: str, epoch: str, *, live: bool, token: int = 0) -> int:
        self.fail_when_down()
        return super().begin_epoch(source_id, epoch, live=live, token=token)

    def add_window(self, window: Window, *, token: int = 0) -> Admitted:
        self.fail_when_down()
        if not self.yard.has_memory:
            return Admitted(Admission.FULL, window.id.seq)
        return super().add_window(window, token=token)

    def add_tombstone(self, window_id: WindowId, **details: Any) -> Admitted:
        self.fail_when_down()
        if not (self.yard.has_memory or details["status"].ends_epoch):
            return Admitted(Admission.FULL, window_id.seq)
        return super().add_tombstone(window_id, **details)

    def add_unchanged(self, window_id: WindowId, **details: Any) -> Admitted:
        self.fail_when_down()
        return super().add_unchanged(window_id, **details)

    def fail_when_down(self) -> None:
        if self.yard.is_down:
            raise QueueUnavailable("down")


def test_windows_are_sent_in_order_as_they_come() -> None:
    yard = Yard()

    yard.see(0, 1, 2)

    assert yard.windows() == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert (yard.backlog.sent, yard.backlog.dropped) == (3, 0)


def test_a_full_queue_costs_the_oldest_windows_and_each_leaves_a_tombstone() -> None:
    yard = Yard(live_windows=2, capacity=3)

    yard.see(*range(10))

    assert yard.windows() == [(0, 0.0), (1, 1.0)]
    assert yard.tombstones() == [(seq, DROPPED) for seq in range(2, 9)]
    assert yard.backlog.dropped == 7


def test_a_queue_that_is_full_for_a_moment_costs_nothing() -> None:
    yard = Yard(live_windows=2, capacity=3)
    yard.see(0, 1, 2)
    for taken in yard.queue.take_windows(max_count=2, block_s=0):
        yard.queue.bury_window(taken, reason="done")

    yard.see(3)

    assert yard.windows() == [(2, 2.0), (3, 3.0)]
    assert yard.backlog.dropped == 0


def test_of_a_queue_that_is_full_again_and_again_the_backlog_keeps_the_newest_window() -> None:
    yard = Yard(live_windows=1, capacity=3)
    seen = []
    for second in range(20):
        yard.see(second)
        if second % 2:
            [taken] = yard.queue.take_windows(max_count=1, block_s=0)
            yard.queue.bury_window(taken, reason="done")
            seen.append(second - taken.window.last_pts_s)

    assert max(seen[3:]) <= 2.0


def test_event_time_that_goes_back_begins_a_new_epoch() -> None:
    yard = Yard()
    yard.see(0, 1)

    yard.see_at(2, captured_at=500.0)
    yard.see_at(3, captured_at=501.0)

    taken = [entry.window for entry in yard.queue.take_windows(max_count=10, block_s=0)]
    assert [(window.id.epoch, window.id.seq, window.captured_at) for window in taken] == [
        ("lease-0", 0, 1000.0),
        ("lease-0", 1, 1001.0),
        ("lease-1", 0, 500.0),
        ("lease-1", 1, 501.0),
    ]
    assert yard.tombstones() == [(2, ENDED)]


def test_a_new_epoch_survives_an_outage_of_the_queue_at_its_beginning() -> None:
    yard = Yard()
    yard.see(0)
    yard.is_down = True
    yard.see_at(1, captured_at=500.0)
    yard.is_down = False

    yard.clock.advance(60)
    yard.backlog.pump()

    assert yard.windows() == [(0, 0.0), (0, 1.0)]
    assert yard.epochs.current() == "lease-1"


def test_what_is_left_in_the_backlog_is_sent_when_there_is_room_again() -> None:
    yard = Yard(live_windows=1, capacity=3)
    yard.see(*range(6))
    for taken in yard.queue.take_windows(max_count=1, block_s=0):
        yard.queue.bury_window(taken, reason="done")

    yard.see(6)

    assert yard.windows() == [(6, 6.0)]
    assert yard.tombstones()[-1] == (5, DROPPED)


def test_a_short_outage_of_the_queue_is_bridged_and_a_longer_one_is_dropped_and_counted() -> None:
    yard = Yard(capacity=3)
    yard.see(0)
    yard.is_down = True
    yard.see(1, 2, 3, 4, 5)
    yard.is_down = False

    yard.clock.advance(60)
    yard.backlog.pump()

    assert yard.windows() == [(0, 0.0), (3, 3.0), (4, 4.0), (5, 5.0)]
    assert yard.tombstones() == [(1, DROPPED), (2, DROPPED)]
    assert yard.backlog.dropped == 2


def test_after_a_very_long_outage_a_new_epoch_begins_with_what_is_left() -> None:
    yard = Yard(capacity=3)
    yard.see(0)
    yard.is_down = True
    yard.see(*range(1, MAX_TOMBSTONES + 10))
    yard.is_down = False

    yard.clock.advance(60)
    yard.backlog.pump()

    first, *rest = yard.queue.take_windows(max_count=1000, block_s=0)
    newest = range(MAX_TOMBSTONES + 7, MAX_TOMBSTONES + 10)
    assert first.window.id.epoch == "lease-0"
    assert {taken.window.id.epoch for taken in rest} == {yard.epochs.current()} != {"lease-0"}
    assert [taken.window.last_pts_s for taken in rest] == list(newest)
    assert yard.tombstones()[0] == (1, ENDED)
    assert yard.backlog.dropped == MAX_TOMBSTONES + 6


def test_a_lost_reply_does_not_send_a_window_twice() -> None:
    yard = Yard()
    yard.see(0)
    add = yard.queue.add_window

    def add_and_lose_the_reply(window: Window, *, token: int) -> Admitted:
        add(window, token=token)
        yard.queue.add_window = add  # type: ignore[method-assign]
        raise QueueUnavailable("no reply")

    yard.queue.add_window = add_and_lose_the_reply  # type: ignore[method-assign]
    yard.see(1)
    yard.clock.advance(60)
    yard.see(2)

    assert yard.windows() == [(0, 0.0), (1, 1.0), (2, 2.0)]


@pytest.mark.parametrize("forgotten", [1, 5, 5 + MAX_TOMBSTONES])
def test_a_queue_that_came_back_older_is_filled_up_or_begun_anew(forgotten: int) -> None:
    yard = Yard()
    yard.see(*range(110))
    yard.windows()
    record = yard.queue._store.sources["yard"]
    record.next_seq -= forgotten

    yard.see(500)

    if forgotten <= MAX_TOMBSTONES:
        assert yard.windows() == [(110, 500.0)]
        assert yard.tombstones() == [(110 - forgotten + i, DROPPED) for i in range(forgotten)]
    else:
        assert yard.windows() == [(0, 500.0)]
        assert yard.tombstones() == [(110 - forgotten, ENDED)]


def test_a_resumed_epoch_goes_on_where_the_queue_is() -> None:
    yard = Yard()
    yard.see(0, 1)
    after = Yard()
    after.queue._store = yard.queue._store

    after.see(2)

    assert after.windows() == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_a_lost_camera_takes_a_seq() -> None:
    yard = Yard()
    yard.see(0)

    yard.backlog.add_lost(pts_s=0.0, captured_at=1000.0)
    yard.see(1)

    assert yard.windows() == [(0, 0.0), (2, 1.0)]
    assert yard.tombstones() == [(1, LOST)]


def test_the_end_closes_the_epoch_and_drops_what_the_queue_does_not_take() -> None:
    yard = Yard(live_windows=1, capacity=3)
    yard.see(0, 1, 2)

    yard.backlog.finish(pts_s=2.0, captured_at=1002.0)

    assert yard.windows() == [(0, 0.0)]
    assert yard.tombstones() == [(1, DROPPED), (2, DROPPED), (3, STOPPED)]
    assert yard.queue.epoch_ended("yard")


def test_the_end_is_not_held_up_by_a_queue_that_is_down() -> None:
    yard = Yard()
    yard.see(0)
    yard.is_down = True
    yard.see(1)

    yard.backlog.finish(pts_s=1.0, captured_at=1001.0)

    assert yard.windows() == [(0, 0.0)]


def test_a_camera_that_another_worker_has_taken_over_is_left_to_it() -> None:
    yard = Yard()
    yard.see(0)
    yard.queue.begin_epoch("yard", "theirs", live=True, token=1)

    with pytest.raises(StaleOwner, match="yard"):
        yard.see(1)


def test_an_answer_that_nobody_waits_for_is_a_window_that_is_tried_again_soon() -> None:
    yard = Yard(live_windows=1)
    yard.see(0)
    yard.backlog.add_window(Cut(0, (Frame(1, 1.0, 1001.0, np.zeros((1, 2, 2, 3), np.uint8)),)))
    answers = []
    add = yard.queue.add_window
    yard.queue.add_window = lambda window, token: (answers.append(add(window)), answers[-1])[1]  # type: ignore[method-assign]

    yard.clock.advance(1.0)
    for _ in range(10):
        yard.backlog.pump()

    assert [answer.answer for answer in answers] == [Admission.FULL]


class TestAServerWithoutMemory:
    """Nobody takes the scores there, and it refuses tombstones too."""

    def test_tombstones_wait_for_a_while_and_are_told_then(self) -> None:
        yard = Yard()
        yard.see(0, 1)
        yard.has_memory = False
        yard.see(*range(2, 40))

        assert yard.tombstones() == []
        yard.has_memory = True
        yard.see(40)
        assert yard.tombstones() == [(seq, DROPPED) for seq in range(2, 40)]
        assert yard.windows() == [(0, 0.0), (1, 1.0), (40, 40.0)]
        assert yard.backlog.dropped == 38

    def test_in_the_long_run_it_is_given_the_end_of_one_epoch_and_nothing_more(self) -> None:
        yard = Yard()
        yard.see(0, 1)
        yard.has_memory = False
        yard.see(*range(2, 10 * MAX_TOMBSTONES))

        assert yard.tombstones() == [(2, ENDED)]
        assert yard.backlog.dropped == 10 * MAX_TOMBSTONES - 3
        yard.has_memory = True
        yard.see(10 * MAX_TOMBSTONES)
        assert yard.epochs.current() == "lease-1"
        _, *of_new_epoch = yard.tombstones()
        assert yard.windows()[-1] == (len(of_new_epoch), 10.0 * MAX_TOMBSTONES)

    def test_the_end_of_the_camera_is_told_without_what_waits(self) -> None:
        yard = Yard()
        yard.see(0, 1)
        yard.has_memory = False
        yard.see(2, 3, 4, 5, 6)
        yard.backlog.finish(pts_s=6.0, captured_at=1006.0)

        assert yard.tombstones() == [(2, STOPPED)]
        assert yard.backlog.dropped == 5


class TestWhereNothingMoves:
    def test_a_window_is_scored_once_and_stands_for_those_that_show_the_same(self) -> None:
        yard = idle_yard()

        yard.show(10, 10, 10, 200, 200)

        assert [seq for seq, _ in yard.windows()] == [0, 3]
        assert yard.unchanged() == [(1, 0), (2, 0), (4, 3)]
        assert (yard.backlog.sent, yard.backlog.unchanged, yard.backlog.dropped) == (5, 3, 0)

    def test_what_shows_nothing_new_passes_a_full_queue(self) -> None:
        yard = idle_yard(live_windows=1)

        yard.show(10, 10, 10)

        assert yard.unchanged() == [(1, 0), (2, 0)]

    def test_a_window_that_was_dropped_stands_for_none(self) -> None:
        yard = idle_yard(live_windows=1, capacity=1)
        yard.show(10, 100, 200, 200)
        for taken in yard.queue.take_windows(max_count=1, block_s=0):
            yard.queue.bury_window(taken, reason="done")

        yard.show(200, 200)

        assert [seq for seq, _ in yard.windows()] == [4]
        assert yard.unchanged() == [(5, 4)]

    def test_the_first_window_of_a_connection_is_scored(self) -> None:
        yard = idle_yard()
        yard.show(10, 10)
        yard.backlog.note_connection()

        yard.show(10, 10)

        assert [seq for seq, _ in yard.windows()] == [0, 2]
        assert yard.unchanged() == [(1, 0), (3, 2)]

    def test_a_window_whose_scores_are_missed_stands_for_no_other(self) -> None:
        yard = idle_yard()
        yard.show(10, 10)

        for wish in (WindowId("yard", "lease-0", 5), WindowId("yard", "another", 0), None):
            yard.backlog.note_wish(wish)
            yard.show(10)
        yard.backlog.note_wish(WindowId("yard", "lease-0", 0))
        yard.show(10, 10)

        assert yard.unchanged() == [(1, 0), (2, 0), (3, 0), (4, 0), (6, 5)]

    def test_event_time_that_goes_back_begins_an_epoch_with_a_window_that_is_scored(self) -> None:
        yard = idle_yard()
        yard.show(10, 10)

        yard.see_at(2, captured_at=500.0)

        assert [seq for seq, _ in yard.windows()] == [0, 0]

    def test_what_the_queue_has_forgotten_stands_for_none(self) -> None:
        yard = idle_yard()
        yard.show(10, 10)
        yard.windows()
        yard.queue._store.sources["yard"].next_seq -= 1

        yard.show(10, 10)

        assert [seq for seq, _ in yard.windows()] == [2]
        assert yard.unchanged() == [(1, 0), (3, 2)]

    def test_an_outage_costs_no_more_than_without(self) -> None:
        yard = idle_yard()
        yard.show(10)
        yard.is_down = True
        yard.show(10, 10)
        yard.is_down = False

        yard.clock.advance(60)
        yard.backlog.pump()

        assert yard.unchanged() == [(1, 0), (2, 0)]
        assert (yard.backlog.sent, yard.backlog.unchanged) == (3, 2)

    def test_a_lost_reply_does_not_count_a_window_twice(self) -> None:
        yard = idle_yard()
        yard.show(10)
        add = yard.queue.add_unchanged

        def add_and_lose_the_reply(window_id: WindowId, **details: Any) -> Admitted:
            add(window_id, **details)
            yard.queue.add_unchanged = add  # type: ignore[method-assign]
            raise QueueUnavailable("no reply")

        yard.queue.add_unchanged = add_and_lose_the_reply  # type: ignore[method-assign]
        yard.show(10)
        yard.clock.advance(20)
        yard.backlog.pump()

        assert yard.unchanged() == [(1, 0)]
        assert (yard.backlog.sent, yard.backlog.unchanged) == (2, 1)


class TestUnderOverload:
    def test_windows_are_thinned_out_evenly_and_come_back_when_there_is_room(self) -> None:
        yard = Yard(live_windows=1, max_step=4)

        scored = list[float]()
        with capture_logs() as logs:
            for second in range(400):
                yard.see(second)
                scored += yard.score() if second % 8 == 0 else []
        assert yard.backlog.window_step == 4
        thinned = [log for log in logs if log["event"] == "windows_thinned"]
        assert [(log["log_level"], log["one_in"]) for log in thinned[:2]] == [("warning", 2), ("warning", 4)]
        assert all(second % 4 == 0 for second in scored[-8:])
        assert yard.backlog.dropped < 200

        with capture_logs() as logs:
            for second in range(400, 600):
                yard.see(second)
                scored += yard.score()
        assert yard.backlog.window_step == 1
        thinned = [log for log in logs if log["event"] == "windows_thinned"]
        assert [(log["log_level"], log["one_in"]) for log in thinned] == [("info", 2), ("info", 1)]
        assert scored[-10:] == [float(second) for second in range(590, 600)]

    def test_what_is_thinned_out_leaves_no_hole(self) -> None:
        yard = Yard(live_windows=1, max_step=4)
        for second in range(300):
            yard.see(second)
            if second % 5 == 0:
                yard.score()
        yard.score()

        told = sorted(seq for seq, _ in yard.tombstones())
        assert told == list(range(len(told)))
        assert len(told) < 200

    def test_an_outage_of_the_queue_thins_out_nothing(self) -> None:
        yard = Yard(capacity=3, max_step=4)
        yard.see(0)
        yard.is_down = True

        yard.see(*range(1, 90))

        assert (yard.backlog.window_step, yard.backlog.dropped) == (1, 86)

    def test_what_shows_nothing_new_is_not_thinned_out(self) -> None:
        yard = Yard(live_windows=1, idle="conservative", max_step=4)
        yard.see(*range(0, 2000, 20))
        for _ in range(12):
            yard.show(200)
            yard.score()
        unchanged = yard.backlog.unchanged

        yard.show(*[200] * 8)

        assert (yard.backlog.window_step, yard.backlog.unchanged - unchanged) == (4, 8)


def idle_yard(*, live_windows: int = 1000, capacity: int = 3) -> Yard:
    return Yard(live_windows=live_windows, capacity=capacity, idle="conservative")
