"""When did the camera see this frame? Event time of a live source. Pure."""

STRAY_S = 2.0
"""A frame whose event time is this far from its arrival tells of a stall or a wrong camera clock.

A wall clock that has moved by this much against the monotonic one was set.
"""
SEGMENT_STRAY_S = 30.0
"""The same of a stream that comes in segments: all frames of one arrive together, the first of them long captured."""


class CaptureClock:
    """Gives the frames of a live source their event time: smooth like the camera's clock, true like ours.

    The first frame of a connection was captured when it arrived; the frames after it are as far apart as their media
    times say. No frame was captured after it arrived, which also absorbs the burst that servers begin with, and none
    more than two seconds before, or `SEGMENT_STRAY_S`. When somebody sets the wall clock, event time follows it at
    once, also back. Small corrections of the wall clock are taken over with the next connection, and never move event
    time back.
    """

    def __init__(self) -> None:
        self._arrival_offset_s: float | None = None
        self._is_new_connection = True
        self._stray_s = STRAY_S
        self._pts_offset_s = 0.0
        self._last = 0.0

    def reconnect(self, *, in_segments: bool = False) -> None:
        """Note that the next frame comes from a new connection, whose frames come one by one or many together."""
        self._is_new_connection = True
        self._stray_s = SEGMENT_STRAY_S if in_segments else STRAY_S

    def stamp(self, pts_s: float, *, now: float, monotonic: float) -> float:
        """Return the Unix time of a frame that has just arrived.

        It is less than that of the frame before only when the wall clock was set back.
        """
        set_by_s = 0.0 if self._arrival_offset_s is None else now - monotonic - self._arrival_offset_s
        if self._arrival_offset_s is None or self._is_new_connection or abs(set_by_s) > STRAY_S:
            self._arrival_offset_s = now - monotonic
            self._pts_offset_s = now - pts_s
            self._is_new_connection = False
        if set_by_s < -STRAY_S:
            self._last = 0.0
        arrived = monotonic + self._arrival_offset_s
        if not 0 <= arrived - (pts_s + self._pts_offset_s) <= self._stray_s:
            self._pts_offset_s = arrived - pts_s
        self._last = max(self._last, pts_s + self._pts_offset_s)
        return self._last
