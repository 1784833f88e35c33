"""The memory of the in-memory queue: what a Redis server holds, as plain values under one lock."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from threading import Condition
from typing import Generic, TypeVar

from xclip_stream.errors import StaleOwner
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.protocols import Clock, RuleStatus, SourceStatus
from xclip_stream.queues.limits import DEFAULT_MAX_BYTES, QueueLimits
from xclip_stream.types import DeadLetter, Message, Picture, Scores, ScoreStatus, Window, WindowId

Value = TypeVar("Value")


class MemoryStream(Generic[Value]):
    """Entries in the order of their ids, which count up and are never used twice.

    Args:
        now: tells when an entry was added.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[int, Value] = {}
        self._added_at: dict[int, float] = {}
        self._last_id = 0

    @property
    def oldest_s(self) -> float | None:
        """The age of the oldest entry; None where there is none."""
        return next((max(0.0, self._now() - self._added_at[key]) for key in self._entries), None)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, value: Value) -> int:
        self._last_id += 1
        self._entries[self._last_id] = value
        self._added_at[self._last_id] = self._now()
        return self._last_id

    def get(self, entry_id: int) -> Value | None:
        return self._entries.get(entry_id)

    def pop(self, entry_id: int) -> Value | None:
        self._added_at.pop(entry_id, None)
        return self._entries.pop(entry_id, None)

    def after(self, entry_id: int) -> Iterator[tuple[int, Value]]:
        return ((key, value) for key, value in self._entries.items() if key > entry_id)

    def added_at(self, entry_id: int) -> float:
        return self._added_at[entry_id]

    def trim(self, length: int) -> None:
        for entry_id in list(islice(self._entries, max(0, len(self._entries) - length))):
            self.pop(entry_id)


@dataclass(slots=True)
class SourceRecord:
    """What the queue knows of a source. `run` tells apart what was added before and after the source was forgotten."""

    run: int
    token: int = 0
    """That of the newest reader."""
    epoch: str = ""
    generation: int = 0
    next_seq: int = 0
    ended: bool = True
    waiting: int = 0
    live: bool = False
    pts_s: float = 0.0
    captured_at: float = 0.0


@dataclass(slots=True)
class QueuedWindow:
    """A window in the queue, and who holds it."""

    window: Window
    generation: int
    run: int
    added_at: float
    """Seconds of the clock that never goes back."""
    holder: str | None = None
    taken_at: float = 0.0
    deliveries: int = 0


@dataclass(slots=True)
class QueuedMessage:
    message: Message
    deliveries: int = 0


@dataclass(slots=True)
class Grave:
    """A dead letter, and what replay puts back."""

    letter: DeadLetter
    content: QueuedWindow | QueuedMessage | None
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Lease:
    token: int
    holder: str
    expires_at: float


class SystemClock:
    """Time as the operating system tells it."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s)


@dataclass(eq=False)
class MemoryStore:
    """Everything that the consumers of one in-memory queue share. Hold `changed` while touching it.

    Args:
        waits: whether blocking calls wait for other threads; otherwise they let the clock sleep.
    """

    clock: Clock
    limits: QueueLimits
    waits: bool = True
    changed: Condition = field(default_factory=Condition)
    sources: dict[str, SourceRecord] = field(default_factory=dict)
    windows: dict[bool, MemoryStream[QueuedWindow]] = field(init=False)
    """The windows of live sources, and those of files."""
    window_bytes: int = 0
    score_workers_seen_at: dict[str, float] = field(default_factory=dict)
    """When each consumer last took or held on a window, in seconds of the monotonic clock."""
    scores: MemoryStream[Scores] = field(init=False)
    states: dict[str, bytes] = field(default_factory=dict)
    events: MemoryStream[Message] = field(init=False)
    outboxes: defaultdict[str, MemoryStream[QueuedMessage]] = field(init=False)
    dead: MemoryStream[Grave] = field(init=False)
    leases: dict[str, Lease] = field(default_factory=dict)
    ingest_team: dict[str, float] = field(default_factory=dict)
    """The workers that read sources, and until when each is taken for alive."""
    history: defaultdict[str, MemoryStream[Scores]] = field(init=False)
    rulebooks: dict[str, bytes] = field(default_factory=dict)
    """The rules of configurations, by their hash, the newest last."""
    last_token: int = 0
    last_run: int = 0
    last_commit: object = None
    source_statuses: dict[str, SourceStatus] = field(default_factory=dict)
    rule_statuses: dict[str, RuleStatus] = field(default_factory=dict)
    pictures: dict[str, tuple[Picture, float]] = field(default_factory=dict)
    """The latest picture of each source, and until when it is shown."""
    requests: defaultdict[str, MemoryStream[EvidenceRequest]] = field(init=False)
    """The evidence that is wanted of each source."""
    evidence: dict[str, tuple[EvidenceRecord, float]] = field(default_factory=dict)
    """What has become of the evidence of each event, and until when that is known."""
    judged_epochs: dict[str, str] = field(default_factory=dict)
    rescore: dict[str, tuple[WindowId, float]] = field(default_factory=dict)
    """The window of each source that can stand for no other, and until when that is told."""
    looked_at: dict[str, float] = field(default_factory=dict)
    """Until when somebody looks at the pictures of a source."""

    def __post_init__(self) -> None:
        now = self.clock.now
        self.windows = {True: MemoryStream(now), False: MemoryStream(now)}
        self.scores, self.events, self.dead = MemoryStream(now), MemoryStream(now), MemoryStream(now)
        self.outboxes = defaultdict(lambda: MemoryStream(now))
        self.requests = defaultdict(lambda: MemoryStream(now))
        self.history = defaultdict(lambda: MemoryStream(now))

    @property
    def max_bytes(self) -> int:
        return DEFAULT_MAX_BYTES if self.limits.max_bytes is None else self.limits.max_bytes

    def new_record(self) -> SourceRecord:
        self.last_run += 1
        return SourceRecord(run=self.last_run)

    def lease(self, role: str) -> Lease | None:
        """Return the lease of a role while somebody holds it."""
        lease = self.leases.get(role)
        return lease if lease and lease.expires_at > self.clock.monotonic() else None

    def acquire(self, role: str, *, holder: str, ttl_s: float) -> int | None:
        lease = self.lease(role)
        if lease and lease.holder != holder:
            return None
        self.last_token += 1
        self.leases[role] = Lease(self.last_token, holder, self.clock.monotonic() + ttl_s)
        return self.last_token

    def renew(self, role: str, token: int, *, ttl_s: float) -> None:
        holder = self.check_token(role, token).holder
        self.leases[role] = Lease(token, holder, self.clock.monotonic() + ttl_s)

    def release(self, role: str, token: int) -> None:
        lease = self.lease(role)
        if lease and lease.token == token:
            del self.leases[role]

    def check_token(self, role: str, token: int) -> Lease:
        lease = self.lease(role)
        if lease is None or lease.token != token:
            raise StaleOwner(f"another worker has taken over the role {role}")
        return lease

    def window_to_rescore(self, source_id: str) -> WindowId | None:
        window_id, until_s = self.rescore.get(source_id, (None, 0.0))
        return window_id if self.clock.monotonic() < until_s else None

    def keep_history(self, source_id: str, judged: Sequence[Scores]) -> None:
        """Keep what the rules have judged, and let go of what is too old or too much."""
        if not judged or self.limits.history_s == 0:
            return
        history = self.history[source_id]
        for scores in judged:
            history.add(replace(scores, produced_at=scores.captured_at, scored_at=scores.captured_at))
        since = self.clock.now() - self.limits.history_s
        for entry_id in [key for key, _ in history.after(0) if history.added_at(key) < since]:
            history.pop(entry_id)
        history.trim(self.limits.history_entries)

    def keep_dead(self, grave: Grave) -> None:
        """Keep a dead letter; without its payload where the payloads kept already fill their share."""
        room = self.max_bytes // 4 if self.limits.dead_bytes is None else self.limits.dead_bytes
        if sum(other.num_bytes for _, other in self.dead.after(0)) + grave.num_bytes > room:
            grave = Grave(replace(grave.letter, payload=b""), None, 0)
        self.dead.add(grave)
        self.dead.trim(self.limits.dead_letters)


def tombstone(
    window_id: WindowId,
    *,
    generation: int,
    status: ScoreStatus,
    live: bool,
    pts_s: float,
    captured_at: float,
    now: float,
) -> Scores:
    """Return scores that take a `seq` without a window."""
    return Scores(
        id=window_id,
        generation=generation,
        status=status,
        live=live,
        first_pts_s=pts_s,
        last_pts_s=pts_s,
        captured_at=captured_at,
        produced_at=now,
        scored_at=now,
    )
