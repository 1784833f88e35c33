"""How an ingest worker reads its share of the sources, under leases, beside any number of others."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import QueueUnavailable, StaleOwner
from xclip_stream.pipeline.closing import close_source
from xclip_stream.pipeline.reader_process import Outcome
from xclip_stream.pipeline.readers import Readers
from xclip_stream.pipeline.shares import Moves, Shares
from xclip_stream.pipeline.vitals import Pulse
from xclip_stream.protocols import Clock, IngestQueue, IngestTeam, SourceLeases

MEETS_IN_A_LEASE = 4
"""So often in the life of a lease it is renewed: three answers may be lost."""
_LOOK_EVERY_S = 0.25


class SharedQueue(IngestQueue, SourceLeases, Protocol):
    """What this needs of the queue."""


class LeasedOrder(Protocol):
    """What a reader is told. Two are equal when they tell the same, whatever the lease."""

    def under(self, token: int) -> Self:
        """Return the same order for the lease with this token."""


Order = TypeVar("Order", bound=LeasedOrder)


@dataclass(frozen=True, slots=True)
class Task(Generic[Order]):
    """A source that is to be read; `silence_s` and `max_deaths` are those of `ReaderProcess`."""

    source_id: str
    order: Order
    live: bool
    silence_s: float
    max_deaths: int | None = None


class SharedReading(Generic[Order]):
    """Holds leases of its share of the sources and has a reader for each.

    The lease of a source decides who starts a reader; its token, which the reader shows with every step, decides who
    writes. So a reader is left alone while the queue cannot be asked: should another worker have taken the source over
    meanwhile, the queue refuses what comes with the older token. A lease that ran out is taken again where it is free,
    and the reader goes on; one that another worker has by now ends the reader at once.

    Args:
        clock: its sleeps are short, and need not end with the stop.
        lease_s: how long after the death of a worker its sources stay with it.
        is_dead: tells of the name of another worker whether it is known to be dead; no lease is then waited for.
        on_outcome: told when there is nothing more to read of a source.
    """

    def __init__(
        self,
        *,
        queue: SharedQueue,
        readers: Readers[Order],
        clock: Clock,
        log: FilteringBoundLogger,
        lease_s: float,
        is_dead: Callable[[str], bool],
        on_outcome: Callable[[str, Outcome], None],
    ) -> None:
        self._queue = queue
        self._readers = readers
        self._clock = clock
        self._log = log
        self._lease_s = lease_s
        self._is_dead = is_dead
        self._on_outcome = on_outcome
        self._shares = Shares(patience_s=lease_s)
        self._tasks: dict[str, Task[Order]] = {}
        self._tokens: dict[str, int] = {}
        self._started: dict[str, Task[Order]] = {}
        """What the readers were started with, the newest last."""
        self._stopping: set[str] = set()
        self._removed: dict[str, bool] = {}
        """Sources that may have an epoch open and are nobody's task any more, and whether each is live."""
        self._outcomes: dict[str, Outcome] = {}
        self._ended: set[str] = set()
        """Files that were read, and of which the queue knew the end."""
        self._meet_at = 0.0
        self._trouble: str | None = None
        """Why the queue cannot be asked."""

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """What became of the sources of which there is nothing more to read."""
        return {source_id: self._outcomes[source_id] for source_id in self._tasks if source_id in self._outcomes}

    def run(
        self,
        stop: Callable[[], bool],
        *,
        new_tasks: Callable[[], Sequence[Task[Order]] | None] = lambda: None,
        pulse: Pulse | None = None,
    ) -> None:
        """Read until `stop`, also where nothing is left to read: sources may be added, and Redis may lose an end.

        Args:
            new_tasks: asked several times a second: what is to be read from now on, or None where nothing has changed.
            pulse: told that this goes on, and whether the queue answers.
        """
        pulse = pulse or Pulse()
        # Before the first lease: one that cannot be renewed meanwhile would be lost on a busy machine.
        self._readers.warm_up()
        try:
            while not stop():
                changed = new_tasks()
                if changed is not None:
                    self.assign(changed)
                self.step()
                pulse.ready() if self._trouble is None else pulse.unready(self._trouble)
                self._clock.sleep(_LOOK_EVERY_S)
        finally:
            self._leave()

    def assign(self, tasks: Sequence[Task[Order]]) -> None:
        """Read these sources from now on: new ones start, others stop, changed ones start again."""
        before, self._tasks = self._tasks, {task.source_id: task for task in tasks}
        for source_id, task in before.items():
            if self._tasks.get(source_id) == task:
                continue
            self._outcomes.pop(source_id, None)
            self._ended.discard(source_id)
            if source_id not in self._tasks:
                self._removed[source_id] = task.live
            if source_id in self._started:
                self._stop_reader(source_id)
        for source_id in self._tasks:
            self._removed.pop(source_id, None)
        self._meet_at = 0.0

    def step(self) -> None:
        """Do what is due."""
        now_s = self._clock.monotonic()
        if now_s >= self._meet_at:
            self._meet_at = now_s + self._lease_s / MEETS_IN_A_LEASE
            self._meet(now_s)
        for source_id, outcome in self._readers.look_after().items():
            self._note_end(source_id, outcome)

    def _meet(self, now_s: float) -> None:
        """Keep what is held, look who else is there, and take or give back what follows from that."""
        try:
            self._renew()
            team = self._join()
            self._close_removed()
            self._look_for_lost_ends()
            held = [source_id for source_id in self._started if source_id not in self._stopping]
            wanted = [source_id for source_id in self._tasks if source_id not in self._outcomes]
            self._make(self._shares.decide(team, wanted=wanted, held=held, now_s=now_s))
        except QueueUnavailable as error:
            self._shares.note_outage(self._clock.monotonic())
            if self._trouble is None:
                self._log.warning("queue_unavailable", error=str(error))
            self._trouble = str(error)
        else:
            if self._trouble is not None:
                self._log.info("queue_available")
            self._trouble = None
            if self._clock.monotonic() - now_s > self._lease_s / 2:
                self._shares.note_outage(self._clock.monotonic())

    def _renew(self) -> None:
        for source_id, token in list(self._tokens.items()):
            try:
                self._queue.renew_source(source_id, token, ttl_s=self._lease_s)
            except StaleOwner:
                self._regain(source_id)

    def _regain(self, source_id: str) -> None:
        """Take a lease that ran out again, or end the reader when it is another worker's."""
        token = self._queue.acquire_source(source_id, ttl_s=self._lease_s)
        if token is not None:
            # The reader goes on with the older token, which is good until somebody has begun an epoch after it.
            self._tokens[source_id] = token
            self._readers.change_order(source_id, self._started[source_id].order.under(token))
            return
        self._log.warning("source_taken_over", source=source_id)
        self._readers.kill(source_id)
        self._forget(source_id)

    def _join(self) -> IngestTeam:
        team = self._queue.join_ingest(list(self._tasks), ttl_s=self._lease_s)
        dead = [worker for worker in team.others if self._is_dead(worker)]
        for worker in dead:
            self._log.warning("worker_found_dead", name=worker)
            self._queue.leave_ingest(list(self._tasks), worker=worker)
        return self._queue.join_ingest(list(self._tasks), ttl_s=self._lease_s) if dead else team

    def _make(self, moves: Moves) -> None:
        for source_id in moves.give_back:
            self._log.info("source_given_back", source=source_id)
            self._stop_reader(source_id)
        taken = 0
        for source_id in moves.take:
            if taken == moves.at_most:
                return
            if source_id in self._started:
                continue  # its lease ran out since it was renewed: the next look takes it again, with its reader
            token = self._queue.acquire_source(source_id, ttl_s=self._lease_s)
            if token is not None:
                self._start_reader(self._tasks[source_id], token)
                taken += 1

    def _start_reader(self, task: Task[Order], token: int) -> None:
        self._tokens[task.source_id] = token
        self._started[task.source_id] = task
        order = task.order.under(token)
        self._readers.add(task.source_id, order, silence_s=task.silence_s, max_deaths=task.max_deaths)

    def _stop_reader(self, source_id: str) -> None:
        self._stopping.add(source_id)
        self._readers.ask_to_stop(source_id)

    def _note_end(self, source_id: str, outcome: Outcome | None) -> None:
        """Let go of a source whose reader has ended."""
        task, token = self._forget(source_id)
        if outcome is Outcome.TAKEN_OVER:
            self._log.warning("source_taken_over", source=source_id)
        else:
            self._meet_at = 0.0
            if outcome is not None and self._tasks.get(source_id) == task:
                self._outcomes[source_id] = outcome
                self._on_outcome(source_id, outcome)
        # In an outage the lease runs out by itself.
        with suppress(QueueUnavailable):
            self._queue.release_source(source_id, token)

    def _forget(self, source_id: str) -> tuple[Task[Order], int]:
        self._stopping.discard(source_id)
        return self._started.pop(source_id), self._tokens.pop(source_id)

    def _close_removed(self) -> None:
        """End what removed sources have open, unless another worker reads them still: it will do the same."""
        for source_id in [source_id for source_id in self._removed if source_id not in self._started]:
            token = self._queue.acquire_source(source_id, ttl_s=self._lease_s)
            if token is not None:
                live = self._removed[source_id]
                close_source(self._queue, source_id, live=live, token=token, now=self._clock.now())
                self._queue.release_source(source_id, token)
                self._log.info("source_removed", source=source_id)
            del self._removed[source_id]

    def _look_for_lost_ends(self) -> None:
        """Read a file again when the queue does not know its end any more: it came back older than it was, or empty."""
        for source_id in [source_id for source_id, outcome in self._outcomes.items() if outcome is Outcome.DONE]:
            if self._queue.epoch_ended(source_id):
                self._ended.add(source_id)
            elif source_id in self._ended:
                self._log.warning("source_end_lost", source=source_id)
                self._ended.discard(source_id)
                del self._outcomes[source_id]

    def _leave(self) -> None:
        """Stop all readers, and free their sources when they have ended."""
        held = list(self._started)
        for source_id in held:
            self._readers.ask_to_stop(source_id)
        while self._readers.names:
            self._readers.look_after()
            self._clock.sleep(_LOOK_EVERY_S)
        with suppress(QueueUnavailable):
            self._queue.leave_ingest(held)
