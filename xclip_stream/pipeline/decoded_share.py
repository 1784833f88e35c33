"""How much of a camera is decoded."""

from collections import deque

_SHARE_OF_S = 60.0


class DecodedShare:
    """The share of the frames of the last minute that were decoded."""

    def __init__(self) -> None:
        self._notes: deque[tuple[float, int, int]] = deque()
        self._still_frames = 0

    @property
    def share(self) -> float:
        """From 0 to 1; 1 where there were no frames."""
        frames = sum(frames for _, frames, _ in self._notes)
        still = sum(still for _, _, still in self._notes)
        return min(1.0, max(0.0, round(1.0 - still / frames, 4))) if frames else 1.0

    def note(self, at_s: float, *, frames: int, still_frames: int) -> None:
        """Note how many frames have come since the last note, and how many of all frames were still."""
        self._notes.append((at_s, frames, still_frames - self._still_frames))
        self._still_frames = still_frames
        while self._notes[0][0] <= at_s - _SHARE_OF_S:
            self._notes.popleft()
