"""The in-memory queue's first half: windows come in, scores go out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from xclip_stream.codec import encode_window
from xclip_stream.errors import StaleOwner
from xclip_stream.evidence import EvidenceRecord
from xclip_stream.protocols import Admission, Admitted, SourceStatus, TakenRequest, TakenWindow, Wishes
from xclip_stream.queues.limits import FILE_SHARE, FILES_FIRST_EVERY, gone_with_it
from xclip_stream.queues.memory_consumer import MemoryConsumer
from xclip_stream.queues.memory_store import Grave, QueuedWindow, SourceRecord, tombstone
from xclip_stream.types import DeadLetter, Picture, Scores, ScoreStatus, Window, WindowId


class MemoryIngest(MemoryConsumer):
    """The ingest role."""

    def begin_epoch(self, source_id: str, epoch: str, *, live: bool, token: int = 0) -> int:
        with self._store.changed:
            record = self._store.sources.get(source_id) or self._store.new_record()
            if token < record.token:
                raise StaleOwner(f"another worker reads source {source_id} now")
            self._store.sources[source_id] = record
            record.token = token
            self._store.last_token = max(self._store.last_token, token)
            if record.epoch == epoch:
                return record.next_seq
            if not record.ended:
                self._close_epoch(source_id, record)
            record.epoch, record.live, record.ended = epoch, live, False
            record.generation += 1
            record.next_seq = record.waiting = 0
            return 0

    def add_window(self, window: Window, *, token: int = 0) -> Admitted:
        with self._store.changed:
            record, refused = self._admit(window.id, token)
            if record is None:
                return refused
            if self._is_full(window, record):
                return Admitted(Admission.FULL, record.next_seq)
            self._take_seq(record, pts_s=window.last_pts_s, captured_at=window.captured_at)
            self._enqueue(QueuedWindow(window, record.generation, record.run, self._store.clock.monotonic()))
            return Admitted(Admission.ADDED, record.next_seq)

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
        with self._store.changed:
            record, refused = self._admit(window_id, token)
            if record is None:
                return refused
            self._take_seq(record, pts_s=pts_s, captured_at=captured_at)
            record.ended = status.ends_epoch
            self._add_tombstone(window_id, record, status=status, live=live)
            return Admitted(Admission.ADDED, record.next_seq)

    def add_unchanged(
        self, window_id: WindowId, *, same_as: int, first_pts_s: float, pts_s: float, captured_at: float, token: int = 0
    ) -> Admitted:
        with self._store.changed:
            record, refused = self._admit(window_id, token)
            if record is None:
                return refused
            self._take_seq(record, pts_s=pts_s, captured_at=captured_at)
            scores = self._tombstone(window_id, record, status=ScoreStatus.UNCHANGED, live=True)
            self._add_scores(replace(scores, first_pts_s=first_pts_s, same_as=same_as))
            return Admitted(Admission.ADDED, record.next_seq)

    def report_source(self, status: SourceStatus) -> Wishes:
        with self._store.changed:
            self._store.source_statuses[status.source_id] = status
            looked_at_until = self._store.looked_at.get(status.source_id, float("-inf"))
            return Wishes(
                picture=self._store.clock.monotonic() < looked_at_until,
                requests=tuple(self._take_requests(status.source_id)),
                judged_epoch=self._store.judged_epochs.get(status.source_id, ""),
                rescore=self._store.window_to_rescore(status.source_id),
            )

    def put_picture(self, source_id: str, picture: Picture, *, ttl_s: float) -> None:
        with self._store.changed:
            self._store.pictures[source_id] = (picture, self._store.clock.monotonic() + ttl_s)

    def record_evidence(
        self, source_id: str, event_id: str, record: EvidenceRecord, *, ttl_s: float, settled: Sequence[str] = ()
    ) -> None:
        with self._store.changed:
            self._store.evidence[event_id] = (record, self._store.clock.monotonic() + ttl_s)
            for entry_id in settled:
                self._store.requests[source_id].pop(int(entry_id))

    def _take_requests(self, source_id: str) -> Iterator[TakenRequest]:
        role = f"evidence:{source_id}"
        for entry_id, request in list(self._store.requests[source_id].after(self._cursors.get(role, 0))):
            self._cursors[role] = entry_id
            yield TakenRequest(str(entry_id), request)

    def _admit(self, window_id: WindowId, token: int) -> tuple[SourceRecord | None, Admitted]:
        """Return the source's record when the `seq` is the next one, and otherwise the refusal."""
        record = self._store.sources.get(window_id.source_id)
        if record is None or not record.epoch:
            return None, Admitted(Admission.REWIND, 0)
        if token < record.token:
            return None, Admitted(Admission.STALE, 0)
        if token > record.token or record.epoch != window_id.epoch:
            return None, Admitted(Admission.REWIND, 0)
        answer = _answer(record, window_id.seq)
        return (record if answer is Admission.ADDED else None), Admitted(answer, record.next_seq)

    def _is_full(self, window: Window, record: SourceRecord) -> bool:
        limits, held = self._store.limits, self._store.window_bytes
        share = 1.0 if window.live else FILE_SHARE
        if held and held + window.frames.nbytes > share * self._store.max_bytes:
            return True
        if window.live:
            return record.waiting >= limits.live_windows
        return record.waiting >= limits.file_windows or len(self._store.scores) >= limits.max_scores

    def _close_epoch(self, source_id: str, record: SourceRecord) -> None:
        window_id = WindowId(source_id, record.epoch, record.next_seq)
        self._add_tombstone(window_id, record, status=ScoreStatus.SOURCE_ENDED, live=record.live)

    def _add_tombstone(self, window_id: WindowId, record: SourceRecord, *, status: ScoreStatus, live: bool) -> None:
        self._add_scores(self._tombstone(window_id, record, status=status, live=live))

    def _tombstone(self, window_id: WindowId, record: SourceRecord, *, status: ScoreStatus, live: bool) -> Scores:
        return tombstone(
            window_id,
            generation=record.generation,
            status=status,
            live=live,
            pts_s=record.pts_s,
            captured_at=record.captured_at,
            now=self._store.clock.now(),
        )

    def _add_scores(self, scores: Scores) -> None:
        self._store.scores.add(scores)
        self._store.changed.notify_all()

    def _take_seq(self, record: SourceRecord, *, pts_s: float, captured_at: float) -> None:
        record.next_seq += 1
        record.pts_s, record.captured_at = pts_s, captured_at


def _answer(record: SourceRecord, seq: int) -> Admission:
    if seq < record.next_seq:
        return Admission.ALREADY_DONE
    if record.ended:
        return Admission.STALE
    return Admission.REWIND if seq > record.next_seq else Admission.ADDED


class MemoryScoring(MemoryConsumer):
    """The score role."""

    def take_windows(self, *, max_count: int, block_s: float) -> list[TakenWindow]:
        with self._store.changed:
            return self._wait_for(lambda: self._take(max_count), block_s=block_s)

    def hold_windows(self, taken: Sequence[TakenWindow]) -> None:
        with self._store.changed:
            for each in taken:
                queued = self._store.windows[each.window.live].get(_key(each))
                if queued and queued.holder == self._consumer:
                    queued.taken_at = self._note_seen()

    def publish_scores(self, taken: TakenWindow, scores: Scores) -> bool:
        with self._store.changed:
            queued = self._let_go(taken)
            if queued is None:
                return self._published == taken.entry_id
            self._published = taken.entry_id
            self._publish(queued, replace(scores, generation=queued.generation))
            return True

    def bury_window(self, taken: TakenWindow, *, reason: str) -> bool:
        with self._store.changed:
            queued = self._let_go(taken)
            if queued is None:
                return self._published == taken.entry_id
            self._published = taken.entry_id
            self._bury(queued, reason=reason, deliveries=taken.deliveries)
            return True

    def _take(self, max_count: int) -> list[TakenWindow]:
        suspect = self._claim()
        if suspect:
            return [suspect]
        self._batches += 1
        live_first = self._batches % FILES_FIRST_EVERY != 0
        taken: list[TakenWindow] = []
        for live in (live_first, not live_first):
            waiting = ((key, queued) for key, queued in self._store.windows[live].after(0) if queued.holder is None)
            taken += [self._hold(key, queued) for key, queued in islice(waiting, max_count - len(taken))]
        return taken

    def _claim(self) -> TakenWindow | None:
        """Take over one window of a dead consumer. It comes alone: it may be what the consumer died of."""
        stale_at = self._store.clock.monotonic() - self._claim_idle_s
        for live in (True, False):
            for key, queued in list(self._store.windows[live].after(0)):
                if queued.holder is None or queued.taken_at > stale_at:
                    continue
                if queued.deliveries < self._store.limits.max_deliveries:
                    return self._hold(key, queued)
                self._remove(key, queued)
                self._bury(queued, reason=gone_with_it(queued.deliveries), deliveries=queued.deliveries)
        return None

    def _hold(self, key: int, queued: QueuedWindow) -> TakenWindow:
        queued.holder, queued.taken_at = self._consumer, self._note_seen()
        queued.deliveries += 1
        entry_id = f"{'live' if queued.window.live else 'file'}/{key}"
        waited_s = self._store.clock.monotonic() - queued.added_at if queued.window.live else 0.0
        return TakenWindow(entry_id, queued.window, queued.generation, queued.deliveries, waited_s)

    def _note_seen(self) -> float:
        """Note that this consumer took or held on a window, and return when."""
        now_s = self._store.clock.monotonic()
        self._store.score_workers_seen_at[self._consumer] = now_s
        return now_s

    def _let_go(self, taken: TakenWindow) -> QueuedWindow | None:
        """Take the window out of the queue, once, whoever holds it now."""
        key = _key(taken)
        queued = self._store.windows[taken.window.live].get(key)
        if queued is None or queued.holder is None:
            return None
        self._remove(key, queued)
        return queued

    def _remove(self, key: int, queued: QueuedWindow) -> None:
        self._store.windows[queued.window.live].pop(key)
        self._store.window_bytes -= queued.window.frames.nbytes
        record = self._store.sources.get(queued.window.id.source_id)
        if record and (record.run, record.epoch) == (queued.run, queued.window.id.epoch):
            record.waiting -= 1

    def _publish(self, queued: QueuedWindow, scores: Scores) -> None:
        record = self._store.sources.get(scores.id.source_id)
        if record and record.run == queued.run:
            self._store.scores.add(scores)
        self._store.changed.notify_all()

    def _bury(self, queued: QueuedWindow, *, reason: str, deliveries: int) -> None:
        window, now = queued.window, self._store.clock.now()
        letter = DeadLetter(
            id="",
            origin="windows",
            subject=f"{window.id.source_id}/{window.id.epoch}/{window.id.seq}",
            reason=reason,
            deliveries=deliveries,
            died_at=now,
            payload=encode_window(window),
        )
        content = QueuedWindow(window, queued.generation, queued.run, self._store.clock.monotonic())
        self._store.keep_dead(Grave(letter, content, window.frames.nbytes))
        failed = Scores(
            id=window.id,
            generation=queued.generation,
            status=ScoreStatus.FAILED,
            live=window.live,
            first_pts_s=window.first_pts_s,
            last_pts_s=window.last_pts_s,
            captured_at=window.captured_at,
            produced_at=window.produced_at,
            scored_at=now,
        )
        self._publish(queued, failed)


def _key(taken: TakenWindow) -> int:
    return int(taken.entry_id.rpartition("/")[2])
