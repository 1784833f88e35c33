"""Workers that share sources: real reader processes, a queue in memory, and a clock that the test moves."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from tests.fakes import FakeClock
from tests.readers import Told, act_as_told
from xclip_stream.errors import QueueUnavailable
from xclip_stream.pipeline.reader_process import Outcome
from xclip_stream.pipeline.readers import Readers
from xclip_stream.pipeline.shared_reading import MEETS_IN_A_LEASE, SharedReading, Task
from xclip_stream.protocols import IngestTeam
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.types import ScoreStatus, WindowId

LEASE_S = 8.0
ROUND_S = LEASE_S / MEETS_IN_A_LEASE


class AwayQueue(MemoryQueue):
    """A queue that can be out of reach of one worker."""

    is_away = False
    loses_leases = False

    def join_ingest(self, source_ids: Sequence[str], *, ttl_s: float) -> IngestTeam:
        if self.is_away:
            raise QueueUnavailable("away")
        if self.loses_leases:
            self._store.leases.clear()
        return super().join_ingest(source_ids, ttl_s=ttl_s)

    def renew_source(self, source_id: str, token: int, *, ttl_s: float) -> None:
        if self.is_away:
            raise QueueUnavailable("away")
        super().renew_source(source_id, token, ttl_s=ttl_s)


class Worker:
    def __init__(self, name: str, hall: "Hall") -> None:
        self.told: list[tuple[str, Outcome]] = []
        self.queue = AwayQueue(hall.queue._store, consumer=name)
        self.readers: Readers[Told] = Readers(read=act_as_told, preload=["tests.readers"], log=structlog.get_logger())
        self.reading = SharedReading(
            queue=self.queue,
            readers=self.readers,
            clock=hall.clock,
            log=structlog.get_logger(),
            lease_s=LEASE_S,
            is_dead=lambda worker: worker in hall.known_dead,
            on_outcome=lambda source_id, outcome: self.told.append((source_id, outcome)),
        )

    @property
    def reads(self) -> list[str]:
        return sorted(self.readers.names)


class Hall:
    """Where workers meet. Time passes only in `play`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.queue = MemoryQueue(clock=self.clock)
        self.known_dead: set[str] = set()
        self.workers: list[Worker] = []

    def task(self, what: str, name: str = "", *, live: bool = False) -> Task[Told]:
        name = name or what
        return Task(source_id=name, order=Told(what, self.folder / name), live=live, silence_s=60.0)

    def cameras(self, *names: str) -> list[Task[Told]]:
        return [self.task("read on", name, live=True) for name in names]

    def worker(self, name: str, tasks: Sequence[Task[Told]]) -> Worker:
        worker = Worker(name, self)
        worker.reading.assign(tasks)
        self.workers.append(worker)
        return worker

    def play(self, *, for_s: float = 0.0) -> None:
        """Let so much time pass, in which every worker looks at the others again and again."""
        until = self.clock.monotonic() + for_s
        while True:
            for worker in self.workers:
                worker.reading.step()
            if self.clock.monotonic() >= until:
                return
            self.clock.advance(ROUND_S / 2)

    def play_until(self, condition: Callable[[], bool]) -> None:
        """Let the reader processes come along, while little time passes."""
        tick = threading.Event()
        while not condition():
            self.play()
            self.clock.advance(0.1)
            tick.wait(0.02)

    def pids(self, name: str) -> list[int]:
        diary = self.folder / name
        return [int(line.split()[0]) for line in diary.read_text().splitlines()] if diary.exists() else []

    def has_begun(self, *names: str) -> bool:
        return all(self.pids(name) for name in names)

    def tokens(self, name: str) -> list[int]:
        return Told("", self.folder / name).tokens

    def close(self) -> None:
        for worker in self.workers:
            for name in worker.readers.names:
                worker.readers.kill(name)


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(tmp_path)
    yield hall
    hall.close()


def test_a_worker_that_is_alone_reads_everything_at_once(hall: Hall) -> None:
    worker = hall.worker("one", [hall.task("finish"), hall.task("reject"), hall.task("crash once")])

    worker.reading.run(lambda: len(worker.reading.outcomes) == 3)

    assert worker.reading.outcomes == {
        "finish": Outcome.DONE,
        "reject": Outcome.REJECTED,
        "crash once": Outcome.DONE,
    }
    assert sorted(worker.told) == sorted(worker.reading.outcomes.items())
    assert hall.queue.join_ingest(["finish"], ttl_s=1) == IngestTeam(frozenset(), frozenset({"finish"}))


def test_a_stop_ends_the_readers_and_frees_their_sources(hall: Hall) -> None:
    worker = hall.worker("one", hall.cameras("a"))
    worker.reading.run(lambda: hall.has_begun("a"))

    assert worker.reads == []
    assert worker.reading.outcomes == {}
    assert not Path(f"/proc/{hall.pids('a')[0]}").exists()
    assert hall.queue.join_ingest(["a"], ttl_s=1) == IngestTeam(frozenset(), frozenset({"a"}))


def test_a_newcomer_gets_its_share_and_no_source_is_read_by_two(hall: Hall) -> None:
    cameras = hall.cameras("a", "b", "c", "d")
    one = hall.worker("one", cameras)
    hall.play_until(lambda: hall.has_begun("a", "b", "c", "d"))

    two = hall.worker("two", cameras)
    hall.play(for_s=2 * LEASE_S)
    hall.play_until(lambda: len(two.reads) == 2)

    assert one.reads == ["a", "b"]
    assert two.reads == ["c", "d"]
    before = [hall.pids(name) for name in "ab"]
    hall.play(for_s=10 * LEASE_S)
    assert [hall.pids(name) for name in "ab"] == before
    assert two.reads == ["c", "d"]


def test_the_sources_of_a_worker_that_fell_silent_are_read_by_another_after_a_lease(hall: Hall) -> None:
    one = hall.worker("one", hall.cameras("a", "b"))
    hall.play()
    hall.workers.remove(one)
    two = hall.worker("two", hall.cameras("a", "b"))

    hall.play(for_s=LEASE_S - ROUND_S)
    assert two.reads == []

    hall.play(for_s=2 * ROUND_S)
    assert two.reads == ["a", "b"]
    hall.workers.append(one)


def test_nobody_waits_for_a_worker_that_is_known_to_be_dead(hall: Hall) -> None:
    one = hall.worker("one", hall.cameras("a", "b"))
    hall.play()
    hall.workers.remove(one)
    hall.known_dead.add("one")
    two = hall.worker("two", hall.cameras("a", "b"))

    hall.play()

    assert two.reads == ["a", "b"]
    hall.workers.append(one)


def test_a_worker_that_wakes_up_late_ends_the_readers_of_what_others_have_taken(hall: Hall) -> None:
    sleeper = hall.worker("sleeper", hall.cameras("a"))
    hall.play_until(lambda: hall.has_begun("a"))
    (old,) = hall.pids("a")
    hall.workers.remove(sleeper)
    other = hall.worker("other", hall.cameras("a"))
    hall.play(for_s=2 * LEASE_S)
    assert other.reads == ["a"]

    sleeper.reading.step()

    assert sleeper.reads == []
    assert not Path(f"/proc/{old}").exists()
    hall.workers.append(sleeper)


def test_an_outage_of_the_queue_ends_no_reader_and_a_lease_that_ran_out_is_taken_again(hall: Hall) -> None:
    worker = hall.worker("one", hall.cameras("a"))
    hall.play_until(lambda: hall.has_begun("a"))
    worker.queue.is_away = True
    hall.play(for_s=3 * LEASE_S)
    hall.queue._store.leases.clear()
    hall.queue._store.ingest_team.clear()
    worker.queue.is_away = False
    hall.play(for_s=2 * LEASE_S)

    assert worker.reads == ["a"]
    assert len(hall.pids("a")) == 1
    assert hall.queue.consumer("other").acquire_source("a", ttl_s=1) is None


def test_a_lease_that_runs_out_while_the_worker_looks_around_starts_no_second_reader(hall: Hall) -> None:
    worker = hall.worker("one", hall.cameras("a"))
    hall.play_until(lambda: hall.has_begun("a"))
    worker.queue.loses_leases = True
    hall.play(for_s=2 * LEASE_S)
    worker.queue.loses_leases = False
    hall.play(for_s=ROUND_S)

    assert len(hall.pids("a")) == 1
    assert worker.reads == ["a"]
    assert hall.queue.consumer("other").acquire_source("a", ttl_s=1) is None


def test_two_workers_come_out_of_an_outage_with_what_they_had(hall: Hall) -> None:
    cameras = hall.cameras("a", "b")
    one, two = hall.worker("one", cameras), hall.worker("two", cameras)
    hall.play(for_s=3 * LEASE_S)
    hall.play_until(lambda: one.reads == ["a"] and two.reads == ["b"])
    hall.play_until(lambda: hall.has_begun("a", "b"))
    before = {name: hall.pids(name)[-1] for name in "ab"}
    for worker in hall.workers:
        worker.queue.is_away = True
    hall.play(for_s=3 * LEASE_S)

    two.queue.is_away = False
    hall.play(for_s=LEASE_S / 2)
    one.queue.is_away = False
    hall.play(for_s=3 * LEASE_S)

    assert (one.reads, two.reads) == (["a"], ["b"])
    assert {name: hall.pids(name)[-1] for name in "ab"} == before


def test_a_reader_that_was_refused_is_started_again_under_a_newer_token(hall: Hall) -> None:
    hall.worker("one", [hall.task("be taken over once", live=True)])

    hall.play_until(lambda: len(hall.tokens("be taken over once")) == 2)

    first, second = hall.tokens("be taken over once")
    assert second > first


def test_a_new_configuration_starts_stops_and_restarts_what_it_changes_and_leaves_the_rest_alone(hall: Hall) -> None:
    worker = hall.worker("one", [*hall.cameras("same", "gone"), hall.task("read on", "changed")])
    hall.play_until(lambda: hall.has_begun("same", "gone", "changed"))

    changed = Task(source_id="changed", order=Told("finish", hall.folder / "changed"), live=False, silence_s=60.0)
    worker.reading.assign([*hall.cameras("same", "new"), changed])
    hall.play_until(lambda: "changed" in worker.reading.outcomes and hall.has_begun("new"))

    assert len(hall.pids("same")) == 1
    assert len(hall.pids("changed")) == 2
    assert worker.reading.outcomes == {"changed": Outcome.DONE}
    assert worker.reads == ["new", "same"]
    assert not Path(f"/proc/{hall.pids('gone')[0]}").exists()


@pytest.mark.parametrize("live", [False, True])
def test_what_a_removed_source_has_open_is_closed(hall: Hall, live: bool) -> None:
    worker = hall.worker("one", [*hall.cameras("stays"), hall.task("read on", "gone", live=live)])
    hall.play_until(lambda: hall.has_begun("gone"))
    (token,) = hall.tokens("gone")
    hall.queue.begin_epoch("gone", "e1", live=live, token=token)

    worker.reading.assign(hall.cameras("stays"))
    hall.play_until(lambda: hall.queue.epoch_ended("gone"))

    alert = hall.queue.acquire_alert(ttl_s=1000) or 0
    taken = [entry.scores for entry in hall.queue.take_scores(alert, max_count=9, block_s=0)]
    assert taken[0].id.epoch == "e1"
    assert {scores.status for scores in taken} == {ScoreStatus.SOURCE_ENDED}
    assert worker.reads == ["stays"]


def test_a_removed_source_is_closed_by_whoever_learns_of_it_when_nobody_reads_it(hall: Hall) -> None:
    hall.queue.begin_epoch("gone", "e1", live=True, token=1)
    worker = hall.worker("one", hall.cameras("stays", "gone"))
    worker.reading.assign(hall.cameras("stays"))
    hall.play()

    assert hall.queue.epoch_ended("gone")


def test_a_source_that_was_removed_and_comes_back_is_read_again(hall: Hall) -> None:
    worker = hall.worker("one", [*hall.cameras("stays"), hall.task("finish")])
    hall.play_until(lambda: "finish" in worker.reading.outcomes)
    worker.reading.assign(hall.cameras("stays"))
    hall.play()
    worker.reading.assign([*hall.cameras("stays"), hall.task("finish")])

    hall.play_until(lambda: len(hall.pids("finish")) == 2)

    assert len(hall.pids("stays")) == 1


def test_a_file_is_read_again_when_the_queue_came_back_without_its_end(hall: Hall) -> None:
    worker = hall.worker("one", [*hall.cameras("stays"), hall.task("finish")])
    hall.queue.begin_epoch("finish", "e1", live=False, token=1)
    hall.queue.add_tombstone(
        WindowId("finish", "e1", 0), status=ScoreStatus.SOURCE_ENDED, live=False, pts_s=0.0, captured_at=0.0, token=1
    )
    assert hall.queue.epoch_ended("finish")
    hall.play_until(lambda: "finish" in worker.reading.outcomes)
    hall.play(for_s=2 * LEASE_S)
    assert len(hall.pids("finish")) == 1

    hall.queue.forget_source("finish")
    hall.play_until(lambda: len(hall.pids("finish")) == 2)

    assert len(hall.pids("stays")) == 1
