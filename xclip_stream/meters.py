"""What the loops tell of their work, for whoever measures it. The classes here let it pass unmeasured."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from xclip_stream.errors import DeliveryError
from xclip_stream.types import Event, Message, Scores, Window


@dataclass(frozen=True, slots=True)
class ReaderCounts:
    """What the reader of one source has counted through all its lives, as long as one worker reads the source."""

    frames: int = 0
    """Frames that were read."""
    windows: int = 0
    """Windows that the queue has taken."""
    dropped: int = 0
    """Windows that were given up because it took no more."""
    losses: int = 0
    """How often a camera that gave frames was lost."""
    deaths: int = 0
    """How often the process died or hung."""
    snapshots: int = 0
    """Events of which a picture is kept."""
    clips: int = 0
    """Events of which a clip is kept."""
    snapshots_failed: int = 0
    """Events whose picture was given up."""
    clips_failed: int = 0
    """Events whose clip was given up."""
    unchanged: int = 0
    """Of the windows that the queue has taken, those that are not scored, because nothing had changed."""
    still: int = 0
    """Of the frames, those that were not decoded, because nothing moved."""


@dataclass(frozen=True, slots=True)
class WorkerLife:
    """How a worker of a run is, and has been."""

    running: bool
    restarts: int
    """How often it has ended while it was needed, and was started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceKept:
    """What a folder of evidence holds, and what was removed from it as long as this process runs."""

    files: int
    num_bytes: int
    oldest_s: float
    """Age of the oldest file; 0 for none."""
    removed_files: int
    removed_bytes: int


class ScoreMeters:
    """What the score loop tells."""

    def configured(self, *, source_ids: Collection[str]) -> None:
        """These are the sources from now on; what others have left is still to come."""

    def batch_scored(self, *, windows: int, took_s: float) -> None:
        """The model has scored so many windows in one call."""

    def window_done(self, window: Window, outcome: str, *, now: float) -> None:
        """A window was let go of: `scored`, `expired`, `failed`, or `not_held` where another worker had it by then."""


class AlertMeters:
    """What the alert loop tells, after each commit."""

    def configured(self, *, source_ids: Collection[str], rule_ids: Collection[str]) -> None:
        """These are the sources and the rules from now on, and the events of all others have been told."""

    def scores_judged(self, source_id: str, scores: Sequence[Scores], *, lost: int, late: int, took_s: float) -> None:
        """These scores have had their turn; `lost` windows were given up, and `late` ones came after that."""

    def event_told(self, event: Event) -> None:
        """A phase of an event was committed."""


class DeliverMeters:
    """What the loop of one sink tells."""

    def attempted(self, failure: DeliveryError | None, *, took_s: float) -> None:
        """The sink was offered a message; None: it took it."""

    def delivered(self, message: Message, *, now: float) -> None:
        """A message was taken and is settled."""

    def buried(self) -> None:
        """A message was given up."""
