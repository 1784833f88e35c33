"""The picture of a source that people see: made about once a second, and only while somebody looks."""

from collections.abc import Callable
from contextlib import suppress

from xclip_stream.errors import QueueUnavailable
from xclip_stream.protocols import Clock, IngestQueue, SourceFrame
from xclip_stream.types import Picture

WIDTH_PX = 480
SHOWN_FOR_S = 30.0
"""A source that gives no frames keeps its last picture for so long."""
_EVERY_S = 1.0


class LatestPicture:
    """Makes pictures of a source in the thread that reads it, and shows them from the one that talks to the queue.

    Nothing waits for a picture, and nothing fails with it.

    Args:
        wanted: whether somebody looks.
    """

    def __init__(self, *, source_id: str, queue: IngestQueue, clock: Clock, wanted: Callable[[], bool]) -> None:
        self._source_id = source_id
        self._queue = queue
        self._clock = clock
        self._wanted = wanted
        self._made_at = float("-inf")
        self._made: Picture | None = None

    def note_frame(self, frame: SourceFrame) -> None:
        """Make a picture of a frame when it is time for one. To be called by the thread that reads."""
        now = self._clock.monotonic()
        if now - self._made_at >= _EVERY_S and self._wanted():
            self._made_at = now
            self._made = Picture(frame.captured_at, frame.jpeg(width_px=WIDTH_PX))

    def show(self) -> None:
        """Show the picture that was made last, once. To be called by the thread that talks to the queue."""
        made, self._made = self._made, None
        if made is not None:
            with suppress(QueueUnavailable):
                self._queue.put_picture(self._source_id, made, ttl_s=SHOWN_FOR_S)
