"""Makes the evidence of one source's events: takes requests, cuts clips and pictures, and says what became of it."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import EvidenceError, FootageGone, QueueUnavailable
from xclip_stream.evidence import CLIP, SNAPSHOT, EvidenceRecord, EvidenceRequest
from xclip_stream.pipeline.backoff import Backoff
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import Clip, Clock, EvidenceStore, Footage, IngestQueue, TakenRequest

RECORD_LIVES_S = 86_400.0
"""For so long it is known what has become of the evidence of an event, after the last change."""
GIVE_UP_S = 600.0
"""Evidence that fails for so long is given up."""
_OVERDUE_S = 10.0
"""So long after the end of a clip of a camera that gives no frames, no more are waited for."""


@dataclass(slots=True)
class _Job:
    """The evidence of one event: the newest request, and how far it is."""

    request: EvidenceRequest
    entries: list[str] = field(default_factory=list)
    """The requests that are not settled."""
    record: EvidenceRecord = field(default_factory=EvidenceRecord)
    told: EvidenceRecord | None = None
    """What the queue has heard of it."""
    clip: Clip | None = None
    snapshot_at: float | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, cap_s=30.0))
    retry_at: float = 0.0
    failing_since: float | None = None


class EvidenceDesk:
    """Makes what is asked for, one step at a time; nothing waits for it, and nothing else fails with it.

    A request comes again until it is settled, and is settled when its files are there or given up: so a reader that
    is killed leaves all to its successor. What fails is tried again, less and less often.

    `take` may be called from any thread, all else from one.

    Args:
        pre_roll_s: how much of a clip lies before the first window of the event.
        post_roll_s: how much lies after the last one.
        max_clip_s: a clip is not longer.
        tally: counts the pictures and clips.
    """

    def __init__(
        self,
        *,
        source_id: str,
        queue: IngestQueue,
        footage: Footage,
        store: EvidenceStore,
        clock: Clock,
        log: FilteringBoundLogger,
        pre_roll_s: float,
        post_roll_s: float,
        max_clip_s: float,
        tally: Tally | None = None,
    ) -> None:
        self._source_id = source_id
        self._queue = queue
        self._footage = footage
        self._store = store
        self._clock = clock
        self._log = log.bind(source=source_id)
        self._pre_roll_s = pre_roll_s
        self._post_roll_s = post_roll_s
        self._max_clip_s = max_clip_s
        self._tally = tally or Tally()
        self._inbox: deque[TakenRequest] = deque()
        self._jobs: dict[str, _Job] = {}
        self._is_closing = False
        self.made = 0
        """Events whose evidence is complete."""
        self.failed = 0
        """Events of whose evidence something was given up."""

    @property
    def is_busy(self) -> bool:
        """True while something that was asked for is not settled."""
        return bool(self._inbox) or any(job.entries for job in self._jobs.values())

    def take(self, requests: Iterable[TakenRequest]) -> None:
        """Take requests; the same one may come again."""
        self._inbox.extend(requests)

    def step(self) -> None:
        """Do what can be done now."""
        while self._inbox:
            self._note(self._inbox.popleft())
        for event_id, job in list(self._jobs.items()):
            if self._clock.monotonic() >= job.retry_at:
                self._work_on(job)
            if self._tell(job) and job.record.is_complete and job.request.ends_at is not None:
                self.made += not job.record.error
                del self._jobs[event_id]

    def close(self) -> None:
        """Finish the clips of events that have ended, to which nobody can add, and let go of what else is open."""
        self._is_closing = True
        for job in self._jobs.values():
            if job.clip is not None and job.request.ends_at is not None:
                self._work_on(job)
                self._tell(job)
            if job.clip is not None:
                job.clip.close()

    def _note(self, taken: TakenRequest) -> None:
        job = self._jobs.setdefault(taken.request.event_id, _Job(taken.request))
        job.request = taken.request
        if taken.entry_id not in job.entries:
            job.entries.append(taken.entry_id)

    def _work_on(self, job: _Job) -> None:
        failures = [self._failure(part, job) for part in (self._take_snapshot, self._continue_clip)]
        failure = next((error for error in failures if error is not None), None)
        if failure is not None:
            self._note_failure(job, failure)
        else:
            job.failing_since = None
            job.backoff.reset()

    def _failure(self, part: Callable[[_Job], None], job: _Job) -> EvidenceError | None:
        """Do one part of the work; return why it failed. The other part is done all the same."""
        try:
            part(job)
        except EvidenceError as error:
            return error
        return None

    def _take_snapshot(self, job: _Job) -> None:
        request = job.request
        if job.snapshot_at == request.peak_at or job.record.error:
            return
        name = request.name + SNAPSHOT
        # That of a reader that was killed is of the peak, or nearer to it than what came since.
        if self._footage.reaches(request.peak_at) or not self._store.has(name):
            picture = self._footage.snapshot(request.peak_at, caption=caption_of(request))
            draft = self._draft(name)
            _write(draft, picture)
            self._store.keep(draft, name)
            self._tally.add(snapshots=not job.record.snapshot)
        job.snapshot_at = request.peak_at
        job.record = replace(job.record, snapshot=True)

    def _continue_clip(self, job: _Job) -> None:
        request = job.request
        if job.record.is_complete:
            return
        begins_at = request.begins_at - self._pre_roll_s
        ends_at = min(
            inf if request.ends_at is None else request.ends_at + self._post_roll_s, begins_at + self._max_clip_s
        )
        if not self._footage.grows and request.ends_at is None:
            return  # it is cut in one piece, when its end is known
        name = request.name + CLIP
        if job.clip is None:
            job.clip = self._footage.begin_clip(
                self._store.place(name), begins_at=begins_at, caption=caption_of(request)
            )
        is_all = job.clip.extend(ends_at=ends_at) or self._is_closing or self._is_overdue(ends_at)
        event_ends_at = ends_at if request.ends_at is None else min(request.ends_at, ends_at)
        lacks_from = job.clip.lacks_from(request.begins_at, event_ends_at if is_all else None)
        if is_all:
            draft = self._draft(name)
            job.clip.finish(draft)
            self._store.keep(draft, name)
            job.clip = None
            is_partial = lacks_from is not None
            job.record = replace(job.record, clip=True, is_complete=True, partial=is_partial, lacks_from=None)
            self._tally.add(clips=1)
            self._log.info(
                "evidence_made", event_id=request.event_id, rule=request.rule_id, name=name, partial=is_partial
            )
        else:
            job.record = replace(job.record, clip=self._store.shows_growing, lacks_from=lacks_from)

    def _is_overdue(self, ends_at: float) -> bool:
        return self._footage.grows and self._clock.now() - ends_at > _OVERDUE_S

    def _draft(self, name: str) -> Path:
        place = self._store.place(name)
        return place.with_name(f".{place.name}.draft")

    def _note_failure(self, job: _Job, error: EvidenceError) -> None:
        now = self._clock.monotonic()
        if job.clip is not None:
            job.clip.close()
            job.clip = None
        if job.failing_since is None:
            job.failing_since = now
            self._log.warning("evidence_failed", event_id=job.request.event_id, error=str(error))
        job.retry_at = now + job.backoff.next_delay_s()
        is_hopeless = job.record.is_complete or isinstance(error, FootageGone)
        is_last_try = is_hopeless and job.request.ends_at is not None
        if is_last_try or now - job.failing_since > GIVE_UP_S:
            self.failed += 1
            self._tally.add(snapshots_failed=not job.record.snapshot, clips_failed=not job.record.is_complete)
            job.record = replace(job.record, is_complete=True, error=str(error))
            self._log.error("evidence_given_up", event_id=job.request.event_id, error=str(error))

    def _tell(self, job: _Job) -> bool:
        """Tell the queue of what is new, and settle what is done; False when it could not be told."""
        settled = job.entries if job.record.is_complete else []
        if job.record == job.told and not settled:
            return True
        try:
            self._queue.record_evidence(
                self._source_id, job.request.event_id, job.record, ttl_s=RECORD_LIVES_S, settled=settled
            )
        except QueueUnavailable:
            return False
        job.told = job.record
        job.entries = [entry_id for entry_id in job.entries if entry_id not in settled]
        return True


def caption_of(request: EvidenceRequest) -> str:
    """Return the line that is painted on pictures, where somebody wants one."""
    return f"{request.source_id}  {request.rule_id}: {request.prompt} ({request.peak_score:.2f})"


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be written ({error.strerror})") from error
