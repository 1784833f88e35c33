"""Whatever is asked of them, in whatever order: the queue in memory and the one on Redis give the same answers."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.queues.builders import PIXELS, Queue, message, scores_of, window
from tests.redis_servers import RedisServer
from xclip_stream.errors import QueueError, StaleOwner
from xclip_stream.inspection import Inspection
from xclip_stream.protocols import TakenMessage, TakenScores, TakenWindow
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.queues.redis import RedisQueue
from xclip_stream.queues.redis_connection import RedisConnection, RedisKeys
from xclip_stream.types import ScoreStatus, WindowId

LIMITS = QueueLimits(
    max_bytes=5 * PIXELS.nbytes,
    file_windows=3,
    live_windows=2,
    max_scores=6,
    max_deliveries=2,
    dead_letters=4,
    dead_bytes=3 * PIXELS.nbytes,
)
sources = st.sampled_from(["file", "camera"])
epochs = st.sampled_from(["e1", "e2"])
workers = st.sampled_from([0, 1])
readers = st.sampled_from([0, 0, 0, 1, 2])
places = st.integers(0, 9)


class Twin:
    """One backend: two workers that never think each other dead, and a third that thinks both are."""

    def __init__(self, first: Queue) -> None:
        self.workers = [first, first.consumer("two")]
        self.undertaker = first.consumer("three", claim_idle_s=0.0)
        self.windows: list[tuple[Queue, TakenWindow]] = []
        self.tokens: list[int | None] = [None, None]
        self.scores: list[list[TakenScores]] = [[], []]
        self.messages: list[TakenMessage] = []


class Twins(RuleBasedStateMachine):
    server: RedisServer

    @initialize()
    def start(self) -> None:
        self.connection = RedisConnection(self.server.url, key="")
        on_redis = RedisQueue(
            self.connection, RedisKeys(uuid4().hex), consumer="one", limits=LIMITS, claim_idle_s=LIMITS.claim_idle_s
        )
        self.twins = [Twin(MemoryQueue(consumer="one", limits=LIMITS)), Twin(on_redis)]
        self.commits = 0

    def teardown(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()

    def both(self, step: Callable[[Twin], Any]) -> Any:
        """Do one step with each twin, and return what both answered."""
        in_memory, on_redis = (step(twin) for twin in self.twins)
        assert in_memory == on_redis
        return in_memory

    def begin(self, source: str, epoch: str, token: int) -> Any:
        live = source == "camera"
        return self.both(
            lambda twin: or_stale(lambda: twin.workers[0].begin_epoch(source, epoch, live=live, token=token))
        )

    @rule(source=sources, epoch=epochs, token=readers)
    def begin_epoch(self, source: str, epoch: str, token: int) -> None:
        self.begin(source, epoch, token)

    @rule(source=sources, epoch=epochs, seq=st.integers(0, 4), token=readers)
    def add_window(self, source: str, epoch: str, seq: int, token: int) -> None:
        added = window(seq, source=source, epoch=epoch, live=source == "camera")
        self.both(lambda twin: twin.workers[0].add_window(added, token=token))

    @rule(source=sources, epoch=epochs, count=st.integers(1, 4), token=readers)
    def add_what_is_wanted(self, source: str, epoch: str, count: int, token: int) -> None:
        for _ in range(count):
            seq = self.begin(source, epoch, token)
            if seq != "stale":
                self.add_window(source, epoch, seq, token)

    @rule(
        source=sources,
        epoch=epochs,
        seq=st.integers(0, 4),
        status=st.sampled_from(["dropped", "source_ended"]),
        token=readers,
    )
    def add_tombstone(self, source: str, epoch: str, seq: int, status: str, token: int) -> None:
        self.both(
            lambda twin: twin.workers[0].add_tombstone(
                WindowId(source, epoch, seq),
                status=ScoreStatus(status),
                live=source == "camera",
                pts_s=1.5,
                captured_at=2.5,
                token=token,
            )
        )

    @rule(epoch=epochs, seq=st.integers(0, 4), token=readers)
    def add_unchanged(self, epoch: str, seq: int, token: int) -> None:
        window_id = WindowId("camera", epoch, seq)
        self.both(
            lambda twin: twin.workers[0].add_unchanged(
                window_id, same_as=0, first_pts_s=1.5, pts_s=5.0, captured_at=2.5, token=token
            )
        )

    @rule(worker=workers, source=sources, left=st.booleans())
    def share_sources(self, worker: int, source: str, left: bool) -> None:
        def step(twin: Twin) -> object:
            taken = twin.workers[worker].acquire_source(source, ttl_s=600) is not None
            team = twin.workers[worker].join_ingest(["file", "camera"], ttl_s=600)
            if left:
                twin.workers[1 - worker].acquire_source("file", ttl_s=600)
                twin.workers[worker].leave_ingest(["file"])
            left_free = twin.workers[1 - worker].join_ingest(["file", "camera"], ttl_s=600).free
            return taken, len(team.others), team.free, left_free

        self.both(step)

    @rule(worker=workers, max_count=st.integers(1, 4))
    def take_windows(self, worker: int, max_count: int) -> None:
        self.both(lambda twin: taken_windows(twin, twin.workers[worker], max_count))

    @rule(worker=workers)
    def hold_windows(self, worker: int) -> None:
        def step(twin: Twin) -> None:
            twin.workers[worker].hold_windows([taken for _, taken in twin.windows])

        self.both(step)

    @rule()
    def take_windows_over(self) -> None:
        self.both(lambda twin: taken_windows(twin, twin.undertaker, 1))

    @precondition(lambda self: self.twins[0].windows)
    @rule(place=places)
    def publish(self, place: int) -> None:
        def step(twin: Twin) -> object:
            queue, taken = twin.windows[place % len(twin.windows)]
            return queue.publish_scores(taken, scores_of(taken))

        self.both(step)

    @precondition(lambda self: self.twins[0].windows)
    @rule(place=places)
    def bury(self, place: int) -> None:
        def step(twin: Twin) -> object:
            queue, taken = twin.windows[place % len(twin.windows)]
            return queue.bury_window(taken, reason="broken")

        self.both(step)

    @rule(source=sources, worker=workers, buried=st.booleans())
    def do_all_windows(self, source: str, worker: int, buried: bool) -> None:
        """Read on and let go of all that anybody ever held, so that scores and dead letters pile up."""
        self.add_what_is_wanted(source, "e1", 3, 0)
        self.take_windows(worker, 4)
        for place in range(len(self.twins[0].windows)):
            (self.bury if buried else self.publish)(place)
        self.compare()

    @rule(source=sources, worker=workers)
    def hold_what_another_has(self, source: str, worker: int) -> None:
        """Take windows, be thought dead, and wake up."""
        self.add_what_is_wanted(source, "e1", 2, 0)
        self.take_windows(worker, 4)
        self.take_windows_over()
        self.hold_windows(worker)
        self.compare()

    @rule(worker=workers)
    def become_alert_worker(self, worker: int) -> None:
        def step(twin: Twin) -> bool:
            token = twin.workers[worker].acquire_alert(ttl_s=600)
            if token is not None:
                twin.tokens[worker], twin.scores[worker] = token, []
            return token is not None

        self.both(step)

    @rule(worker=workers)
    def step_down(self, worker: int) -> None:
        self.both(lambda twin: twin.workers[worker].release_alert(twin.tokens[worker] or 0))

    @rule(worker=workers)
    def be_replaced(self, worker: int) -> None:
        """Step down, let another one take over, and step down again."""
        self.become_alert_worker(worker)
        self.step_down(worker)
        self.become_alert_worker(1 - worker)
        self.step_down(worker)
        self.compare()

    @rule(worker=workers)
    def renew(self, worker: int) -> None:
        def step(twin: Twin) -> None:
            twin.workers[worker].renew_alert(twin.tokens[worker] or 0, ttl_s=600)

        self.both(lambda twin: or_stale(lambda: step(twin)))

    @rule(worker=workers, max_count=st.integers(1, 4))
    def take_scores(self, worker: int, max_count: int) -> None:
        def step(twin: Twin) -> object:
            found = twin.workers[worker].take_scores(twin.tokens[worker] or 0, max_count=max_count, block_s=0)
            twin.scores[worker] += found
            return [
                (taken.scores.id, taken.scores.generation, taken.scores.status, taken.scores.same_as) for taken in found
            ]

        self.both(lambda twin: or_stale(lambda: step(twin)))

    @rule(worker=workers, count=st.integers(0, 3), times=st.integers(1, 2))
    def commit(self, worker: int, count: int, times: int) -> None:
        self.commits += 1
        made = message(f"m{self.commits}")

        def step(twin: Twin) -> object:
            twin.workers[worker].commit(
                twin.tokens[worker] or 0,
                source_id="file",
                state=str(self.commits).encode(),
                events=[made],
                outbox=[("ops", made)],
                done=[taken.entry_id for taken in twin.scores[worker][:count]],
            )
            return "committed"

        for _ in range(times):
            self.both(lambda twin: or_stale(lambda: step(twin)))
        for twin in self.twins:
            del twin.scores[worker][:count]

    @rule(worker=workers)
    def become_deliverer(self, worker: int) -> None:
        def step(twin: Twin) -> bool:
            return twin.workers[worker].acquire_sink("ops", ttl_s=600) is not None

        self.both(step)

    @rule(worker=workers, max_count=st.integers(1, 3))
    def take_messages(self, worker: int, max_count: int) -> None:
        def step(twin: Twin) -> object:
            found = twin.workers[worker].take_messages("ops", max_count=max_count, block_s=0)
            twin.messages += found
            return [(taken.message, taken.deliveries) for taken in found]

        self.both(lambda twin: or_stale(lambda: step(twin)))

    @rule(worker=workers, count=st.integers(1, 3))
    def tell(self, worker: int, count: int) -> None:
        """Make messages, and take them."""
        self.become_alert_worker(worker)
        for _ in range(count):
            self.commit(worker, 0, 1)
        self.become_deliverer(worker)
        self.take_messages(worker, 3)

    @precondition(lambda self: self.twins[0].messages)
    @rule(place=places, settled=st.booleans())
    def finish_message(self, place: int, settled: bool) -> None:
        for twin in self.twins:
            taken = twin.messages[place % len(twin.messages)]
            if settled:
                twin.workers[0].settle_message("ops", taken)
            else:
                twin.workers[0].bury_message("ops", taken, reason="410")

    @rule(place=places, replayed=st.booleans())
    def finish_letter(self, place: int, replayed: bool) -> None:
        def step(twin: Twin) -> object:
            letters = twin.workers[0].list_dead(max_count=10)
            letter = letters[place % len(letters)] if letters else None
            if letter is None or (replayed and not letter.payload):
                return None
            finish = twin.workers[0].replay_dead if replayed else twin.workers[0].drop_dead
            return finish(letter.id)

        self.both(step)

    @rule(source=sources)
    def forget(self, source: str) -> None:
        self.both(lambda twin: twin.workers[0].forget_source(source))

    @rule(worker=workers, is_free=st.booleans())
    def forget_sink(self, worker: int, is_free: bool) -> None:
        def step(twin: Twin) -> object:
            if is_free:
                for each in twin.workers:
                    each.release_sink("ops", each.acquire_sink("ops", ttl_s=600) or 0)
            try:
                return twin.workers[worker].forget_sink("ops")
            except QueueError as error:
                return str(error)

        self.both(step)

    @rule()
    def compare(self) -> None:
        self.both(lambda twin: twin.workers[0].depths(["ops"]))
        self.both(lambda twin: without_time(twin.workers[0].inspect(["ops"])))
        self.both(lambda twin: twin.workers[0].load_states())
        self.both(lambda twin: [twin.workers[0].epoch_ended(source) for source in ("file", "camera")])
        self.both(
            lambda twin: [body for _, body in twin.workers[0].read_events(after_id="0", max_count=1000, block_s=0)]
        )
        self.both(
            lambda twin: [
                (letter.origin, letter.subject, letter.reason, letter.deliveries, letter.payload)
                for letter in twin.workers[0].list_dead(max_count=100)
            ]
        )


def without_time(seen: Inspection) -> object:
    """Return what both backends have to agree on."""
    windows = [(found.waiting, found.held, found.oldest_s is None) for found in (seen.live, seen.files)]
    waiting = [(found.count, found.oldest_s is None) for found in (seen.scores, seen.dead, *seen.outboxes.values())]
    held = [(worker.name, worker.held, worker.deliveries) for worker in seen.score_workers if worker.held]
    leases = {role: lease.holder for role, lease in seen.leases.items()}
    return windows, waiting, list(seen.outboxes), held, leases, seen.window_bytes, seen.max_bytes, seen.events


def taken_windows(twin: Twin, queue: Queue, max_count: int) -> object:
    found = queue.take_windows(max_count=max_count, block_s=0)
    twin.windows += [(queue, taken) for taken in found]
    return [(taken.window, taken.generation, taken.deliveries) for taken in found]


def or_stale(step: Callable[[], object]) -> object:
    try:
        return step()
    except StaleOwner:
        return "stale"


@pytest.mark.parametrize("version", ["6.2", "7"])
def test_the_queue_in_memory_and_the_one_on_redis_are_twins(servers: dict[str, RedisServer], version: str) -> None:
    machine = type("TwinsOnOneServer", (Twins,), {"server": servers[version]})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
