"""When did the camera see this frame? Event time of a live source. Pure."""

STRAY_S = 2.0
"""A frame whose event time is this far from its arrival tells of a stall or a wrong camera clock."""


class CaptureClock:
    """Gives the frames of a live source their event time: smooth like the camera's clock, true like ours.

    The first frame of a connection was captured when it arrived; the frames after it are as far apart as their media
    times say. No frame was captured after it arrived, which also absorbs the burst that servers begin with, and none
    more than two seconds before. The wall clock is asked once a connection: when somebody sets it, nothing jumps.
    """

    def __init__(self) -> None:
        self._arrival_offset_s: float | None = None
        self._pts_offset_s = 0.0
        self._last = 0.0

    def reconnect(self) -> None:
        """Note that the next frame comes from a new connection."""
        self._arrival_offset_s = None

    def stamp(self, pts_s: float, *, now: float, monotonic: float) -> float:
        """Return the Unix time of a frame that has just arrived; never less than that of the frame before."""
        if self._arrival_offset_s is None:
            self._arrival_offset_s = now - monotonic
            self._pts_offset_s = now - pts_s
        arrived = monotonic + self._arrival_offset_s
        if not 0 <= arrived - (pts_s + self._pts_offset_s) <= STRAY_S:
            self._pts_offset_s = arrived - pts_s
        self._last = max(self._last, pts_s + self._pts_offset_s)
        return self._last
