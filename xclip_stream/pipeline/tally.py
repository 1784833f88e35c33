"""What a reader counts, in memory that its supervisor sees, through all its lives."""

from multiprocessing.context import ForkServerContext

from xclip_stream.meters import ReaderCounts

_COUNTED = (
    "frames",
    "windows",
    "dropped",
    "losses",
    "snapshots",
    "clips",
    "snapshots_failed",
    "clips_failed",
    "unchanged",
    "still",
)
"""What of `ReaderCounts` a reader counts itself, in the order of the memory."""


class Tally:
    """The counts of one reader. Each is added to by one thread; any other process may look.

    Args:
        context: of the processes that share it; without one it is for this process alone.
    """

    def __init__(self, context: ForkServerContext | None = None) -> None:
        self._counts = context.RawArray("Q", len(_COUNTED)) if context else [0] * len(_COUNTED)

    def add(
        self,
        *,
        frames: int = 0,
        windows: int = 0,
        dropped: int = 0,
        losses: int = 0,
        snapshots: int = 0,
        clips: int = 0,
        snapshots_failed: int = 0,
        clips_failed: int = 0,
        unchanged: int = 0,
        still: int = 0,
    ) -> None:
        more = (frames, windows, dropped, losses, snapshots, clips, snapshots_failed, clips_failed, unchanged, still)
        for index, count in enumerate(more):
            if count:
                self._counts[index] += count

    def counts(self, *, deaths: int = 0) -> ReaderCounts:
        """Return what was counted so far."""
        return ReaderCounts(deaths=deaths, **dict(zip(_COUNTED, self._counts, strict=True)))
