"""Evidence as the ingest worker makes it: from a real file and a real camera, asked for through a real Redis."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.rtsp import StartCamera, start_camera
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import number_of, steady, write_video
from tests.waiting import wait_until
from tests.workers.ingest_process import IngestProcess
from xclip_stream.evidence import CLIP, SNAPSHOT, EvidenceRecord, EvidenceRequest
from xclip_stream.protocols import SourceState
from xclip_stream.queues.redis import RedisQueue, open_queue

__all__ = ["start_camera"]

BEGAN = 1_700_000_000.0
"""When the first frame of the file was taken."""
CODECS = {
    "h264": ("libx264", {"preset": "ultrafast", "g": "10", "bf": "0"}, "avc1"),
    "h265": ("libx265", {"preset": "ultrafast", "x265-params": "keyint=10:bframes=0:log-level=none"}, "hvc1"),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def queue(redis_url: str) -> Iterator[RedisQueue]:
    with closing(open_queue(redis_url, file_windows=1000)) as queue:
        yield queue


@pytest.fixture
def start(tmp_path: Path, checkpoint: Path, redis_url: str) -> Iterator[Callable[..., IngestProcess]]:
    """What starts an ingest worker for one source, which keeps evidence below `kept`."""
    started: list[IngestProcess] = []

    def start_worker(source: str, evidence: str = "pre_roll_s: 1, post_roll_s: 1") -> IngestProcess:
        worker = IngestProcess(tmp_path, checkpoint, redis_url, source=source, evidence=f"{{dir: kept, {evidence}}}")
        started.append(worker)
        return worker

    yield start_worker
    for worker in started:
        worker.end()


def film(folder: Path, codec: str = "h264", *, seconds: float = 8.0) -> Path:
    """Write a film whose frames tell their numbers; ten a second."""
    name, options, _ = CODECS[codec]
    return write_video(folder / f"{codec}.mp4", steady(10, seconds), codec=name, options=options, size=(320, 240))


def request(number: int = 1, *, begins_at: float, peak_at: float, ends_at: float | None) -> EvidenceRequest:
    event_id = f"{number:032x}"
    return EvidenceRequest(
        event_id=event_id,
        source_id="yard",
        rule_id="climbing",
        prompt="a person climbing over a fence",
        peak_score=0.9,
        begins_at=begins_at,
        peak_at=peak_at,
        ends_at=ends_at,
        name=f"yard/2023-11-14/{event_id}",
    )


def ask(queue: RedisQueue, *requests: EvidenceRequest, judged_epoch: str = "") -> None:
    """Ask as the alert worker does."""
    token = queue.acquire_alert(ttl_s=60)
    assert token is not None
    queue.commit(
        token, source_id="yard", state=b"", events=[], outbox=[], done=[], evidence=requests, judged_epoch=judged_epoch
    )


def record_of(queue: RedisQueue, asked: EvidenceRequest) -> EvidenceRecord:
    return queue.evidence_of([asked.event_id]).get(asked.event_id, EvidenceRecord())


def is_running(queue: RedisQueue) -> bool:
    status = queue.source_statuses().get("yard")
    return status is not None and status.state is SourceState.RUNNING and status.position_s > 0


def frames_of(path: Path) -> list[tuple[float, int]]:
    """Return the times and the numbers of the frames of a clip."""
    with av.open(str(path)) as clip:
        return [(frame.time or 0.0, number_of(frame.to_ndarray(format="rgb24"))) for frame in clip.decode(video=0)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_clip_of_a_file_has_the_event_with_what_came_before_and_after(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess], codec: str
) -> None:
    worker = start(f"url: {film(tmp_path, codec)}, start_time: '2023-11-14T22:13:20Z'")
    asked = request(begins_at=BEGAN + 3.0, peak_at=BEGAN + 4.2, ends_at=BEGAN + 5.0)
    ask(queue, asked)
    wait_until(lambda: record_of(queue, asked).is_complete, worker.said)

    frames = frames_of(tmp_path / "kept" / (asked.name + CLIP))
    assert [number for _, number in frames] == [number % 20 for number in range(20, 61)]
    assert [time_s for time_s, _ in frames] == pytest.approx([number / 10 for number in range(41)], abs=0.002)
    with av.open(str(tmp_path / "kept" / (asked.name + CLIP))) as clip:
        assert clip.streams.video[0].codec_context.codec_tag == CODECS[codec][2]
    with Image.open(tmp_path / "kept" / (asked.name + SNAPSHOT)) as snapshot:
        assert (snapshot.format, snapshot.size, number_of(np.asarray(snapshot))) == ("JPEG", (320, 240), 42 % 20)
    assert record_of(queue, asked) == EvidenceRecord(snapshot=True, clip=True, is_complete=True)
    assert queue.evidence_waiting(["yard"]) == 0


def test_a_file_is_read_until_the_rules_have_judged_it_and_its_evidence_is_there(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess]
) -> None:
    worker = start(f"url: {film(tmp_path)}")
    wait_until(lambda: queue.epoch_ended("yard"), worker.said)
    asked = request(begins_at=3.0, peak_at=4.0, ends_at=5.0)
    with worker.redis() as redis:
        epoch = redis.hget("xclip:{main}:source:yard", "epoch").decode()
    assert worker.reader() != 0

    ask(queue, asked, judged_epoch=epoch)
    wait_until(lambda: worker.reader() == 0, worker.said)
    assert record_of(queue, asked).is_complete


@pytest.mark.parametrize("codec", CODECS)
def test_a_clip_of_a_camera_begins_before_anybody_asked_for_it_and_can_be_looked_at_while_it_grows(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess], start_camera: StartCamera, codec: str
) -> None:
    worker = start(f"url: {start_camera(film(tmp_path, codec), codec=codec).url()}, window: {{span_s: 1}}")
    wait_until(lambda: is_running(queue) and queue.source_statuses()["yard"].position_s > 6, worker.said)
    now = time.time()
    asked = request(begins_at=now - 1.0, peak_at=now - 0.5, ends_at=None)
    ask(queue, asked)
    wait_until(lambda: record_of(queue, asked).clip, worker.said)
    place = tmp_path / "kept" / (asked.name + CLIP)
    wait_until(lambda: len(growing(place)) > 15, worker.said)

    ended_at = time.time()
    ask(queue, replace(asked, ends_at=ended_at))
    wait_until(lambda: record_of(queue, asked).is_complete, worker.said)

    frames = frames_of(place)
    length_s = frames[-1][0]
    assert ended_at + 1 - (now - 2) - 0.5 < length_s < ended_at + 1 - (now - 2) + 1.5
    assert {(later - earlier) % 20 for (_, earlier), (_, later) in pairwise(frames)} == {1}
    assert (tmp_path / "kept" / (asked.name + SNAPSHOT)).exists()
    assert queue.evidence_waiting(["yard"]) == 0
    assert queue.source_statuses()["yard"].evidence_failed == 0


def growing(path: Path) -> list[tuple[float, int]]:
    try:
        return frames_of(path)
    except (OSError, av.error.FFmpegError):
        return []


@pytest.mark.parametrize("kind", ["file", "camera"])
def test_a_reader_that_is_killed_between_the_request_and_the_file_leaves_the_work_to_the_next_one(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess], start_camera: StartCamera, kind: str
) -> None:
    source = film(tmp_path) if kind == "file" else start_camera(film(tmp_path)).url()
    worker = start(f"url: {source}, window: {{span_s: 1}}")
    wait_until(lambda: queue.epoch_ended("yard") if kind == "file" else is_running(queue), worker.said)
    reader = worker.reader()
    os.kill(reader, signal.SIGSTOP)
    now = time.time() if kind == "camera" else 6.0
    asked = request(begins_at=now - 2.0, peak_at=now - 1.0, ends_at=None)
    ask(queue, asked)
    os.kill(reader, signal.SIGKILL)

    wait_until(
        lambda: (worker.reader() not in {0, reader} and is_running(queue)) or queue.epoch_ended("yard"), worker.said
    )
    if kind == "camera":
        wait_until(lambda: record_of(queue, asked).clip, worker.said)
    ask(queue, replace(asked, ends_at=now + (1.0 if kind == "file" else time.time() - now)))
    wait_until(lambda: record_of(queue, asked).is_complete, worker.said)

    assert len(frames_of(tmp_path / "kept" / (asked.name + CLIP))) > 5
    assert (tmp_path / "kept" / (asked.name + SNAPSHOT)).exists()
    assert record_of(queue, asked).error == ""
    assert record_of(queue, asked).partial is (kind == "camera"), "what a camera sent meanwhile is nowhere"


def ask_for_what_goes_on(worker: IngestProcess, queue: RedisQueue, folder: Path) -> tuple[EvidenceRequest, Path]:
    """Ask for the evidence of an event that has just begun; return the request and its clip, which grows."""
    wait_until(lambda: is_running(queue) and queue.source_statuses()["yard"].position_s > 3, worker.said)
    now = time.time()
    asked = request(begins_at=now - 1.0, peak_at=now - 0.5, ends_at=None)
    ask(queue, asked)
    place = folder / "kept" / (asked.name + CLIP)
    wait_until(lambda: len(growing(place)) > 15, worker.said)
    assert record_of(queue, asked) == EvidenceRecord(snapshot=True, clip=True)
    return asked, place


def test_a_clip_whose_reader_is_killed_while_it_is_written_says_that_it_is_not_whole(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess], start_camera: StartCamera
) -> None:
    worker = start(f"url: {start_camera(film(tmp_path)).url()}, window: {{span_s: 1}}")
    asked, place = ask_for_what_goes_on(worker, queue, tmp_path)

    os.kill(worker.reader(), signal.SIGKILL)
    wait_until(lambda: record_of(queue, asked).is_complete, worker.said)
    ask(queue, replace(asked, ends_at=time.time()))
    wait_until(lambda: queue.evidence_waiting(["yard"]) == 0, worker.said)

    assert record_of(queue, asked) == EvidenceRecord(snapshot=True, clip=True, is_complete=True, partial=True)
    assert len(frames_of(place)) > 15


def test_a_clip_with_a_hole_where_the_camera_was_away_says_that_it_is_not_whole(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess], start_camera: StartCamera
) -> None:
    camera = start_camera(film(tmp_path))
    worker = start(f"url: {camera.url()}, window: {{span_s: 1}}, read_timeout_s: 3")
    asked, place = ask_for_what_goes_on(worker, queue, tmp_path)

    camera.freeze()
    frozen_at = time.time()
    wait_until(lambda: "has been silent for 3 s" in worker.said(), worker.said)
    camera.thaw()
    wait_until(lambda: record_of(queue, asked).lacks_from is not None, worker.said)
    lacks_from = record_of(queue, asked).lacks_from
    ask(queue, replace(asked, ends_at=time.time()))
    wait_until(lambda: record_of(queue, asked).is_complete, worker.said)

    assert lacks_from == pytest.approx(frozen_at, abs=2)
    assert record_of(queue, asked) == EvidenceRecord(snapshot=True, clip=True, is_complete=True, partial=True)
    assert max(later - earlier for (earlier, _), (later, _) in pairwise(frames_of(place))) > 2


def test_another_stream_of_the_camera_is_recorded_where_one_is_named(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess], start_camera: StartCamera
) -> None:
    large = write_video(tmp_path / "large.mp4", steady(10, 8), size=(640, 480))
    record_url = start_camera(large).url()
    worker = start(f"url: {start_camera(film(tmp_path)).url()}, record_url: {record_url}, window: {{span_s: 1}}")
    wait_until(lambda: is_running(queue) and queue.source_statuses()["yard"].position_s > 3, worker.said)
    now = time.time()
    asked = request(begins_at=now - 1.0, peak_at=now - 0.5, ends_at=now)
    ask(queue, asked)
    wait_until(lambda: record_of(queue, asked).is_complete, worker.said)

    with av.open(str(tmp_path / "kept" / (asked.name + CLIP))) as clip:
        assert (clip.streams.video[0].width, clip.streams.video[0].height) == (640, 480)
    with Image.open(tmp_path / "kept" / (asked.name + SNAPSHOT)) as snapshot:
        assert snapshot.size == (640, 480)


def test_what_a_mask_covers_is_in_no_file(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess]
) -> None:
    bright = write_video(tmp_path / "bright.mp4", steady(10, 8), pictures=[np.full((120, 160, 3), 200, np.uint8)] * 80)
    worker = start(f"url: {bright}, masks: [[0.0, 0.0, 0.5, 1.0]]")
    asked = request(begins_at=3.0, peak_at=4.0, ends_at=5.0)
    ask(queue, asked)
    wait_until(lambda: record_of(queue, asked).is_complete, worker.said)

    with av.open(str(tmp_path / "kept" / (asked.name + CLIP))) as clip:
        pictures = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    with Image.open(tmp_path / "kept" / (asked.name + SNAPSHOT)) as snapshot:
        pictures.append(np.asarray(snapshot))
    assert len(pictures) == 41 + 1
    for picture in pictures:
        assert picture[:, :70].max() < 40
        assert picture[:, 90:].min() > 150


def test_a_camera_is_watched_on_while_its_evidence_cannot_be_written(
    tmp_path: Path, queue: RedisQueue, start: Callable[..., IngestProcess], start_camera: StartCamera
) -> None:
    (tmp_path / "kept").write_text("a file stands where the folder should be")
    worker = start(f"url: {start_camera(film(tmp_path)).url()}, window: {{span_s: 1}}")
    wait_until(lambda: is_running(queue), worker.said)
    now = time.time()
    ask(queue, request(begins_at=now - 1.0, peak_at=now - 0.5, ends_at=now))
    wait_until(lambda: "evidence_failed" in worker.said(), worker.said)
    before = queue.source_statuses()["yard"].position_s

    wait_until(lambda: queue.source_statuses()["yard"].position_s > before + 2, worker.said)
    assert queue.evidence_waiting(["yard"]) == 1

    (tmp_path / "kept").unlink()
    wait_until(lambda: queue.evidence_waiting(["yard"]) == 0, worker.said)
