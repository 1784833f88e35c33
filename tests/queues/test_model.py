"""Whatever happens to its consumers, the queue keeps its books: a model of what it owes, over each backend.

`test_twins` asks whether the backends answer the same. This asks whether what they answer is right.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from tests.queues.builders import PIXELS, Queue, scores_of, window
from tests.queues.conftest import Backend
from tests.redis_servers import VERSIONS, RedisServer
from xclip_stream.codec import decode_window
from xclip_stream.protocols import Admission, Admitted, TakenScores, TakenWindow
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.types import Scores, ScoreStatus, WindowId

LIMITS = QueueLimits(
    max_bytes=6 * PIXELS.nbytes, file_windows=3, live_windows=2, max_deliveries=3, dead_bytes=1000 * PIXELS.nbytes
)
SOURCES = ("film", "record", "camera")
sources = st.sampled_from(SOURCES)
places = st.integers(0, 9)
scorers = st.sampled_from([0, 1])
steps = st.sampled_from([0, 0, 0, 0, -1, 1])
"""How far from the wanted `seq` a reader is: at it, but for one that repeats itself or knows of a later state."""


@dataclass
class Course:
    """How far the model has taken one source. `run` counts how often the source was forgotten."""

    run: int = 0
    epoch: str = ""
    generation: int = 0
    next_seq: int = 0
    ended: bool = True

    def answer(self, seq: int) -> Admitted | None:
        """Return the refusal that a `seq` has to get, or None where it has to be admitted or wait."""
        if not self.epoch:
            return Admitted(Admission.REWIND, 0)
        if seq < self.next_seq:
            return Admitted(Admission.ALREADY_DONE, self.next_seq)
        if self.ended:
            return Admitted(Admission.STALE, self.next_seq)
        return Admitted(Admission.REWIND, self.next_seq) if seq > self.next_seq else None


@dataclass
class Books:
    """What was admitted, and what came out. A window is known by its number, a tombstone by its place."""

    owed: Counter[object] = field(default_factory=Counter)
    told: Counter[object] = field(default_factory=Counter)
    source_of: dict[object, str] = field(default_factory=dict)
    forgotten: set[object] = field(default_factory=set)
    windows_added: int = 0
    windows_published: int = 0
    letters_dropped: int = 0

    def owe(self, name: object, source: str) -> None:
        self.owed[name] += 1
        self.source_of[name] = source

    def forget(self, source: str) -> None:
        """Nothing of what was admitted of this source is owed any more, and nothing may come."""
        self.forgotten |= {name for name, its_source in self.source_of.items() if its_source == source}

    def tell(self, name: object) -> None:
        assert name not in self.forgotten, "scores of a source that was forgotten"
        self.told[name] += 1
        assert self.told[name] <= self.owed[name], "told twice"

    def outstanding(self) -> Counter[object]:
        return Counter({name: count for name, count in (self.owed - self.told).items() if name not in self.forgotten})


class QueueModel(RuleBasedStateMachine):
    server: ClassVar[RedisServer | None]

    @initialize()
    def begin(self) -> None:
        self.backend = Backend("model", self.server, LIMITS)
        self.consumers = 0
        self.reader, self.scorers = self.consumer(), [self.consumer(), self.consumer()]
        self.undertaker = self.backend.queue("undertaker", claim_idle_s=0.0)
        self.become_alert_worker()
        self.courses = {source: Course() for source in SOURCES}
        self.books = Books()
        self.held: list[tuple[Queue, TakenWindow]] = []
        self.let_go: set[str] = set()

    def consumer(self) -> Queue:
        self.consumers += 1
        return self.backend.queue(f"consumer-{self.consumers}")

    def become_alert_worker(self) -> None:
        self.alert = self.consumer()
        self.token = self.alert.acquire_alert(ttl_s=600)
        assert self.token is not None
        self.waiting: list[TakenScores] = []

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            try:
                self.drain()
            finally:
                self.backend.close()

    # ------------------------------------------------------------------------------------------------------- ingest

    @rule(source=sources, anew=st.booleans())
    def begin_epoch(self, source: str, anew: bool) -> None:
        """Go on with the epoch, or begin the next one. A source that was forgotten begins the same ones again."""
        course = self.courses[source]
        epoch = f"e{course.generation + 1}" if anew or not course.epoch else course.epoch

        wanted = self.reader.begin_epoch(source, epoch, live=source == "camera")

        if epoch != course.epoch:
            if not course.ended:
                self.books.owe((source, course.run, course.generation, course.next_seq), source)
            self.courses[source] = course = Course(course.run, epoch, course.generation + 1, 0, ended=False)
        assert wanted == course.next_seq

    @rule(source=sources, count=st.integers(1, 3))
    def read_on(self, source: str, count: int) -> None:
        """Begin, and give the next windows, as a reader does that nothing happens to."""
        self.begin_epoch(source, anew=self.courses[source].ended)
        for _ in range(count):
            self.add_window(source, 0)

    @rule(source=sources, step=steps)
    def add_window(self, source: str, step: int) -> None:
        course = self.courses[source]
        number = 1 + self.books.windows_added
        added = window(max(0, course.next_seq + step), source=source, epoch=course.epoch, live=source == "camera")

        answer = self.reader.add_window(replace(added, produced_at=float(number)))

        if refusal := course.answer(added.id.seq):
            assert answer == refusal
        elif answer.answer is not Admission.FULL:
            assert answer == Admitted(Admission.ADDED, course.next_seq + 1)
            course.next_seq += 1
            self.books.windows_added += 1
            self.books.owe(number, source)

    @rule(source=sources, step=steps, status=st.sampled_from([ScoreStatus.DROPPED, ScoreStatus.SOURCE_ENDED]))
    def add_tombstone(self, source: str, step: int, status: ScoreStatus) -> None:
        course = self.courses[source]
        window_id = WindowId(source, course.epoch, max(0, course.next_seq + step))

        answer = self.reader.add_tombstone(
            window_id, status=status, live=source == "camera", pts_s=1.5, captured_at=2.5
        )

        refusal = course.answer(window_id.seq)
        assert answer == (refusal or Admitted(Admission.ADDED, course.next_seq + 1))
        if not refusal:
            self.books.owe((source, course.run, course.generation, course.next_seq), source)
            course.next_seq += 1
            course.ended = status is ScoreStatus.SOURCE_ENDED

    @rule(step=steps)
    def add_unchanged(self, step: int) -> None:
        """Take a `seq` for a window of the camera that shows nothing new."""
        course = self.courses["camera"]
        window_id = WindowId("camera", course.epoch, max(0, course.next_seq + step))

        answer = self.reader.add_unchanged(window_id, same_as=0, first_pts_s=1.0, pts_s=1.5, captured_at=2.5)

        refusal = course.answer(window_id.seq)
        assert answer == (refusal or Admitted(Admission.ADDED, course.next_seq + 1))
        if not refusal:
            self.books.owe(("camera", course.run, course.generation, course.next_seq), "camera")
            course.next_seq += 1

    @rule(source=sources)
    def end(self, source: str) -> None:
        """Come to the end of a source. Nothing follows it."""
        self.read_on(source, 1)
        self.add_tombstone(source, 0, ScoreStatus.SOURCE_ENDED)
        self.add_window(source, 0)

    @rule(source=sources)
    def forget(self, source: str) -> None:
        """What a Redis that came back empty does to one source: it wants everything again."""
        self.alert.release_alert(self.token)
        self.reader.forget_source(source)
        self.books.forget(source)
        self.courses[source] = Course(run=self.courses[source].run + 1)
        self.become_alert_worker()

    # ------------------------------------------------------------------------------------------------------ scoring

    @rule(number=scorers, max_count=st.integers(1, 4))
    def take(self, number: int, max_count: int) -> None:
        found = self.scorers[number].take_windows(max_count=max_count, block_s=0)

        assert len(found) <= max_count
        assert all(taken.deliveries == 1 for taken in found)
        self.held += [(self.scorers[number], taken) for taken in found]

    @rule()
    def take_over(self) -> None:
        """Think everybody dead who holds a window. Those who hold it may wake up later, and publish."""
        found = self.undertaker.take_windows(max_count=1, block_s=0)

        assert all(taken.deliveries <= LIMITS.max_deliveries for taken in found)
        self.held += [(self.undertaker, taken) for taken in found]

    @rule(number=scorers)
    def hold_on(self, number: int) -> None:
        scorer = self.scorers[number]
        scorer.hold_windows([taken for queue, taken in self.held if queue is scorer])

    @precondition(lambda self: self.held)
    @rule(place=places)
    def publish(self, place: int) -> None:
        queue, taken = self.held[place % len(self.held)]
        self.finish(queue, taken, done=queue.publish_scores(taken, scores_of(taken)), published=True)

    @precondition(lambda self: self.held)
    @rule(place=places)
    def bury(self, place: int) -> None:
        queue, taken = self.held[place % len(self.held)]
        self.finish(queue, taken, done=queue.bury_window(taken, reason="broken"), published=False)

    def finish(self, queue: Queue, taken: TakenWindow, *, done: bool, published: bool) -> None:
        """Note what became of a window. It stays in the hands of the model, which may let go of it again."""
        if done and taken.entry_id not in self.let_go:
            self.let_go.add(taken.entry_id)
            self.books.windows_published += published

    @rule(number=scorers, place=places, buried=st.booleans())
    def let_go_of_all(self, number: int, place: int, buried: bool) -> None:
        """Let all who ever held a window let go of it, those among them who were thought dead."""
        self.take(number, 4)
        self.take_over()
        for more in range(len(self.held)):
            (self.bury if buried else self.publish)(place + more)

    @rule(number=scorers)
    def crash(self, number: int) -> None:
        gone = self.scorers[number]
        self.held = [(queue, taken) for queue, taken in self.held if queue is not gone]
        self.scorers[number] = self.consumer()

    @rule(place=places, replayed=st.booleans())
    def finish_letter(self, place: int, replayed: bool) -> None:
        letters = self.reader.list_dead(max_count=1000)
        if not letters:
            return
        letter = letters[place % len(letters)]
        number = int(decode_window(letter.payload).produced_at)
        if replayed:
            assert self.reader.replay_dead(letter.id)
            self.books.owed[number] += 1
        else:
            assert self.reader.drop_dead(letter.id)
            self.books.letters_dropped += 1

    @rule(source=sources, number=scorers, place=places)
    def bring_back(self, source: str, number: int, place: int) -> None:
        """Let windows die, and replay one of them."""
        self.read_on(source, 2)
        self.let_go_of_all(number, place, buried=True)
        self.finish_letter(place, replayed=True)
        self.what_waits_is_what_was_added_and_not_let_go_of()

    # ------------------------------------------------------------------------------------------------------- alert

    @rule(max_count=st.integers(1, 4))
    def take_scores(self, max_count: int) -> None:
        self.waiting += self.alert.take_scores(self.token, max_count=max_count, block_s=0)

    @rule(count=st.integers(0, 4))
    def commit(self, count: int) -> None:
        done, self.waiting = self.waiting[:count], self.waiting[count:]
        self.alert.commit(
            self.token,
            source_id="film",
            state=b"state",
            events=[],
            outbox=[],
            done=[taken.entry_id for taken in done],
        )
        for taken in done:
            self.books.tell(self.name_of(taken.scores))

    @rule()
    def replace_alert_worker(self) -> None:
        self.alert.release_alert(self.token)
        self.become_alert_worker()

    def name_of(self, scores: Scores) -> object:
        source = scores.id.source_id
        if scores.status in {ScoreStatus.SCORED, ScoreStatus.FAILED}:
            return int(scores.produced_at)
        return (source, self.courses[source].run, scores.generation, scores.id.seq)

    # -------------------------------------------------------------------------------------------------- the promises

    @rule()
    def what_waits_is_what_was_added_and_not_let_go_of(self) -> None:
        depths, books = self.reader.depths([]), self.books
        in_queue = books.windows_added - books.windows_published - depths.dead - books.letters_dropped
        assert depths.windows == in_queue
        assert depths.window_bytes == in_queue * PIXELS.nbytes

    def drain(self) -> None:
        """Let all work be done, and see that each `seq` led to one entry of scores, and that nothing is left over."""
        for _ in range(1 + self.books.owed.total()):
            found = self.undertaker.take_windows(max_count=10, block_s=0)
            for taken in found:
                done = self.undertaker.publish_scores(taken, scores_of(taken))
                self.finish(self.undertaker, taken, done=done, published=True)
            if not found:
                break
        self.replace_alert_worker()
        self.take_scores(10_000)
        self.commit(len(self.waiting))
        depths = self.reader.depths([])
        assert (depths.windows, depths.window_bytes, depths.scores) == (0, 0, 0)
        assert self.books.outstanding() == Counter()
        for source, cap in (("film", LIMITS.file_windows), ("camera", LIMITS.live_windows)):
            self.check_room(source, cap)

    def check_room(self, source: str, cap: int) -> None:
        """See that no window is counted as waiting any more: as many as may wait find room, in the same epoch."""
        course = self.courses[source]
        if course.ended:
            return
        answers = [
            self.reader.add_window(
                window(course.next_seq + n, source=source, epoch=course.epoch, live=source == "camera")
            )
            for n in range(cap + 1)
        ]
        assert [answer.answer for answer in answers] == [*[Admission.ADDED] * cap, Admission.FULL]
        for taken in self.undertaker.take_windows(max_count=10, block_s=0):
            self.undertaker.publish_scores(taken, scores_of(taken))


@pytest.mark.parametrize("version", ["memory", *VERSIONS])
def test_each_seq_leads_to_one_entry_of_scores_and_nothing_is_left_over(
    servers: dict[str, RedisServer], version: str
) -> None:
    server = None if version == "memory" else servers[version]
    machine = type("QueueModelOnOneBackend", (QueueModel,), {"server": server})

    run_machine(
        machine,
        settings=settings(
            max_examples=100 if server is None else 30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
