"""What runs beside the reading of a camera, in real threads."""

import threading
from collections.abc import Callable
from typing import Self

import structlog
from structlog.testing import capture_logs

from xclip_stream.errors import SourceUnavailable
from xclip_stream.pipeline.evidence_threads import EvidenceThread, RecordingThread

PATIENCE_S = 60.0


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

    def record(self, stopping: Callable[[], bool]) -> None:
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
