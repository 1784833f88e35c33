from dataclasses import dataclass

from tests.fakes import FakeClock
from xclip_stream.errors import QueueUnavailable
from xclip_stream.pipeline.latest_picture import SHOWN_FOR_S, LatestPicture
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.types import Picture, Pixels


@dataclass
class Seen:
    captured_at: float
    index: int = 0
    pts_s: float = 0.0

    def pictures(self) -> Pixels:
        raise AssertionError("nobody scores this")

    def jpeg(self, *, width_px: int) -> bytes:
        return f"{self.captured_at:.1f} at {width_px}".encode()


class Scene:
    """A source that gives ten frames a second, each shown when there is something to show."""

    def __init__(self, queue: MemoryQueue | None = None) -> None:
        self.clock = FakeClock()
        self.queue = queue or MemoryQueue(clock=self.clock)
        self.wanted = True
        self.shown: list[float] = []
        self._picture = LatestPicture(source_id="yard", queue=self.queue, clock=self.clock, wanted=lambda: self.wanted)

    def run(self, duration_s: float) -> None:
        for _ in range(round(10 * duration_s)):
            self._picture.note_frame(Seen(self.clock.now()))
            self._picture.show()
            self.clock.advance(0.1)
            picture = self.queue.latest_picture("yard")
            if picture and picture.captured_at not in self.shown:
                self.shown.append(picture.captured_at)


def test_a_picture_is_shown_about_once_a_second() -> None:
    scene = Scene()

    scene.run(3.0)

    assert [round(at - scene.shown[0], 1) for at in scene.shown] == [0.0, 1.0, 2.0]


def test_nobody_looks_and_no_picture_is_made() -> None:
    scene = Scene()
    scene.wanted = False

    scene.run(3.0)

    assert scene.shown == []


def test_a_picture_tells_when_it_was_taken_and_is_small() -> None:
    scene = Scene()
    taken_at = scene.clock.now()

    scene.run(0.5)

    assert scene.queue.latest_picture("yard") == Picture(taken_at, b"1000000.0 at 480")


def test_a_source_that_gives_no_more_frames_keeps_its_last_picture_for_a_while() -> None:
    scene = Scene()
    scene.run(0.5)

    scene.clock.advance(SHOWN_FOR_S - 1)
    assert scene.queue.latest_picture("yard")

    scene.clock.advance(2)
    assert scene.queue.latest_picture("yard") is None


def test_reading_does_not_mind_a_queue_that_is_away() -> None:
    scene = Scene(Away())

    scene.run(3.0)

    assert scene.shown == []


class Away(MemoryQueue):
    def put_picture(self, source_id: str, picture: Picture, *, ttl_s: float) -> None:
        raise QueueUnavailable("gone")
