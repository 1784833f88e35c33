"""The ingest worker as users start it: a program, with real files, a real camera and a real Redis."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer
from tests.rtsp import StartCamera, start_camera
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video
from tests.waiting import PATIENCE_S, wait_until
from xclip_stream.errors import QueueUnavailable
from xclip_stream.protocols import SourceState, SourceStatus
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.sources.hwaccel import why_not_usable
from xclip_stream.types import ScoreStatus

__all__ = ["start_camera"]

ROOT = Path(__file__).resolve().parents[2]
Log = list[dict[str, object]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def queue(redis_url: str) -> Iterator[RedisQueue]:
    with closing(open_queue(redis_url, file_windows=1000)) as queue:
        yield queue


class Worker:
    """The worker as a process."""

    def __init__(self, folder: Path, checkpoint: Path, redis_url: str, sources: Sequence[str], stride_s: float) -> None:
        self.config = folder / "config.yaml"
        self._checkpoint = checkpoint
        self.configure(sources, stride_s)
        self._log_file = folder / "log"
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.ingest", "--config", str(self.config)],
                cwd=ROOT,
                env={**os.environ, "XCLIP_STREAM_REDIS_URL": redis_url, "XCLIP_STREAM_LOG": "json"},
                stdout=log,
                stderr=log,
            )

    def configure(self, sources: Sequence[str], stride_s: float = 1.0) -> None:
        text = f"""
version: 1
model: {{checkpoint: "{self._checkpoint}"}}
queue: {{file_windows: 1000, live_windows: 1000}}
ingest: {{lease_s: 2}}
sources:
{"".join(f"  - {{{source}, window: {{span_s: 2, stride_s: {stride_s}}}}}{os.linesep}" for source in sources)}
rules:
  - {{id: any, prompts: [a person], background: [nobody]}}
"""
        if not self.config.exists() or self.config.read_text() != text:
            self.config.write_text(text)

    def text(self) -> str:
        return self._log_file.read_text()

    def log(self, event: str) -> Log:
        lines = [json.loads(line) for line in self.text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def readers(self) -> list[int]:
        """Return the ids of the reader processes: the grandchildren, as the fork server stands between."""
        found = []
        for child in children(self.process.pid):
            found += children(child)
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


StartWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(tmp_path: Path, checkpoint: Path, redis_url: str) -> Iterator[StartWorker]:
    workers = []

    def start(*sources: str, stride_s: float = 1.0) -> Worker:
        workers.append(Worker(tmp_path, checkpoint, redis_url, sources, stride_s))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that ends while one looks
            found += [int(child) for child in task.read_text().split()]
    return found


def read_to_end(worker: Worker, queue: RedisQueue, source_id: str) -> None:
    """Wait until a file is read to its end."""

    def has_ended() -> bool:
        # While Redis is away nobody can tell.
        with suppress(QueueUnavailable):
            return queue.epoch_ended(source_id)
        return False

    wait_until(has_ended, worker.text)


def status(queue: RedisQueue, source_id: str) -> SourceStatus | None:
    return queue.source_statuses().get(source_id)


def is_running(queue: RedisQueue, source_id: str, windows: int = 1) -> bool:
    found = status(queue, source_id)
    return found is not None and found.state is SourceState.RUNNING and found.windows >= windows


def seqs(queue: RedisQueue, source_id: str) -> list[int]:
    taken = queue.take_windows(max_count=10_000, block_s=0)
    return [entry.window.id.seq for entry in taken if entry.window.id.source_id == source_id]


def tombstones(queue: RedisQueue) -> list[ScoreStatus]:
    token = queue.acquire_alert(ttl_s=60)
    assert token is not None
    return [entry.scores.status for entry in queue.take_scores(token, max_count=10_000, block_s=0)]


def test_files_are_read_to_their_end_and_the_worker_stays_for_those_that_are_added(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 4))
    write_video(tmp_path / "b.mp4", steady(5, 6))

    worker = start_worker("id: a, url: ./a.mp4")
    read_to_end(worker, queue, "a")
    worker.configure(["id: a, url: ./a.mp4", "id: b, url: ./b.mp4"])
    read_to_end(worker, queue, "b")

    assert worker.stop() == 0
    assert {name: found.state for name, found in queue.source_statuses().items()} == {
        "a": SourceState.ENDED,
        "b": SourceState.ENDED,
    }
    assert queue.epoch_ended("a")
    assert queue.epoch_ended("b")
    taken = queue.take_windows(max_count=100, block_s=0)
    assert sorted((entry.window.id.source_id, entry.window.id.seq) for entry in taken) == [
        *(("a", seq) for seq in range(3)),
        *(("b", seq) for seq in range(5)),
    ]
    assert taken[0].window.frames.shape == (1, 4, 32, 32, 3)


def test_a_source_is_read_without_the_device_that_is_to_decode_it_and_that_is_told(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 4))

    worker = start_worker("id: a, url: ./a.mp4, hwaccel: cuda")
    read_to_end(worker, queue, "a")

    assert worker.stop() == 0
    assert seqs(queue, "a") == [0, 1, 2]
    reason = why_not_usable("cuda")
    told = [(line["source"], line["hwaccel"], line["reason"]) for line in worker.log("hwaccel_not_used")]
    assert told == ([] if reason is None else [("a", "cuda", reason)])


def test_a_second_run_of_the_same_files_adds_nothing(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 4))
    first = start_worker("id: a, url: ./a.mp4")
    read_to_end(first, queue, "a")
    first.stop()

    again = start_worker("id: a, url: ./a.mp4")
    wait_until(lambda: bool(again.log("source_ended_before")), again.text)

    assert again.stop() == 0
    assert seqs(queue, "a") == [0, 1, 2]


def test_bad_files_are_told_in_one_line_each_and_the_others_are_read(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "good.mp4", steady(5, 4))
    (tmp_path / "text.mp4").write_text("no video\n" * 99)

    worker = start_worker(
        "id: gone, url: ./gone.mp4", "id: good, url: ./good.mp4", "id: text, url: ./text.mp4", "id: dir, url: ./"
    )

    wait_until(lambda: len(worker.log("source_failed")) == 3, worker.text)
    read_to_end(worker, queue, "good")
    assert worker.stop() == 0
    assert seqs(queue, "good") == [0, 1, 2]
    assert len(worker.log("source_failed")) == 3
    assert "Traceback" not in worker.text()
    failed = status(queue, "gone")
    assert failed is not None
    assert failed.state is SourceState.FAILED
    assert failed.error.endswith("gone.mp4: there is no such file")


def test_a_stride_that_the_checkpoint_cannot_do_is_a_wrong_configuration(start_worker: StartWorker) -> None:
    worker = start_worker("id: a, url: ./a.mp4", stride_s=0.75)

    assert worker.process.wait(PATIENCE_S) == 2
    [end] = worker.log("worker_misconfigured")
    assert "source a: window: stride_s 0.75 must be a whole number of frame spacings" in str(end["error"])


def test_a_reader_that_is_killed_is_started_again_and_resumes(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 8))
    worker = start_worker("id: a, url: ./a.mp4, realtime: true")
    wait_until(lambda: is_running(queue, "a", windows=2), worker.text)

    for reader in worker.readers():
        os.kill(reader, signal.SIGKILL)

    read_to_end(worker, queue, "a")
    assert seqs(queue, "a") == list(range(7))
    [restart] = worker.log("reader_restarts")
    assert restart["reason"] == "it died with SIGKILL"


def test_a_file_that_is_stopped_is_resumed_by_the_next_worker(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 6))
    worker = start_worker("id: a, url: ./a.mp4, realtime: true")
    wait_until(lambda: is_running(queue, "a", windows=1), worker.text)

    assert worker.stop() == 0
    assert not queue.epoch_ended("a")
    assert worker.readers() == []

    read_to_end(start_worker("id: a, url: ./a.mp4, realtime: true"), queue, "a")
    assert seqs(queue, "a") == list(range(5))


def test_nothing_of_a_file_is_lost_when_redis_is_killed_and_comes_back(tmp_path: Path, checkpoint: Path) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 6))
    with RedisServer("7") as server, closing(open_queue(server.url)) as queue:
        worker = Worker(tmp_path, checkpoint, server.url, ["id: a, url: ./a.mp4, realtime: true"], 1.0)
        try:
            wait_until(lambda: is_running(queue, "a"), worker.text)
            server.kill()
            wait_until(lambda: bool(worker.log("queue_unavailable")), worker.text)
            server.start()

            read_to_end(worker, queue, "a")
        finally:
            worker.process.kill()
            worker.process.wait()

        assert seqs(queue, "a") == list(range(5))
        assert "Traceback" not in worker.text()


def test_readers_stop_by_themselves_when_their_worker_is_killed(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 600), options={"preset": "ultrafast", "g": "100", "bf": "0"})
    worker = start_worker("id: a, url: ./a.mp4, realtime: true")
    wait_until(lambda: is_running(queue, "a"), worker.text)
    readers = worker.readers()

    worker.process.kill()

    assert readers
    wait_until(lambda: not any(Path(f"/proc/{reader}").exists() for reader in readers), worker.text)


def test_a_camera_is_read_until_the_stop_and_its_epoch_is_closed(
    tmp_path: Path, start_worker: StartWorker, start_camera: StartCamera, queue: RedisQueue
) -> None:
    camera = start_camera(write_video(tmp_path / "clip.mp4", steady(10, 2)))
    worker = start_worker(f"id: yard, url: '{camera.url()}'")
    wait_until(lambda: is_running(queue, "yard", windows=1), worker.text)

    assert worker.stop() == 0
    assert queue.epoch_ended("yard")
    assert tombstones(queue)[-1] is ScoreStatus.SOURCE_STOPPED
    found = queue.take_windows(max_count=1, block_s=0)[0].window
    assert found.live
    assert abs(found.captured_at - time.time()) < PATIENCE_S


def test_a_camera_that_dies_is_lost_once_and_found_again_in_the_same_epoch(
    tmp_path: Path, start_worker: StartWorker, start_camera: StartCamera, queue: RedisQueue
) -> None:
    camera = start_camera(write_video(tmp_path / "clip.mp4", steady(10, 2)))
    worker = start_worker(f"id: yard, url: '{camera.url()}', read_timeout_s: 1")
    wait_until(lambda: is_running(queue, "yard"), worker.text)

    camera.kill()
    wait_until(lambda: tombstones(queue) == [ScoreStatus.SOURCE_LOST], worker.text)
    before = status(queue, "yard")
    camera.start()
    wait_until(lambda: is_running(queue, "yard", windows=(before.windows if before else 0) + 1), worker.text)

    windows = [entry.window for entry in queue.take_windows(max_count=100, block_s=0)]
    assert len({window.id.epoch for window in windows}) == 1
    assert [window.captured_at for window in windows] == sorted(window.captured_at for window in windows)
    assert [window.first_pts_s for window in windows] == sorted(window.first_pts_s for window in windows)
    assert len(worker.log("source_lost")) == 1
    assert worker.stop() == 0


def test_a_wrong_password_is_told_once_and_never_shown_and_stops_no_other_source(
    tmp_path: Path, start_worker: StartWorker, start_camera: StartCamera, queue: RedisQueue
) -> None:
    clip = write_video(tmp_path / "clip.mp4", steady(10, 4))
    camera = start_camera(clip, user="viewer", password="right-horse")
    locked = camera.url("viewer:hunter2x")
    worker = start_worker(f"id: locked, url: '{locked}'", "id: film, url: ./clip.mp4")

    wait_until(lambda: queue.epoch_ended("film"), worker.text)
    wait_until(lambda: (found := status(queue, "locked")) is not None and found.error != "", worker.text)

    found = status(queue, "locked")
    assert found is not None
    assert found.state is SourceState.FAILED
    assert found.error.endswith("wrong user or password")
    assert worker.stop() == 0
    assert "hunter2x" not in worker.text() + found.error
    assert len(worker.log("source_lost")) == 1


def test_a_reader_of_a_camera_that_dies_is_replaced_and_the_epoch_goes_on(
    tmp_path: Path, start_worker: StartWorker, start_camera: StartCamera, queue: RedisQueue
) -> None:
    camera = start_camera(write_video(tmp_path / "clip.mp4", steady(10, 2)))
    worker = start_worker(f"id: yard, url: '{camera.url()}'")
    wait_until(lambda: is_running(queue, "yard"), worker.text)
    [reader] = worker.readers()

    os.kill(reader, signal.SIGKILL)
    wait_until(lambda: worker.readers() not in ([], [reader]), worker.text)
    windows = []

    def has_gone_on() -> bool:
        windows.extend(entry.window for entry in queue.take_windows(max_count=100, block_s=0))
        return len(windows) >= 4

    wait_until(has_gone_on, worker.text)

    assert [window.id.seq for window in windows] == list(range(len(windows)))
    assert len({window.id.epoch for window in windows}) == 1
    assert worker.stop() == 0


def test_workers_share_the_sources_and_a_dead_ones_are_taken_over_without_a_gap_or_a_double(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "film.mp4", steady(5, 300), options={"preset": "ultrafast", "g": "25", "bf": "0"})
    names = ["a", "b", "c", "d"]
    sources = [f"id: {name}, url: ./film.mp4, realtime: true" for name in names]
    first = start_worker(*sources)
    wait_until(lambda: all(is_running(queue, name) for name in names), first.text)
    second = start_worker(*sources)
    wait_until(lambda: len(second.readers()) == len(first.readers()) == 2, second.text)

    first.process.kill()

    wait_until(lambda: len(second.readers()) == 4, second.text)
    reached = {name: found.windows for name, found in queue.source_statuses().items()}
    wait_until(lambda: all(is_running(queue, name, windows=reached[name] + 2) for name in names), second.text)
    assert second.stop() == 0
    windows = [entry.window.id for entry in queue.take_windows(max_count=10_000, block_s=0)]
    for name in names:
        seqs = [window.seq for window in windows if window.source_id == name]
        assert seqs == list(range(len(seqs)))
        assert len(seqs) >= reached[name] + 2


def test_a_worker_that_was_frozen_past_its_lease_writes_nothing_more(
    tmp_path: Path, start_worker: StartWorker, queue: RedisQueue
) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 15))
    source = "id: a, url: ./a.mp4, realtime: true"
    sleeper = start_worker(source)
    wait_until(lambda: is_running(queue, "a"), sleeper.text)
    [reader] = sleeper.readers()
    for pid in (sleeper.process.pid, reader):
        os.kill(pid, signal.SIGSTOP)

    other = start_worker(source)
    wait_until(lambda: len(other.readers()) == 1 and len(other.log("source_opened")) == 2, other.text)
    for pid in (reader, sleeper.process.pid):
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: bool(other.log("source_taken_over")), other.text)

    wait_until(lambda: not Path(f"/proc/{reader}").exists(), other.text)
    read_to_end(other, queue, "a")
    assert other.stop() == 0
    assert seqs(queue, "a") == list(range(14))


def test_changed_sources_are_taken_up_while_the_others_are_read_on(
    tmp_path: Path, start_worker: StartWorker, start_camera: StartCamera, queue: RedisQueue
) -> None:
    camera = start_camera(write_video(tmp_path / "clip.mp4", steady(10, 2)))
    for name in ("stays", "goes", "comes"):
        write_video(tmp_path / f"{name}.mp4", steady(5, 60))
    files = {name: f"id: {name}, url: ./{name}.mp4, realtime: true" for name in ("stays", "goes", "comes")}
    worker = start_worker(files["stays"], files["goes"], f"id: yard, url: '{camera.url()}'")
    wait_until(lambda: all(is_running(queue, name) for name in ("stays", "goes", "yard")), worker.text)
    readers = set(worker.readers())

    worker.configure([files["stays"], files["comes"]])
    wait_until(lambda: is_running(queue, "comes"), worker.text)

    assert queue.epoch_ended("goes")
    assert queue.epoch_ended("yard")
    assert len(readers & set(worker.readers())) == 1
    assert len(worker.log("source_opened")) == 4
    assert [line["source"] for line in worker.log("source_removed")] == ["goes", "yard"]

    worker.config.write_text("sources: nonsense")
    wait_until(lambda: bool(worker.log("configuration_rejected")), worker.text)
    assert len(worker.readers()) == 2
    assert worker.stop() == 0


def test_the_worker_never_loads_the_model_library(tmp_path: Path, start_worker: StartWorker) -> None:
    write_video(tmp_path / "a.mp4", steady(5, 60))
    worker = start_worker("id: a, url: ./a.mp4, realtime: true")
    wait_until(lambda: len(worker.readers()) > 0 and bool(worker.log("source_opened")), worker.text)

    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in [worker.process.pid, *worker.readers()])

    assert "libavcodec" in maps
    assert "libtorch" not in maps
