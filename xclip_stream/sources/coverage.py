"""Which times of a camera a clip has, told from its packets. Pure."""

from xclip_stream.evidence import CLOCK_ROOM_S

_HOLE_S = 2.0
_HOLE_INTERVALS = 3.0
"""In a hole as much media time is missing as both say: the second keeps slow cameras from having nothing but holes."""


class Coverage:
    """The times of the packets of one clip.

    Args:
        begins_at: when its first packet is decoded, in event time.
    """

    def __init__(self, begins_at: float) -> None:
        self._begins_at = self._until = begins_at
        self._media_s = 0.0
        self._packets = 0
        self._stepped_s = 0.0
        self._gaps: list[tuple[float, float, float]] = []
        """Where two packets are further apart than `_HOLE_S`: the event times of both, and the media time between."""

    def add(self, at: float, *, media_s: float) -> None:
        """Note the next packet, or the first one after the clip, by its event time and its media time."""
        step_s = media_s - self._media_s if self._packets else 0.0
        if step_s > _HOLE_S:
            self._gaps.append((self._until, at, step_s))
        self._until, self._media_s = at, media_s
        self._packets += 1
        self._stepped_s += step_s

    def lacks_from(self, begins_at: float, ends_at: float | None) -> float | None:
        """Return from when on video is missing between two event times, for a second or more; None where nothing is.

        Args:
            ends_at: None while packets still come: then what comes later is not missing.
        """
        if self._begins_at > begins_at + CLOCK_ROOM_S:
            return begins_at
        for start, end in self._holes():
            missing_s = (end if ends_at is None else min(end, ends_at)) - max(start, begins_at)
            if missing_s > CLOCK_ROOM_S:
                return max(start, begins_at)
        return self._until if ends_at is not None and self._until < ends_at - CLOCK_ROOM_S else None

    def _holes(self) -> list[tuple[float, float]]:
        usual_s = self._stepped_s / max(1, self._packets - 1)
        return [(start, end) for start, end, step_s in self._gaps if step_s > _HOLE_INTERVALS * usual_s]
