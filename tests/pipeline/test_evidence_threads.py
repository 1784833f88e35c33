"""What runs beside the reading of a camera, in real threads."""

import threading
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, Self

import structlog
from structlog.testing import capture_logs

from tests.rtsp import Camera, StartCamera, need_server, start_camera
from tests.videos import steady, write_video
from tests.waiting import PATIENCE_S, wait_until
from xclip_stream.errors import SourceUnavailable
from xclip_stream.pipeline.evidence_threads import EvidenceThread, RecordingThread
from xclip_stream.sources import PacketRing, PacketTap, open_recording

__all__ = ["start_camera"]


class Desk:
    """A desk that breaks at its first step."""

    def __init__(self) -> None:
        self.stepped = threading.Event()
        self.is_closed = False

    def step(self) -> None:
        self.stepped.set()
        raise RuntimeError("a defect")

    def close(self) -> None:
        self.is_closed = True


def test_a_defect_in_the_evidence_is_logged_and_ends_nothing() -> None:
    desk = Desk()
    with capture_logs() as logs, EvidenceThread(desk, log=structlog.get_logger()):  # type: ignore[arg-type] # a defect
        assert desk.stepped.wait(PATIENCE_S)

    assert [line["event"] for line in logs] == ["evidence_crashed"]
    assert desk.is_closed


class Stream:
    """A stream that is lost once, and then goes on until it is to stop."""

    def __init__(self) -> None:
        self.connections = 0
        self.goes_on = threading.Event()
        self.has_stopped = threading.Event()

    def __enter__(self) -> Self:
        self.connections += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def record(self, stopping: Callable[[], bool], *, note_packet: Callable[[], None]) -> None:
        if self.connections == 1:
            raise SourceUnavailable("camera: the stream ended")
        self.goes_on.set()
        while not stopping():
            threading.Event().wait(0.01)
        self.has_stopped.set()


def test_a_recording_that_is_lost_is_connected_to_again_and_ends_when_it_is_left() -> None:
    stream = Stream()
    with capture_logs() as logs, RecordingThread(stream, log=structlog.get_logger()):
        assert stream.goes_on.wait(PATIENCE_S)

    assert stream.has_stopped.wait(PATIENCE_S)
    assert [line["event"] for line in logs] == ["recording_opened", "recording_lost", "recording_opened"]


class Recording:
    """The recording of a real camera, and what it has told."""

    def __init__(self, camera: Camera, logs: list[MutableMapping[str, Any]], *, login: str = "") -> None:
        self.ring = PacketRing(span_s=60.0, max_bytes=10_000_000)
        source = open_recording(
            camera.url(login), tap=PacketTap(self.ring), transport="tcp", open_timeout_s=5.0, read_timeout_s=5.0
        )
        self.thread = RecordingThread(source, log=structlog.get_logger(), draw=lambda: 1.0)
        self._logs = logs

    def delays(self) -> list[float]:
        return [line["delay_s"] for line in self._logs if line["event"] == "recording_lost"]


def film(folder: Path) -> Path:
    return write_video(folder / "film.mp4", steady(10, 8))


def test_a_camera_that_has_sent_packets_is_not_waited_for_longer_than_at_its_first_loss(tmp_path: Path) -> None:
    need_server()
    camera = Camera(film(tmp_path))
    with capture_logs() as logs:
        recording = Recording(camera, logs)
        with recording.thread:
            wait_until(lambda: len(recording.delays()) == 2)
            camera.start()
            try:
                wait_until(lambda: recording.ring.num_bytes > 0)
                before = len(recording.delays())
            finally:
                camera.kill()
            wait_until(lambda: len(recording.delays()) > before)

    assert recording.delays()[:2] == [1.0, 2.0]
    assert recording.delays()[before] == 1.0


def test_a_login_that_is_refused_is_not_tried_again_soon(tmp_path: Path, start_camera: StartCamera) -> None:
    camera = start_camera(film(tmp_path), user="viewer", password="right-horse")
    with capture_logs() as logs:
        recording = Recording(camera, logs, login="viewer:wrong-horse")
        with recording.thread:
            wait_until(lambda: bool(recording.delays()))

    assert recording.delays() == [60.0]
    assert "horse" not in str(logs)
