"""Whoever may write to Redis may write anything there: it is passed over, or told in one line, wherever it is read."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import redis

from tests.queues.builders import alert_token, fill, message, scores_of, take, window
from tests.redis_servers import VERSIONS, RedisServer
from tests.statuses import source_status
from xclip_stream.errors import QueueError
from xclip_stream.queues.redis import RedisQueue, open_queue

PREFIX = "xclip:{main}:"
ODD = (b"\xff\xfe", b"", b"x", b"[]", b"-1", b"1.5", b"nan", b"1e999", b"9" * 25, b"9" * 5000, b"1:\xff")
HASHES = {
    "state": (b"\xff",),
    "status:ingest": (b"yard", b"\xff"),
    "status:rules": (b"yard", b"\xff"),
    "known": (b"\xff", b"xclip:{main}:lease:\xff", b"xclip:{main}:outbox:\xff"),
    "alert": (b"commits", b"last"),
    "counters": (b"bytes", b"number", b"dead_bytes"),
    "source:yard": (b"epoch", b"next", b"ended", b"live", b"pts_s", b"captured_at", b"generation", b"run", b"token"),
}
TEXTS = ("lease:alert", "lease:sink:ops", "evidence:judged:yard", "rescore:yard", "picture:yard", "evidence:made:e")
STREAMS = {
    "windows:live": ("generation", "source", "window", "tombstone", "frames"),
    "scores": ("generation", "source", "scores"),
    "events": ("event",),
    "outbox:ops": ("message",),
    "dead": ("bytes", "home", "subject", "reason", "deliveries", "died_at", "source"),
    "rulebooks": ("hash", "rules"),
    "history:yard": ("s",),
    "evidence:wanted:yard": ("request",),
}


@pytest.fixture(scope="module", params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param, "--appendonly", "no") as server:
        yield server


def readings(queue: RedisQueue) -> Iterator[Callable[[], Any]]:
    """Everything that reads what others have written."""
    yield lambda: queue.begin_epoch("yard", "e1", live=True, token=5)
    yield lambda: queue.begin_epoch("yard", "e2", live=True, token=6)
    yield lambda: queue.add_window(window(epoch="e2", live=True), token=6)
    yield lambda: queue.report_source(source_status(source_id="yard"))
    yield lambda: queue.epoch_ended("yard", "e2")
    yield lambda: queue.join_ingest(["yard"], ttl_s=10)
    yield lambda: [queue.publish_scores(taken, scores_of(taken)) for taken in take(queue)]
    yield queue.load_states
    yield lambda: queue.take_scores(queue.acquire_alert(ttl_s=60) or 0, max_count=9, block_s=0)
    yield lambda: queue.evidence_of(["e"])
    yield lambda: queue.acquire_sink("ops", ttl_s=10)
    yield lambda: queue.take_messages("ops", max_count=9, block_s=0)
    yield lambda: (queue.source_statuses(), queue.rule_statuses())
    yield lambda: queue.depths(["ops"])
    yield lambda: queue.inspect(["ops"])
    yield lambda: [queue.replay_dead(letter.id) for letter in queue.list_dead(max_count=9)]
    yield lambda: queue.waiting_messages("ops", max_count=9)
    yield lambda: queue.read_history("yard", since=0, max_count=9)
    yield lambda: queue.read_rulebook("h")
    yield lambda: queue.latest_picture("yard")
    yield lambda: queue.newest_events(max_count=9)


def read_everything(server: RedisServer, write: Callable[[Any], object]) -> None:
    """Write something into a queue that works, and read all that there is: nothing but our own errors may come."""
    with closing(server.client()) as client, open_queue(server.url, consumer="one") as queue:
        client.flushall()
        queue.begin_epoch("yard", "e1", live=True, token=5)
        token = alert_token(queue)
        queue.commit(token, source_id="yard", state=b"{}", events=[message()], outbox=[("ops", message())], done=[])
        queue.release_alert(token)
        write(client)
        for read in readings(queue):
            with suppress(QueueError):
                read()


@pytest.mark.parametrize(("key", "field"), [(key, field) for key, fields in HASHES.items() for field in fields])
def test_a_field_of_a_hash(server: RedisServer, key: str, field: bytes) -> None:
    for value in ODD:
        read_everything(server, lambda client, value=value: client.hset(PREFIX + key, field, value))


@pytest.mark.parametrize("key", TEXTS)
def test_a_text(server: RedisServer, key: str) -> None:
    for value in ODD:
        read_everything(server, lambda client, value=value: client.set(PREFIX + key, value))


@pytest.mark.parametrize(("key", "field"), [(key, field) for key, fields in STREAMS.items() for field in fields])
def test_an_entry_of_a_stream(server: RedisServer, key: str, field: str) -> None:
    like = {"bytes": 1, "home": "windows:live", "frames": "x"} if key == "dead" else {}
    for value in ODD:
        read_everything(server, lambda client, value=value: client.xadd(PREFIX + key, {**like, field: value}))


@pytest.mark.parametrize("name", [value for value in ODD if value])
def test_the_name_of_a_worker(server: RedisServer, name: bytes) -> None:
    def write(client: redis.Redis) -> None:
        client.zadd(PREFIX + "ingest", {name: 9e15})
        client.xgroup_create(PREFIX + "windows:live", "score", mkstream=True)
        client.execute_command("XGROUP", "CREATECONSUMER", PREFIX + "windows:live", "score", name)

    read_everything(server, write)


@pytest.mark.parametrize("key", [*HASHES, *TEXTS, *STREAMS, "ingest"])
def test_a_key_of_another_kind(server: RedisServer, key: str) -> None:
    read_everything(server, lambda client: (client.delete(PREFIX + key), client.rpush(PREFIX + key, "x")))


def test_an_epoch_that_cannot_be_read_is_told_with_its_source(server: RedisServer) -> None:
    with closing(server.client()) as client, open_queue(server.url) as queue:
        client.flushall()
        queue.begin_epoch("yard", "e1", live=True)
        client.hset(PREFIX + "source:yard", "pts_s", "nan")

        with pytest.raises(QueueError, match="source yard: what Redis knows of its epoch cannot be read"):
            queue.begin_epoch("yard", "e2", live=True)
        queue.forget_source("yard")
        assert queue.begin_epoch("yard", "e2", live=True) == 0


def test_what_is_no_name_is_shown_and_what_is_no_number_is_none(server: RedisServer) -> None:
    fields = {"bytes": 1, "home": b"outbox:\xff", "subject": b"\xff", "deliveries": "x", "died_at": "1e300"}
    with closing(server.client()) as client, open_queue(server.url) as queue:
        client.flushall()
        fill(queue, 1)
        client.hset(PREFIX + "state", b"\xffyard", b"{}")
        client.xadd(PREFIX + "dead", fields)
        (letter,) = queue.list_dead(max_count=9)

        assert queue.load_states() == {"\ufffdyard": b"{}"}
        assert (letter.origin, letter.subject, letter.deliveries, letter.died_at) == ("outbox:\ufffd", "\ufffd", 0, 0.0)
