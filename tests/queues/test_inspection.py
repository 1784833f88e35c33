"""What an operator sees of a queue: the same of the one in memory and of Redis 6.2 and 7."""

import time
from contextlib import closing

import pytest

from tests.fakes import FakeClock
from tests.queues.builders import PIXELS, Queue, alert_token, fill, message, scores_of, take
from tests.queues.conftest import Backend
from tests.redis_servers import RedisServer
from xclip_stream.inspection import Waiting, WindowsWaiting
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.queues.redis import open_queue

BYTES = PIXELS.nbytes


def commit(queue: Queue, token: int, *sinks: str) -> None:
    told = message()
    outbox = [(sink_id, told) for sink_id in sinks]
    queue.commit(token, source_id="yard", state=b"state", events=[told], outbox=outbox, done=[])


def test_an_empty_queue_has_nothing_and_nobody(queue: Queue) -> None:
    seen = queue.inspect(["ops"])

    assert seen.live == seen.files == WindowsWaiting(0, 0, None)
    assert seen.scores == seen.dead == Waiting(0, None)
    assert seen.outboxes == {"ops": Waiting(0, None)}
    assert (seen.window_bytes, seen.max_bytes, seen.max_scores, seen.events) == (0, 256 << 20, 10_000, 0)
    assert (seen.score_workers, seen.ingest_workers, seen.leases) == ((), {}, {})


def test_the_time_of_the_look_is_now(queue: Queue) -> None:
    before = time.time()
    at = queue.inspect().at

    assert before - 0.002 <= at <= time.time()


def test_windows_are_those_that_wait_and_those_that_are_held(backend: Backend) -> None:
    one = backend.queue("one")
    fill(one, 2, source="gate", live=True)
    fill(one, 3, source="film")
    held = take(one, 1)
    take(backend.queue("two"), 2)

    seen = one.inspect()

    assert (seen.live.waiting, seen.live.held) == (0, 2)
    assert (seen.files.waiting, seen.files.held) == (2, 1)
    assert seen.window_bytes == 5 * BYTES
    assert [(worker.name, worker.held, worker.deliveries) for worker in seen.score_workers] == [
        ("one", 1, 1),
        ("two", 2, 1),
    ]

    one.publish_scores(held[0], scores_of(held[0]))

    assert [(worker.name, worker.held, worker.deliveries) for worker in one.inspect().score_workers] == [
        ("one", 0, 0),
        ("two", 2, 1),
    ]
    assert one.inspect().scores.count == 1


def test_a_window_that_was_given_to_another_is_held_by_that_one_and_counts_its_deliveries(backend: Backend) -> None:
    one, two = backend.queue("one"), backend.queue("two", claim_idle_s=0.0)
    fill(one, 1)
    take(one)
    take(two)

    workers = {worker.name: worker for worker in one.inspect().score_workers}

    assert (workers["one"].held, workers["two"].held) == (0, 1)
    assert workers["two"].deliveries == 2


def test_the_age_is_that_of_the_oldest(queue: Queue) -> None:
    fill(queue, 1, source="film")
    alone = queue.inspect()
    fill(queue, 1, source="other")
    (first, _) = take(queue)
    with_another = queue.inspect()
    queue.publish_scores(first, scores_of(first))
    without_the_first = queue.inspect()

    assert alone.files.oldest_s is not None
    assert with_another.files.oldest_s is not None
    assert without_the_first.files.oldest_s is not None
    # Both are the age of the same window, so they differ by the time between the looks.
    assert with_another.files.oldest_s - alone.files.oldest_s == pytest.approx(with_another.at - alone.at, abs=0.002)
    assert without_the_first.files.oldest_s <= without_the_first.at - alone.at + 0.002


def test_an_outbox_is_seen_when_it_is_asked_for_and_whenever_something_waits_in_it(queue: Queue) -> None:
    token = alert_token(queue)
    commit(queue, token, "ops", "forgotten")
    queue.acquire_sink("log", ttl_s=60)
    (taken,) = queue.take_messages("ops", max_count=10, block_s=0)
    queue.settle_message("ops", taken)

    seen = queue.inspect(["ops"])

    assert {sink_id: found.count for sink_id, found in seen.outboxes.items()} == {"ops": 0, "forgotten": 1}
    assert set(queue.inspect().outboxes) == {"forgotten"}
    assert seen.events == 1


def test_the_roles_that_somebody_has_are_seen_with_who_and_for_how_long(backend: Backend) -> None:
    one, two = backend.queue("one"), backend.queue("two")
    token = one.acquire_alert(ttl_s=60)
    two.acquire_sink("ops", ttl_s=30)
    two.acquire_source("yard", ttl_s=20)
    two.join_ingest(["yard"], ttl_s=10)

    seen = backend.queue("three").inspect()

    assert {role: lease.holder for role, lease in seen.leases.items()} == {
        "alert": "one",
        "sink:ops": "two",
        "source:yard": "two",
    }
    assert 0 < seen.leases["source:yard"].left_s <= 20 < seen.leases["sink:ops"].left_s <= 30
    assert 30 < seen.leases["alert"].left_s <= 60
    assert list(seen.ingest_workers) == ["two"]
    assert 0 < seen.ingest_workers["two"] <= 10

    assert token is not None
    one.release_alert(token)
    two.leave_ingest(["yard"])

    assert set(one.inspect().leases) == {"sink:ops"}
    assert one.inspect().ingest_workers == {}


def test_dead_letters_are_counted(backend: Backend) -> None:
    queue = backend.queue()
    fill(queue, 2)
    for taken in take(queue):
        queue.bury_window(taken, reason="unreadable")

    seen = queue.inspect()

    assert seen.dead.count == 2
    assert seen.dead.oldest_s is not None
    assert (seen.files, seen.window_bytes) == (WindowsWaiting(0, 0, None), 0)


def test_the_cap_is_what_was_asked_for(backend: Backend) -> None:
    backend.limit(max_bytes=7 * BYTES)

    assert backend.queue().inspect().max_bytes == 7 * BYTES


def test_to_look_changes_nothing(backend: Backend) -> None:
    queue = backend.queue()
    fill(queue, 2)
    take(queue, 1)
    queue.inspect(["ops"])
    looker = backend.queue("looker")
    looker.inspect(["ops"])

    assert [worker.name for worker in looker.inspect().score_workers] == ["one"]
    assert [taken.window.id.seq for taken in take(queue)] == [1]


def test_ages_are_by_the_clock_of_the_queue() -> None:
    clock = FakeClock()
    queue = MemoryQueue(clock=clock)
    fill(queue, 1)
    clock.advance(5)
    take(queue)
    clock.advance(2)

    seen = queue.inspect()
    (worker,) = seen.score_workers

    assert (seen.at, seen.files.oldest_s) == (clock.now(), 7)
    assert (worker.quiet_s, worker.seen_s) == (2, 2)


def test_a_name_with_the_signs_of_a_pattern_is_taken_literally(own_server: RedisServer) -> None:
    with open_queue(own_server.url, namespace="a*[b]?") as odd, open_queue(own_server.url, namespace="a1b2") as other:
        odd.acquire_sink("ops", ttl_s=60)
        other.acquire_sink("log", ttl_s=60)

        assert set(odd.inspect().leases) == {"sink:ops"}
        assert set(other.inspect().leases) == {"sink:log"}


def test_a_full_server_can_be_looked_at(own_server: RedisServer) -> None:
    client = own_server.client()
    with open_queue(own_server.url) as queue:
        fill(queue, 2)
        client.config_set("maxmemory", 1 << 20)

        seen = queue.inspect()

    assert (seen.files.waiting, seen.max_memory_bytes) == (2, 1 << 20)
    assert seen.memory_bytes > 0
    client.close()


def test_a_look_costs_the_same_whatever_else_is_on_the_server(own_server: RedisServer) -> None:
    with open_queue(own_server.url) as queue, closing(own_server.client()) as client:
        queue.acquire_sink("ops", ttl_s=60)
        client.mset({f"another:{number}": "" for number in range(5000)})
        client.config_resetstat()

        seen = queue.inspect()
        stats = client.info("commandstats")

        assert set(seen.leases) == {"sink:ops"}
        assert "cmdstat_scan" not in stats
        assert sum(found["calls"] for name, found in stats.items() if name.startswith("cmdstat_")) < 40
