"""The seams of the pipeline: what its loops need from sources, queues, the model and sinks.

Each role of the queue is a protocol of its own, so that a worker can be given no more than it uses. The in-memory
queue and the Redis queue both have all of them, and one contract test runs over both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.inspection import Inspection
from xclip_stream.types import (
    DeadLetter,
    IdleState,
    Idling,
    Logits,
    Message,
    Picture,
    Pixels,
    Scores,
    ScoreStatus,
    Window,
    WindowId,
)

# ---------------------------------------------------------------------------------------------------------- sources


class SourceFrame(Protocol):
    """A frame of a source; its pixels are decoded, at least of a file, and converted only when somebody asks.

    That can be done until the next frame is taken.
    """

    @property
    def index(self) -> int:
        """The number of this frame in decode order, from 0."""

    @property
    def pts_s(self) -> float:
        """Media time in seconds since the first frame; never goes back within one source."""

    @property
    def captured_at(self) -> float:
        """Event time, Unix seconds; goes back within one source only when somebody sets the clock back."""

    def pictures(self) -> Pixels:
        """Return the regions of this frame at model size: uint8 RGB, (R, S, S, 3)."""

    def jpeg(self, *, width_px: int) -> bytes:
        """Return the whole frame as a JPEG that is no wider than this."""


class FrameSource(Protocol):
    """A camera or file. Entering opens it; iterating decodes it; leaving closes it, all in one thread.

    It may be entered again: a file is then read from its start, and of a camera time and indices go on.
    """

    @property
    def live(self) -> bool: ...

    @property
    def duration_s(self) -> float | None:
        """The length of a file where it is known, else None."""

    @property
    def damage(self) -> Sequence[str]:
        """What could not be decoded so far, one line each (bounded)."""

    @property
    def idling(self) -> Idling | None:
        """What has come of not decoding it while nothing moves, from any thread; None where all of it is decoded."""

    def __enter__(self) -> Self:
        """Open the source.

        Raises:
            SourceUnavailable: it may work later.
            SourceRejected: it will not work without a change by the user.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield frames. A file ends normally; a live source never does: its end is a SourceUnavailable."""


class Clip(Protocol):
    """A video of an event that is being written."""

    def extend(self, *, ends_at: float) -> bool:
        """Write what there is up to `ends_at`; True when that is all there will be.

        Raises:
            EvidenceError: it cannot be written.
        """

    def lacks_from(self, begins_at: float, ends_at: float | None) -> float | None:
        """Return from when on video is missing between two times, as far as can be known; None where it is whole.

        `ends_at` is None while the clip grows: then what comes later is not missing.
        """

    def finish(self, path: Path) -> None:
        """Write the whole clip to `path`, so that a viewer may seek in it and begin before it has all of it.

        Raises:
            EvidenceError: it cannot be written.
        """

    def close(self) -> None:
        """Let go of it. What was written stays."""


class Footage(Protocol):
    """The encoded video of a source, by event time."""

    @property
    def grows(self) -> bool:
        """True when it comes in as time goes by; a file is there as a whole."""

    def reaches(self, at: float) -> bool:
        """True when it has the video of that time, or could have it; False when that is gone."""

    def begin_clip(self, path: Path, *, begins_at: float, caption: str) -> Clip:
        """Begin a clip at `path` with the key frame at or before `begins_at`, or the first that there is.

        A clip that stands there is one that somebody else began: it is all that there will be.

        Raises:
            EvidenceError: there is no video of that time.
        """

    def snapshot(self, at: float, *, caption: str) -> bytes:
        """Return the frame nearest to `at` as a JPEG.

        Raises:
            EvidenceError: there is no video.
        """


class EvidenceStore(Protocol):
    """Where evidence is kept, by name."""

    @property
    def shows_growing(self) -> bool:
        """True when a file can be looked at while it grows."""

    def place(self, name: str) -> Path:
        """Return where a file of this name may grow; its folder is there."""

    def has(self, name: str) -> bool:
        """Tell whether a finished file of this name, or one that grows where such are shown, is there.

        Raises:
            EvidenceError: that cannot be known now.
        """

    def keep(self, draft: Path, name: str) -> None:
        """Put a finished file in its place in one step; `draft` and what grew in the place are gone then.

        Raises:
            EvidenceError: it cannot be kept now.
        """


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A picture or a clip as it is read: all of it, or the part that was asked for.

    `pieces` can be taken once; `close` lets go of what was not taken. `span` says which part it is and of how much, as
    HTTP does in `Content-Range`; it is empty for the whole.
    """

    pieces: Iterator[bytes]
    close: Callable[[], None]
    num_bytes: int
    span: str


class EvidenceReader(Protocol):
    """Evidence that is kept where no file system reaches; from any thread."""

    def read(self, name: str, *, span: str | None) -> KeptFile | None:
        """Return what is kept under a name, suffix and all; None where nothing is.

        Args:
            span: the part that is wanted, as HTTP writes it: `bytes=0-99`.

        Raises:
            NoSuchSpan: it ends before that part.
            EvidenceError: it cannot be read now, also later from `pieces`.
        """


# ------------------------------------------------------------------------------------------------------------ queue


class Admission(StrEnum):
    """The answer of the queue to a window or a tombstone."""

    ADDED = "added"
    ALREADY_DONE = "already_done"
    """Its `seq` was taken before; go on with `next_seq`."""
    REWIND = "rewind"
    """The queue wants `next_seq` first: it came back older than the caller thought, or empty. Begin the epoch again."""
    FULL = "full"
    """Over the cap: a file source waits, a live source drops its oldest."""
    STALE = "stale"
    """Someone else has taken the source over, or the epoch has ended."""


@dataclass(frozen=True, slots=True)
class Admitted:
    answer: Admission
    next_seq: int


@dataclass(frozen=True, slots=True)
class TakenWindow:
    """A window that this consumer now holds, until it publishes, buries, or is thought dead."""

    entry_id: str
    window: Window
    generation: int
    deliveries: int
    waited_s: float = 0.0
    """How long the window has been in the queue, by the queue's own clock; only told of live windows."""


@dataclass(frozen=True, slots=True)
class TakenScores:
    entry_id: str
    scores: Scores


@dataclass(frozen=True, slots=True)
class TakenMessage:
    entry_id: str
    message: Message
    deliveries: int


@dataclass(frozen=True, slots=True)
class TakenRequest:
    """A request that was read; it comes again until it is settled."""

    entry_id: str
    request: EvidenceRequest


class SourceState(StrEnum):
    CONNECTING = "connecting"
    RUNNING = "running"
    STALLED = "stalled"
    """Live, and no frames now: reconnecting."""
    ENDED = "ended"
    """A file that was read to its end."""
    FAILED = "failed"
    """Cannot be read without a change by the user."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What ingest last said of a source. Display only: nothing is decided by it."""

    source_id: str
    state: SourceState
    live: bool
    fps: float
    position_s: float
    duration_s: float | None
    windows: int
    dropped: int
    lag_s: float
    """How far behind the camera reading is, in seconds; 0 for a file."""
    error: str
    updated_at: float
    evidence_made: int = 0
    """Events of which this reader has kept a picture and a clip."""
    evidence_failed: int = 0
    """Events of which it could not."""
    unchanged: int = 0
    """Windows that were not sent to be scored, because nothing had changed."""
    window_step: int = 1
    """One window in so many is scored; more than 1 while a camera's windows found no room in the queue."""
    idle: IdleState | None = None
    """Whether the camera is decoded now; None where it always is."""
    decoded_share: float = 1.0
    """Of the frames of the last minute."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What others want of the one that reads a source."""

    picture: bool = False
    """Somebody looks at the source's pictures now."""
    requests: tuple[TakenRequest, ...] = ()
    """The evidence that was asked for since the last report, and after an outage all that is not settled."""
    judged_epoch: str = ""
    """The epoch of a file that the rules have judged to its end: nothing more will be asked for of it."""
    rescore: WindowId | None = None
    """Whoever judges has no scores of this window, or not those that the rules need now: it can stand for no other."""


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """What the alert worker last said of a source. Display only."""

    source_id: str
    windows: int
    """Windows and tombstones of the current epoch that have passed the rules."""
    dropped: int
    expired: int
    failed: int
    position_s: float
    top_rule: str
    top_score: float
    open_events: int
    events: int
    updated_at: float
    unchanged: int = 0
    """Windows that were judged by the scores of an earlier one."""


class IngestQueue(Protocol):
    """The first atomic step: a window is added in the order of its `seq`, or refused with a reason.

    `token` is that of the source's lease; 0, without a lease, is older than any. A source belongs to the newest token
    that began an epoch: what comes with an older one is refused, so a reader that wakes up late writes nothing.
    """

    def begin_epoch(self, source_id: str, epoch: str, *, live: bool, token: int = 0) -> int:
        """Make `epoch` the current one of the source and return the next `seq` wanted.

        An epoch that is current already is resumed. Another current epoch is closed first: a SOURCE_ENDED tombstone
        takes its next `seq` (unless it has one already), so that its open events end.

        Raises:
            StaleOwner: a reader with a newer token has begun an epoch.
        """

    def add_window(self, window: Window, *, token: int = 0) -> Admitted: ...

    def add_tombstone(
        self,
        window_id: WindowId,
        *,
        status: ScoreStatus,
        live: bool,
        pts_s: float,
        captured_at: float,
        token: int = 0,
    ) -> Admitted:
        """Take a `seq` without a window; some statuses end the epoch.

        FULL is answered only where the server has no memory left, nobody seems to take the scores that wait there, and
        the epoch does not end.
        """

    def add_unchanged(
        self, window_id: WindowId, *, same_as: int, first_pts_s: float, pts_s: float, captured_at: float, token: int = 0
    ) -> Admitted:
        """Take a `seq` for a window of a camera that shows what window `same_as` of its epoch shows. FULL is answered
        where a tombstone would be refused too."""

    def epoch_ended(self, source_id: str, epoch: str | None = None) -> bool:
        """True when the source's current epoch, and that is `epoch` where one is given, has ended."""

    def report_source(self, status: SourceStatus) -> Wishes:
        """Say what becomes of a source, and hear what others want of it."""

    def put_picture(self, source_id: str, picture: Picture, *, ttl_s: float) -> None:
        """Show the latest picture of a source; it is forgotten after `ttl_s` unless another one takes its place."""

    def record_evidence(
        self, source_id: str, event_id: str, record: EvidenceRecord, *, ttl_s: float, settled: Sequence[str] = ()
    ) -> None:
        """Say what has become of the evidence of an event, for as long as `ttl_s`, and let go of requests."""


@dataclass(frozen=True, slots=True)
class IngestTeam:
    """The workers that read sources now, without the one that asks, and the sources that nobody has a lease of."""

    others: frozenset[str]
    free: frozenset[str]


class SourceLeases(Protocol):
    """Who reads which source, where several ingest workers share them."""

    def acquire_source(self, source_id: str, *, ttl_s: float) -> int | None:
        """Take the lease of a source; return a token greater than all before it, or None while another has it."""

    def renew_source(self, source_id: str, token: int, *, ttl_s: float) -> None:
        """Keep the lease.

        Raises:
            StaleOwner: it ran out, or the server has lost it. Another worker may have it now.
        """

    def release_source(self, source_id: str, token: int) -> None:
        """Let another worker take the source at once. Does nothing when `token` is stale."""

    def join_ingest(self, source_ids: Sequence[str], *, ttl_s: float) -> IngestTeam:
        """Be one of the team for `ttl_s`, and look at it and at these sources."""

    def leave_ingest(self, source_ids: Sequence[str], *, worker: str | None = None) -> None:
        """Take a worker that is known to be dead out of the team, or this one, and free those sources that it holds."""


class ScoreQueue(Protocol):
    """The second atomic step: scores are published only by the consumer whose acknowledgement counted."""

    def take_windows(self, *, max_count: int, block_s: float) -> list[TakenWindow]:
        """Wait up to `block_s` for windows. Windows of dead consumers come first; one that was delivered more often
        than allowed, or cannot be decoded, goes to the dead letters with a FAILED tombstone instead."""

    def hold_windows(self, taken: Sequence[TakenWindow]) -> None:
        """Keep windows that are still being worked on from being thought those of a dead consumer: the time after
        which they are given to another begins anew. One that is not held any more stays with whoever holds it. May be
        called from another thread."""

    def publish_scores(self, taken: TakenWindow, scores: Scores) -> bool:
        """Publish and let go of the window; False when the window was no longer held, and nothing was published."""

    def bury_window(self, taken: TakenWindow, *, reason: str) -> bool:
        """Move the window to the dead letters and publish a FAILED tombstone, under the same condition."""


class EvidenceRecords(Protocol):
    """What has become of the evidence of events."""

    def evidence_of(self, event_ids: Sequence[str]) -> Mapping[str, EvidenceRecord]:
        """Return it of these events, of those of which it is known."""


class AlertQueue(EvidenceRecords, Protocol):
    """The third atomic step: rule state, events, outboxes and the acknowledgement of the scores, together."""

    def acquire_alert(self, *, ttl_s: float) -> int | None:
        """Become the one alert worker for `ttl_s`; return a fencing token, or None while another one is alive."""

    def renew_alert(self, token: int, *, ttl_s: float) -> None:
        """Stay the alert worker.

        Raises:
            StaleOwner: another worker has taken over.
        """

    def release_alert(self, token: int) -> None:
        """Let another worker take over at once. Does nothing when `token` is stale."""

    def load_states(self) -> Mapping[str, bytes]:
        """Return the committed state of each source. What is no text in a name is there as U+FFFD."""

    def take_scores(self, token: int, *, max_count: int, block_s: float) -> list[TakenScores]:
        """Wait up to `block_s` for scores. The first calls after taking over return all that are not yet committed; so
        do those after an outage, since nobody knows what the server has lost.

        Whoever was taken over may read on: `renew_alert` and `commit` tell that it was.
        """

    def commit(
        self,
        token: int,
        *,
        source_id: str,
        state: bytes,
        events: Sequence[Message],
        outbox: Sequence[tuple[str, Message]],
        done: Sequence[str],
        judged: Sequence[Scores] = (),
        evidence: Sequence[EvidenceRequest] = (),
        judged_epoch: str = "",
    ) -> None:
        """Store the state, publish the events, fill the outboxes `(sink_id, message)`, let go of the scores `done`, and
        add to the history what the rules have `judged`, in its order.

        Args:
            evidence: what is wanted of the reader of the source.
            judged_epoch: the epoch of a file of which nothing more will be wanted after that.

        Raises:
            StaleOwner: another worker has taken over; nothing was stored.
        """

    def report_rules(self, status: RuleStatus) -> None: ...

    def want_rescored(self, window_id: WindowId, *, ttl_s: float) -> None:
        """Let the reader of a source know that this window can stand for no other any more."""

    def keep_rulebook(self, config_hash: str, rulebook: bytes) -> None:
        """Keep the rules that are decided by from now on, for whoever asks later what an event was decided by."""


class DeliveryQueue(Protocol):
    """The outboxes. One worker at a time delivers for a sink, so that its messages stay in order."""

    def acquire_sink(self, sink_id: str, *, ttl_s: float) -> int | None: ...

    def renew_sink(self, sink_id: str, token: int, *, ttl_s: float) -> None:
        """Raises StaleOwner when another worker delivers for this sink."""

    def release_sink(self, sink_id: str, token: int) -> None: ...

    def take_messages(self, sink_id: str, *, max_count: int, block_s: float) -> list[TakenMessage]:
        """Wait up to `block_s` for messages, oldest first; those taken and not settled by a former owner come again.

        Raises:
            StaleOwner: there are messages, and another worker delivers for this sink.
        """

    def settle_message(self, sink_id: str, taken: TakenMessage) -> None: ...

    def bury_message(self, sink_id: str, taken: TakenMessage, *, reason: str) -> None: ...


class EventLog(Protocol):
    """The public event stream, as a consumer reads it."""

    def last_event_id(self) -> str:
        """The id of the newest event, or "0" when there is none."""

    def newest_events(self, *, max_count: int) -> list[tuple[str, bytes]]:
        """Return the newest events as `read_events` does, the oldest of them first."""

    def read_events(self, *, after_id: str, max_count: int, block_s: float) -> list[tuple[str, bytes]]:
        """Return `(id, CloudEvents JSON)` of the events after `after_id` ("0" for the oldest retained)."""


class ScoreHistory(Protocol):
    """What the rules have judged, source by source, for as long as it is kept. Display and trials only."""

    def read_history(
        self, source_id: str, *, since: float, after_id: str = "0", max_count: int
    ) -> list[tuple[str, Scores]]:
        """Return `(id, scores)`, oldest first, of what was committed from `since` on and after `after_id`.

        `since` is in Unix seconds by the clock of the queue. Of the wall clocks of a window only `captured_at` is kept;
        `produced_at` and `scored_at` are the same.
        """

    def read_rulebook(self, config_hash: str) -> bytes | None:
        """Return the rules of a configuration as `keep_rulebook` got them; None where they are not kept any more."""


class PictureBoard(Protocol):
    """The latest picture of each source. Readers make pictures only while somebody looks at them."""

    def watch_pictures(self, source_ids: Sequence[str], *, ttl_s: float) -> None:
        """Look at these sources for `ttl_s`; to be called again by who goes on looking. Their readers hear of it
        within about a second."""

    def latest_picture(self, source_id: str) -> Picture | None:
        """Return the newest picture of a source; None where there is none, or none young enough."""


class DeadLetters(Protocol):
    def list_dead(self, *, max_count: int) -> list[DeadLetter]: ...

    def replay_dead(self, letter_id: str) -> bool:
        """Put the letter back where it died; False when there is no such letter."""

    def drop_dead(self, letter_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class QueueDepths:
    """How much waits where."""

    windows: int
    window_bytes: int
    scores: int
    outbox: Mapping[str, int]
    dead: int


class Overview(Protocol):
    """What an operator, and the end of a run over files, want to know."""

    def source_statuses(self) -> Mapping[str, SourceStatus]: ...

    def rule_statuses(self) -> Mapping[str, RuleStatus]: ...

    def depths(self, sink_ids: Sequence[str]) -> QueueDepths: ...

    def evidence_waiting(self, source_ids: Sequence[str]) -> int:
        """Return how much evidence of these sources was asked for and is not there yet."""

    def inspect(self, sink_ids: Sequence[str] = ()) -> Inspection:
        """Look at everything that waits and at who holds what. The outboxes are those of these sinks, and all others
        in which something waits."""

    def waiting_messages(self, sink_id: str, *, max_count: int) -> list[str]:
        """Return the ids of the oldest messages that wait in an outbox."""

    def epoch_ended(self, source_id: str, epoch: str | None = None) -> bool:
        """True when the source's current epoch, and that is `epoch` where one is given, has ended."""

    def forget_source(self, source_id: str) -> None:
        """Forget the epoch, the rule state and the history of a source, so that the same file may be played again."""

    def forget_sink(self, sink_id: str) -> int:
        """Drop what waits for a sink; return how many messages that were.

        Raises:
            QueueError: a worker delivers for it.
        """


# ------------------------------------------------------------------------------------------------------------ model


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """One window for the model: `frames` uint8 (R, T, S, S, 3), to be scored against `prompts`."""

    frames: Pixels
    prompts: tuple[str, ...]


class ClipScorer(Protocol):
    """The model as the score worker sees it."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def score(self, requests: Sequence[ClipRequest]) -> list[Logits]:
        """Score a batch: for each request float32 logits of shape (R, K).

        Raises:
            ScoringError: the batch could not be scored.
        """


# ------------------------------------------------------------------------------------------------------------ sinks


class Sink(Protocol):
    """Where events go. `deliver` returns only when the message is safe there."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def deliver(self, message: Message) -> None:
        """Deliver one message; the same message may come again.

        Raises:
            DeliveryError: trying again may help.
            DeliveryRejected: trying again will not help.
        """


@runtime_checkable
class BatchSink(Sink, Protocol):
    """A sink that is given several messages at once, as a mail is that tells of all that happened in a minute."""

    @property
    def window_s(self) -> float:
        """For how long messages are gathered from the first one on."""

    def deliver_all(self, messages: Sequence[Message]) -> None:
        """Deliver all of them, or none; raises what `deliver` does."""


class Clock(Protocol):
    """Time as an argument: the loops get one, tests give their own."""

    def now(self) -> float:
        """Unix seconds."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""

    def sleep(self, duration_s: float) -> None:
        """Wait; may return early when the process is asked to stop."""
