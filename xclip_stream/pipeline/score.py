"""The loop that scores windows: take a batch, score it, publish each window together with its acknowledgement."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import QueueUnavailable, ScorerBroken, ScorerOutOfMemory, ScoringError
from xclip_stream.meters import ScoreMeters
from xclip_stream.pipeline.backoff import QueueOutage
from xclip_stream.pipeline.batch_guard import BatchGuard
from xclip_stream.pipeline.vitals import Pulse
from xclip_stream.protocols import ClipRequest, ClipScorer, Clock, ScoreQueue, TakenWindow
from xclip_stream.types import Logits, Scores, ScoreStatus

MAX_HALVINGS = 3
STRANGER_WAIT_S = 2.0
"""How long a source that is not known is looked for in a changed configuration: ingest may have read it sooner."""
STRANGER_REST_S = 10.0
"""After a wait in vain no other source is waited for: many new ones at a time must not let all other windows age."""
MAX_FORMER_SOURCES = 10_000


class ScoreLoop:
    """Scores windows until it is asked to stop; the batch in hand is finished first.

    A window is published and let go of in one step of the queue, so a scorer that dies at any point loses nothing: the
    windows that it held are claimed by another, or by itself when it comes back.

    - A live window older than `max_age_s` becomes an EXPIRED tombstone and costs no model time.
    - A batch that fails is scored window by window, so that only the bad one suffers. That one stays taken, comes again
      after the queue's claim time, and goes to the dead letters when it has failed `max_deliveries` times.
    - New prompts are taken up between two batches. What a source that was removed has left is scored against nothing,
      as is a source with no prompts at all.
    - A source that was never in `prompts` is waited for a little, once and not one after the other, and then fails like
      a bad window: while a changed configuration is being rolled out, a worker that knows the source gets the window in
      time.
    - A batch too big for the device is halved, and so are all that follow, up to three times in the life of the worker.
      After that, and when the model is broken for good, ScorerBroken leaves the loop: the process has to end with an
      exit code that is not 0, and its windows are claimed by another.
    - While the queue cannot be reached the loop waits; scores that are computed are kept until they are published.
    - A batch that takes its time is held on by the guard, which ends the process when the model hangs.

    Args:
        prompts: for each source the prompts to score, in a stable order.
        new_prompts: gives the next ones once, when there are others; asked often.
        hurry: is called before `new_prompts` where they are waited for, to be looked for at once.
    """

    def __init__(
        self,
        *,
        queue: ScoreQueue,
        scorer: ClipScorer,
        guard: BatchGuard,
        prompts: Mapping[str, tuple[str, ...]],
        new_prompts: Callable[[], Mapping[str, tuple[str, ...]] | None] = lambda: None,
        hurry: Callable[[], None] = lambda: None,
        clock: Clock,
        stopping: Callable[[], bool],
        log: FilteringBoundLogger,
        batch_size: int = 8,
        max_age_s: float = 10.0,
        max_deliveries: int = 3,
        block_s: float = 0.25,
        pulse: Pulse | None = None,
        meters: ScoreMeters | None = None,
    ) -> None:
        self._queue = queue
        self._scorer = scorer
        self._guard = guard
        self._prompts = prompts
        self._new_prompts = new_prompts
        self._hurry = hurry
        self._strangers: set[str] = set()
        self._rest_until = float("-inf")
        self._clock = clock
        self._stopping = stopping
        self._log = log
        self._batch_size = batch_size
        self._halvings = 0
        self._max_age_s = max_age_s
        self._max_deliveries = max_deliveries
        self._block_s = block_s
        self._meters = meters or ScoreMeters()
        self._outage = QueueOutage(clock=clock, stopping=stopping, log=log, pulse=pulse)
        self._outcomes: Counter[str] = Counter()

    def run(self) -> None:
        """Score until asked to stop.

        Raises:
            ScorerBroken: only a new process can score again.
        """
        while not self._stopping():
            try:
                self.step()
            except QueueUnavailable as error:
                self._outage.wait(error)

    def step(self) -> None:
        """Wait for windows, once, and deal with those that came."""
        self._exchange_prompts()
        batch = self._queue.take_windows(max_count=self._batch_size, block_s=self._block_s)
        self._outage.over()
        if not batch:
            return
        started_at, oldest_at = self._clock.monotonic(), min(taken.window.produced_at for taken in batch)
        self._outcomes.clear()
        self._guard.take(batch)
        fresh = [taken for taken in batch if not self._sort_out(taken)]
        if fresh:
            self._score(fresh)
        self._log_batch(took_s=self._clock.monotonic() - started_at, oldest_s=self._clock.now() - oldest_at)

    def _sort_out(self, taken: TakenWindow) -> bool:
        """Deal with a window that the model need not see; False for all others."""
        window = taken.window
        if window.live and taken.waited_s > self._max_age_s:
            self._publish(taken, ScoreStatus.EXPIRED)
            return True
        if not self._knows(window.id.source_id):
            self._fail(taken, f"the source {window.id.source_id} is not in the configuration of this score worker")
            return True
        return False

    def _exchange_prompts(self) -> None:
        new = self._new_prompts()
        if new is None:
            return
        former = [source_id for source_id in self._prompts if source_id not in new][-MAX_FORMER_SOURCES:]
        self._prompts = {**dict.fromkeys(former, ()), **new}
        self._strangers.clear()
        self._meters.configured(source_ids=new.keys())

    def _knows(self, source_id: str) -> bool:
        """Tell whether a source is in the configuration, or comes into it while we wait."""
        if source_id in self._prompts or source_id in self._strangers:
            return source_id in self._prompts
        self._strangers.add(source_id)
        now = self._clock.monotonic()
        until = now if now < self._rest_until else now + STRANGER_WAIT_S
        while source_id not in self._prompts and self._clock.monotonic() < until and not self._stopping():
            self._clock.sleep(0.1)
            self._hurry()
            self._exchange_prompts()
        if until > now and source_id not in self._prompts:
            self._rest_until = until + STRANGER_REST_S
        return source_id in self._prompts

    def _score(self, batch: Sequence[TakenWindow]) -> None:
        rest = list(batch)
        while rest:
            part, started_at = rest[: self._batch_size], self._clock.monotonic()
            try:
                with self._guard.scoring():
                    found = self._scorer.score([self._request(taken) for taken in part])
            except ScorerOutOfMemory as error:
                self._halve(len(part), error)
                continue
            except ScoringError as error:
                self._score_singly(part, error)
            else:
                self._meters.batch_scored(windows=len(part), took_s=self._clock.monotonic() - started_at)
                for taken, logits in zip(part, found, strict=True):
                    self._publish(taken, ScoreStatus.SCORED, logits)
            del rest[: len(part)]

    def _score_singly(self, batch: Sequence[TakenWindow], failure: ScoringError) -> None:
        """Find the windows that made a batch fail."""
        if len(batch) == 1:
            self._fail(batch[0], str(failure))
            return
        for taken in batch:
            self._score([taken])

    def _halve(self, tried: int, failure: ScorerOutOfMemory) -> None:
        if tried == 1 or self._halvings == MAX_HALVINGS:
            raise ScorerBroken(f"out of memory with a batch of {tried}: {failure}; lower model.batch_size")
        self._halvings += 1
        self._batch_size = tried // 2
        self._log.warning("batch_halved", batch_size=self._batch_size, error=str(failure))

    def _request(self, taken: TakenWindow) -> ClipRequest:
        return ClipRequest(frames=taken.window.frames, prompts=self._prompts[taken.window.id.source_id])

    def _publish(self, taken: TakenWindow, status: ScoreStatus, logits: Logits | None = None) -> None:
        scores = self._outcome(taken, status, logits)
        published = self._outage.insist(lambda: self._queue.publish_scores(taken, scores))
        self._guard.let_go(taken)
        self._note(taken, status if published else "not_held")

    def _outcome(self, taken: TakenWindow, status: ScoreStatus, logits: Logits | None) -> Scores:
        window = taken.window
        tombstone = Scores(
            id=window.id,
            generation=taken.generation,
            status=status,
            live=window.live,
            first_pts_s=window.first_pts_s,
            last_pts_s=window.last_pts_s,
            captured_at=window.captured_at,
            produced_at=window.produced_at,
            scored_at=self._clock.now(),
        )
        if logits is None:
            return tombstone
        return replace(
            tombstone,
            regions=window.regions,
            prompts=self._prompts[window.id.source_id],
            logits=logits,
            model_name=self._scorer.name,
            model_sha256=self._scorer.sha256,
        )

    def _fail(self, taken: TakenWindow, reason: str) -> None:
        """Leave a window to be delivered again, or bury it when that was tried often enough."""
        self._guard.let_go(taken)
        buried = taken.deliveries >= self._max_deliveries
        if buried:
            self._outage.insist(lambda: self._queue.bury_window(taken, reason=reason))
        self._note(taken, "failed")
        self._log.warning(
            "window_buried" if buried else "window_failed",
            source=taken.window.id.source_id,
            seq=taken.window.id.seq,
            deliveries=taken.deliveries,
            reason=reason,
        )

    def _note(self, taken: TakenWindow, outcome: str) -> None:
        self._outcomes[outcome] += 1
        self._meters.window_done(taken.window, outcome, now=self._clock.now())

    def _log_batch(self, *, took_s: float, oldest_s: float) -> None:
        self._log.debug(
            "batch_scored",
            count=self._outcomes.total(),
            **{str(outcome): number for outcome, number in self._outcomes.items()},
            ms=round(took_s * 1000, 1),
            windows_per_s=round(self._outcomes[ScoreStatus.SCORED] / took_s, 1) if took_s > 0 else None,
            oldest_age_ms=round(oldest_s * 1000),
        )
