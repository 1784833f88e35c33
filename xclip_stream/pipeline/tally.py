"""What a reader counts, in memory that its supervisor sees, through all its lives."""

from multiprocessing.context import ForkServerContext

from xclip_stream.meters import ReaderCounts


class Tally:
    """The counts of one reader. Each is added to by one thread; any other process may look.

    Args:
        context: of the processes that share it; without one it is for this process alone.
    """

    def __init__(self, context: ForkServerContext | None = None) -> None:
        self._counts = context.RawArray("Q", 4) if context else [0] * 4

    def add(self, *, frames: int = 0, windows: int = 0, dropped: int = 0, losses: int = 0) -> None:
        for index, count in enumerate((frames, windows, dropped, losses)):
            if count:
                self._counts[index] += count

    def counts(self, *, deaths: int = 0) -> ReaderCounts:
        """Return what was counted so far."""
        frames, windows, dropped, losses = self._counts
        return ReaderCounts(frames=frames, windows=windows, dropped=dropped, losses=losses, deaths=deaths)
