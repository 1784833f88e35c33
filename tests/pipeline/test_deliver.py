import threading
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Self

import pytest
import structlog
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from xclip_stream.errors import DeliveryError, DeliveryRejected, QueueUnavailable, SinkGone
from xclip_stream.logs import hide_secrets
from xclip_stream.pipeline.deliver import DeliverLoop
from xclip_stream.pipeline.retry import RetryPolicy
from xclip_stream.protocols import DeliveryQueue
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.sinks.jsonl import JsonlSink
from xclip_stream.types import Message

OUTAGE = DeliveryError("the endpoint is away")


class ScriptedSink:
    """Takes what it is given, or raises what the script says for that attempt."""

    def __init__(self, script: Sequence[Exception | None] = (), *, always: Exception | None = None) -> None:
        self.script = list(script)
        self.always = always
        self.tried: list[str] = []
        self.taken: list[str] = []
        self.during: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *cause: object) -> None:
        pass

    def deliver(self, message: Message) -> None:
        self.tried.append(message.message_id)
        self.during()
        failure = self.script.pop(0) if self.script else self.always
        if failure is not None:
            raise failure
        self.taken.append(message.message_id)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> MemoryQueue:
    return MemoryQueue(consumer="deliver-1", clock=clock)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with capture_logs() as entries:
        yield entries


def fill(queue: MemoryQueue, *message_ids: str, sinks: Sequence[str] = ("ops",), committed_at: float = 1e6) -> None:
    """Commit messages into the outboxes as the alert worker does."""
    alert = queue.consumer("alert")
    token = alert.acquire_alert(ttl_s=5.0)
    assert token is not None
    messages = [
        Message(message_id, "yard", f'{{"id":"{message_id}"}}'.encode(), committed_at) for message_id in message_ids
    ]
    outbox = [(sink_id, message) for message in messages for sink_id in sinks]
    alert.commit(token, source_id="yard", state=b"", events=messages, outbox=outbox, done=[])


def a_loop(queue: DeliveryQueue, sink: Any, clock: FakeClock, *, sink_id: str = "ops", **options: Any) -> DeliverLoop:
    values: dict[str, Any] = {"draw": lambda: 1.0, "stopping": clock.stopping_after(3600.0)}
    log = structlog.stdlib.get_logger()
    return DeliverLoop(sink_id=sink_id, sink=sink, queue=queue, clock=clock, log=log, **(values | options))


def named(logs: list[Any], event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


def test_messages_are_delivered_oldest_first_and_settled(queue, clock, logs):
    fill(queue, "a:0", "b:0", "a:1")
    sink = ScriptedSink()

    a_loop(queue, sink, clock, stopping=clock.stopping_after(5.0)).run()

    assert sink.taken == ["a:0", "b:0", "a:1"]
    assert queue.depths(["ops"]).outbox == {"ops": 0}
    assert [entry["message_id"] for entry in named(logs, "message_delivered")] == ["a:0", "b:0", "a:1"]
    assert named(logs, "message_delivered")[0]["sink"] == "ops"


def test_more_messages_than_one_batch_stay_in_order(queue, clock):
    ids = [f"m:{number}" for number in range(100)]
    fill(queue, *ids)
    sink = ScriptedSink()

    a_loop(queue, sink, clock, batch_size=7, stopping=clock.stopping_after(5.0)).run()

    assert sink.taken == ids


def test_a_failed_message_is_tried_again_before_the_next_one(queue, clock, logs):
    fill(queue, "a:0", "a:1")
    sink = ScriptedSink([OUTAGE, OUTAGE])

    a_loop(queue, sink, clock).run()

    assert sink.tried == ["a:0", "a:0", "a:0", "a:1"]
    assert sink.taken == ["a:0", "a:1"]
    assert [entry["error"] for entry in named(logs, "delivery_failed")] == ["the endpoint is away"] * 2
    assert named(logs, "message_delivered")[0]["attempts"] == 3


def test_the_wait_doubles_up_to_its_cap_and_begins_anew_with_the_next_message(queue, clock, logs):
    fill(queue, "a:0", "a:1")
    sink = ScriptedSink([OUTAGE] * 6 + [None] + [OUTAGE])

    a_loop(queue, sink, clock, retry=RetryPolicy(first_delay_s=1.0, max_delay_s=10.0)).run()

    assert [entry["retry_in_s"] for entry in named(logs, "delivery_failed")] == [1, 2, 4, 8, 10, 10, 1]


def test_every_wait_is_a_random_part_of_its_step(queue, clock, logs):
    fill(queue, "a:0")
    parts = iter([0.5, 0.0, 0.25])

    a_loop(queue, ScriptedSink([OUTAGE] * 3), clock, draw=lambda: next(parts)).run()

    assert [entry["retry_in_s"] for entry in named(logs, "delivery_failed")] == [0.5, 0.0, 1.0]


def test_the_wait_that_a_sink_asks_for_is_kept(queue, clock, logs):
    fill(queue, "a:0")
    sink = ScriptedSink([DeliveryError("too many", retry_after_s=40.0)])
    started_at = clock.monotonic()
    delivered_at: list[float] = []
    sink.during = lambda: delivered_at.append(clock.monotonic() - started_at)

    a_loop(queue, sink, clock).run()

    assert delivered_at == [0.0, pytest.approx(40.0)]


def test_a_rejected_message_is_buried_at_once_with_its_reason_and_the_next_goes_on(queue, clock, logs):
    fill(queue, "a:0", "a:1")
    sink = ScriptedSink([DeliveryRejected("answered 422")])

    a_loop(queue, sink, clock).run()

    assert sink.tried == ["a:0", "a:1"]
    (letter,) = queue.list_dead(max_count=10)
    assert (letter.origin, letter.subject, letter.reason) == ("outbox:ops", "a:0", "answered 422")
    assert named(logs, "message_buried")[0]["reason"] == "answered 422"


def test_a_dead_letter_holds_no_secret_of_what_a_sink_has_said(queue, clock):
    """Such as the last line of a program that was given one."""
    fill(queue, "a:0")
    hide_secrets(["t0ken-t0ken"])
    failure = DeliveryRejected("exec notify: no answer of https://ops:pa55word@host/x with t0ken-t0ken")

    a_loop(queue, ScriptedSink([failure]), clock).run()

    (letter,) = queue.list_dead(max_count=10)
    assert letter.reason == "exec notify: no answer of https://***@host/x with ***"


def test_a_sink_that_is_gone_is_tried_rarely_and_keeps_its_messages_until_it_takes_them(queue, clock):
    fill(queue, "a:0", "a:1")
    started_at, tried_at = clock.monotonic(), list[float]()
    sink = ScriptedSink([SinkGone("answered 410")] * 3)
    sink.during = lambda: tried_at.append(clock.monotonic() - started_at)

    a_loop(queue, sink, clock, stopping=clock.stopping_after(1000.0), retry=RetryPolicy(max_delay_s=100.0)).run()

    assert tried_at[:4] == [0.0, pytest.approx(100.0), pytest.approx(200.0), pytest.approx(300.0)]
    assert sink.taken == ["a:0", "a:1"]
    assert queue.list_dead(max_count=1) == []


def test_a_message_is_given_up_after_its_attempts(queue, clock):
    fill(queue, "a:0")
    sink = ScriptedSink(always=OUTAGE)

    a_loop(queue, sink, clock, retry=RetryPolicy(max_attempts=3)).run()

    assert sink.tried == ["a:0"] * 3
    assert queue.list_dead(max_count=1)[0].reason == "given up after 3 attempts: the endpoint is away"


def test_a_message_is_given_up_when_it_is_too_old(queue, clock):
    fill(queue, "a:0", committed_at=clock.now() - 50)
    sink = ScriptedSink(always=OUTAGE)

    a_loop(queue, sink, clock, retry=RetryPolicy(max_age_s=60.0)).run()

    assert len(sink.tried) == 5  # after 0, 1, 3, 7 and 15 s
    assert queue.list_dead(max_count=1)[0].reason == "given up 65 s after the event: the endpoint is away"


def test_an_old_message_that_nobody_tried_yet_is_delivered(queue, clock):
    fill(queue, "a:0", committed_at=0.0)
    sink = ScriptedSink()

    a_loop(queue, sink, clock).run()

    assert sink.taken == ["a:0"]


def test_a_replayed_message_is_delivered_after_the_sink_was_mended(queue, clock):
    fill(queue, "a:0")
    a_loop(queue, ScriptedSink(always=DeliveryRejected("answered 404")), clock, stopping=clock.stopping_after(5)).run()
    sink = ScriptedSink()

    queue.replay_dead(queue.list_dead(max_count=1)[0].id)
    a_loop(queue, sink, clock, stopping=clock.stopping_after(5)).run()

    assert sink.taken == ["a:0"]


def test_a_defect_of_a_sink_is_a_failed_attempt(queue, clock, logs):
    fill(queue, "a:0")
    sink = ScriptedSink([TypeError("secret text of a defect")])

    a_loop(queue, sink, clock).run()

    assert sink.taken == ["a:0"]
    assert named(logs, "delivery_failed")[0]["error"] == "defect in the sink: TypeError"


def test_a_dead_sink_delays_no_other(queue, clock):
    fill(queue, "a:0", sinks=("dead", "alive"))
    stop = threading.Event()
    dead, alive = ScriptedSink(always=OUTAGE), ScriptedSink()
    alive.during = stop.set
    loops = [
        a_loop(queue.consumer("d"), dead, FakeClock(), sink_id="dead", stopping=stop.is_set),
        a_loop(queue.consumer("a"), alive, FakeClock(), sink_id="alive", stopping=stop.is_set),
    ]
    dead_thread, alive_thread = (threading.Thread(target=loop.run) for loop in loops)

    dead_thread.start()
    alive_thread.start()
    for thread in (alive_thread, dead_thread):
        thread.join()

    assert alive.taken == ["a:0"]
    assert queue.depths(["dead", "alive"]).outbox == {"dead": 1, "alive": 0}


def test_a_stop_in_the_middle_gives_the_rest_back_in_order(queue, clock):
    fill(queue, "a:0", "a:1", "a:2")
    stop = threading.Event()
    sink = ScriptedSink([None, OUTAGE])
    sink.during = lambda: stop.set() if len(sink.tried) == 2 else None

    a_loop(queue, sink, clock, stopping=stop.is_set).run()
    successor = ScriptedSink()
    a_loop(queue.consumer("deliver-2"), successor, clock, stopping=clock.stopping_after(5)).run()

    assert sink.taken == ["a:0"]
    assert successor.taken == ["a:1", "a:2"]


def test_a_stop_ends_the_longest_wait_within_a_second(queue, clock):
    fill(queue, "a:0")
    sink = ScriptedSink(always=OUTAGE)
    policy = RetryPolicy(first_delay_s=300.0)

    a_loop(queue, sink, clock, retry=policy, stopping=clock.stopping_after(10.0)).run()

    assert clock.monotonic() <= 511.0
    assert max(clock.slept) <= 1.0


def test_the_lease_is_kept_through_a_long_wait(queue, clock):
    fill(queue, "a:0")
    sink = ScriptedSink([DeliveryError("away", retry_after_s=600.0)])
    rival = queue.consumer("rival")
    answers: list[int | None] = []
    steps = clock.sleep
    clock.sleep = lambda duration_s: (steps(duration_s), answers.append(rival.acquire_sink("ops", ttl_s=15.0)))[0]  # type: ignore[method-assign]

    a_loop(queue, sink, clock, lease_s=15.0, stopping=lambda: len(sink.taken) == 1).run()

    assert sink.taken == ["a:0"]
    assert set(answers) == {None}


def test_the_lease_is_kept_while_each_attempt_takes_the_longest_that_it_may(queue, clock, logs):
    fill(queue, "a:0")
    sink = ScriptedSink(always=OUTAGE)
    sink.during = lambda: clock.advance(4.1)  # a timeout of 4 s, and what is around it
    policy = RetryPolicy(first_delay_s=0.5, max_delay_s=20.0)
    stopping = clock.stopping_after(3600.0)

    a_loop(queue, sink, clock, lease_s=6.0, retry=policy, draw=Random(7).random, stopping=stopping).run()

    assert named(logs, "sink_taken_over") == []
    assert len(sink.tried) < 3600 / 10


def test_an_owner_that_slept_too_long_delivers_no_more_than_the_one_in_hand(queue, clock):
    fill(queue, "a:0", "a:1")
    frozen, successor = ScriptedSink(), ScriptedSink()

    def freeze() -> None:
        """The worker is frozen during its first delivery: its lease runs out and another one does the work."""
        if len(frozen.tried) == 1:
            clock.advance(60.0)
            a_loop(queue.consumer("deliver-2"), successor, clock, stopping=lambda: len(successor.taken) == 2).run()
            token = queue.consumer("deliver-2").acquire_sink("ops", ttl_s=15.0)
            assert token is not None

    frozen.during = freeze
    a_loop(queue, frozen, clock, stopping=clock.stopping_after(120.0)).run()

    assert successor.taken == ["a:0", "a:1"]
    assert frozen.tried == ["a:0"]


def test_a_second_worker_stands_by_until_the_first_has_died(queue, clock):
    fill(queue, "a:0")
    assert queue.consumer("deliver-0").acquire_sink("ops", ttl_s=15.0) is not None
    sink = ScriptedSink()

    a_loop(queue, sink, clock, stopping=clock.stopping_after(14.0)).run()
    before = list(sink.taken)
    a_loop(queue, sink, clock, stopping=clock.stopping_after(5.0)).run()

    assert before == []
    assert sink.taken == ["a:0"]


class FlakyQueue:
    """The real queue behind a connection that breaks: the named calls fail, before or after they had their effect."""

    def __init__(self, queue: MemoryQueue, failures: Sequence[str]) -> None:
        self.queue = queue
        self.failures = list(failures)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.queue, name)

        def call(*args: Any, **options: Any) -> Any:
            if f"{name} lost" in self.failures:
                self.failures.remove(f"{name} lost")
                raise QueueUnavailable("connection refused")
            answer = method(*args, **options)
            if f"{name} unanswered" in self.failures:
                self.failures.remove(f"{name} unanswered")
                raise QueueUnavailable("connection reset")
            return answer

        return call


@pytest.mark.parametrize("when", ["lost", "unanswered"])
@pytest.mark.parametrize("step", ["acquire_sink", "take_messages", "settle_message", "release_sink", "renew_sink"])
def test_a_queue_that_fails_at_any_step_loses_and_doubles_nothing(queue, clock, step, when):
    fill(queue, "a:0", "a:1", "a:2")
    sink = ScriptedSink()
    sink.during = lambda: clock.advance(6.0)  # long enough for the lease to want renewal
    flaky = FlakyQueue(queue, [f"{step} {when}"] * 3)

    a_loop(flaky, sink, clock, stopping=clock.stopping_after(120.0)).run()

    assert list(dict.fromkeys(sink.taken)) == ["a:0", "a:1", "a:2"]
    assert len(sink.taken) == 3
    assert queue.depths(["ops"]).outbox == {"ops": 0}


def test_an_outage_of_the_queue_is_told_once_and_its_end_too(queue, clock, logs):
    flaky = FlakyQueue(queue, ["take_messages lost"] * 5)

    a_loop(flaky, ScriptedSink(), clock, stopping=clock.stopping_after(60.0)).run()

    assert len(named(logs, "queue_unavailable")) == 1
    assert [entry["failures"] for entry in named(logs, "queue_available")] == [5]


def test_a_stop_during_an_outage_ends_the_loop(queue, clock):
    fill(queue, "a:0")
    flaky = FlakyQueue(queue, ["settle_message lost"] * 1000)

    a_loop(flaky, ScriptedSink(), clock, stopping=clock.stopping_after(30.0)).run()

    assert clock.monotonic() <= 540.0
    assert queue.depths(["ops"]).outbox == {"ops": 1}


def test_a_message_taken_but_not_settled_stands_in_a_file_once(queue, clock, tmp_path):
    fill(queue, "a:0", "a:1")
    path = tmp_path / "events.jsonl"
    flaky = FlakyQueue(queue, ["settle_message lost"] * 1000)
    a_loop(flaky, JsonlSink(path=path), clock, stopping=clock.stopping_after(5.0)).run()

    a_loop(queue, JsonlSink(path=path), clock, stopping=clock.stopping_after(5.0)).run()

    assert path.read_text() == '{"id":"a:0"}\n{"id":"a:1"}\n'


# ------------------------------------------------------------------------------------------------- several in one piece


class DigestSink:
    """Takes batches; refuses those that hold a message of `bad`."""

    window_s = 60.0

    def __init__(self, script: Sequence[Exception | None] = (), *, bad: str = "") -> None:
        self.script = list(script)
        self.bad = bad
        self.taken: list[list[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *cause: object) -> None:
        pass

    def deliver(self, message: Message) -> None:
        self.deliver_all([message])

    def deliver_all(self, messages: Sequence[Message]) -> None:
        ids = [message.message_id for message in messages]
        failure = self.script.pop(0) if self.script else None
        if failure is not None:
            raise failure
        if self.bad in ids:
            raise DeliveryRejected("not this one")
        self.taken.append(ids)


def test_a_sink_of_digests_gets_what_comes_within_its_window_in_one_piece(queue, clock):
    fill(queue, "e1:0", "e1:1")
    sink = DigestSink()
    arrivals = [clock.monotonic() + 30.0, clock.monotonic() + 80.0]

    def sleep(duration_s: float) -> None:
        clock.advance(duration_s)
        if arrivals and clock.monotonic() >= arrivals[0]:
            fill(queue, f"e2:{arrivals.pop(0):.0f}")

    clock.sleep = sleep

    a_loop(queue, sink, clock, stopping=clock.stopping_after(200.0)).run()

    assert [len(ids) for ids in sink.taken] == [3, 1]
    assert sink.taken[0][:2] == ["e1:0", "e1:1"]
    assert queue.depths(["ops"]).outbox["ops"] == 0


def test_what_the_queue_hands_out_again_while_a_digest_is_gathered_is_in_it_once(queue, clock):
    fill(queue, "e1:0", "e1:1")
    sink = DigestSink()

    def sleep(duration_s: float) -> None:
        clock.advance(duration_s)
        queue._cursors["sink:ops"] = 0  # as on a server to which another connection was made

    clock.sleep = sleep

    a_loop(queue, sink, clock, stopping=clock.stopping_after(200.0)).run()

    assert sink.taken == [["e1:0", "e1:1"]]


def test_a_digest_that_is_not_taken_is_tried_again_as_a_whole_and_none_of_it_is_settled_before(queue, clock):
    fill(queue, "e1:0", "e1:1")
    sink = DigestSink([OUTAGE, OUTAGE])

    a_loop(queue, sink, clock, stopping=clock.stopping_after(100.0)).run()

    assert sink.taken == [["e1:0", "e1:1"]]


def test_of_a_digest_that_is_rejected_only_the_message_at_fault_is_buried(queue, clock):
    fill(queue, "e1:0", "e1:1", "e1:2")
    sink = DigestSink(bad="e1:1")

    a_loop(queue, sink, clock, stopping=clock.stopping_after(100.0)).run()

    assert sink.taken == [["e1:0"], ["e1:2"]]
    assert [letter.subject for letter in queue.list_dead(max_count=10)] == ["e1:1"]


def test_of_a_digest_only_what_is_too_old_is_given_up(queue, clock):
    fill(queue, "e1:0", committed_at=clock.now() - 1000)
    fill(queue, "e1:1", committed_at=clock.now())
    sink = DigestSink([OUTAGE])

    a_loop(queue, sink, clock, stopping=clock.stopping_after(100.0), retry=RetryPolicy(max_age_s=500)).run()

    assert sink.taken == [["e1:1"]]
    assert [letter.subject for letter in queue.list_dead(max_count=10)] == ["e1:0"]


def test_a_stop_while_a_digest_is_gathered_leaves_all_of_it_to_the_next_worker(queue, clock):
    fill(queue, "e1:0")
    sink = DigestSink()

    a_loop(queue, sink, clock, stopping=clock.stopping_after(30.0)).run()
    left = queue.depths(["ops"]).outbox["ops"]
    a_loop(queue, sink, clock, stopping=clock.stopping_after(100.0)).run()

    assert (left, sink.taken) == (1, [["e1:0"]])


# ---------------------------------------------------------------------------------------------------- when it is open


class DoorSink(ScriptedSink):
    """Writes down when it is opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0
        self.closed = 0

    def __enter__(self) -> Self:
        self.opened += 1
        return self

    def __exit__(self, *cause: object) -> None:
        self.closed += 1


def test_a_worker_that_stands_by_does_not_open_the_sink(queue, clock):
    other = queue.consumer("deliver-2")
    other.acquire_sink("ops", ttl_s=1000.0)
    sink = DoorSink()

    a_loop(queue, sink, clock, stopping=clock.stopping_after(100.0)).run()

    assert sink.opened == 0


def test_a_worker_that_is_taken_over_closes_the_sink_and_opens_it_when_it_owns_the_outbox_again(queue, clock):
    other = queue.consumer("deliver-2")
    sink = DoorSink()

    def taken_over() -> None:
        clock.advance(10.0)
        other.acquire_sink("ops", ttl_s=60.0)

    sink.during = taken_over
    fill(queue, "e1:0")
    stopping_at_the_second = lambda: sink.opened == 2  # noqa: E731 - the flag of a stop

    a_loop(queue, sink, clock, stopping=stopping_at_the_second).run()

    assert (sink.opened, sink.closed) == (2, 2)
