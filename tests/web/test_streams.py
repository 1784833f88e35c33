"""Events as they are told to pages and programs: each once, in order, and on from where one left."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.redis_servers import RedisServer
from tests.waiting import wait_until
from tests.web.dashboards import Dashboard, dashboard, events_of, recorded
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.types import Message
from xclip_stream.web.event_feed import EventFeed, Subscription
from xclip_stream.web.streams import told

ONE = [0.1, 0.9, 0.1]


def told_ids(found: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [message["id"] for _, message in found]


def tell(served: Dashboard) -> list[str]:
    """Let one event happen; the ids of its two messages."""
    (event_id,) = served.judge(recorded(ONE))
    return [f"{event_id}:0", f"{event_id}:1"]


def test_whoever_catches_up_leaves_others_their_turn() -> None:
    queue = MemoryQueue()
    token = queue.acquire_alert(ttl_s=60.0)
    assert token is not None
    messages = [Message(f"a:{number}", "yard", b"{}", 0.0) for number in range(100)]
    queue.commit(token, source_id="yard", state=b"", events=messages, outbox=[], done=[])
    feed = EventFeed(queue, log=structlog.get_logger(), block_s=0.0)
    feed.follow_once()

    async def turns_between_messages() -> int:
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        others = asyncio.create_task(take_turns())
        missed = told(feed, "0")
        await anext(missed)
        before = turns
        for _ in messages[1:]:
            await anext(missed)
        others.cancel()
        return turns - before

    assert asyncio.run(turns_between_messages()) >= len(messages) - 1


def test_a_page_hears_of_events_as_they_come(served: Dashboard) -> None:
    with served.client() as client, client.stream("GET", "/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"

        told = tell(served)

        assert told_ids(events_of(lines, 2)) == told


def test_a_dropped_connection_resumes_with_what_was_missed(served: Dashboard) -> None:
    with served.client() as client, client.stream("GET", "/events") as stream:
        first = tell(served)
        heard = events_of(stream.iter_lines(), 1)
    second = tell(served)

    with served.client(**{"last-event-id": heard[0][0]}) as client, client.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        missed = events_of(lines, 3)
        third = tell(served)
        fresh = events_of(lines, 2)

    assert told_ids(heard + missed + fresh) == first + second + third


def test_what_is_not_in_memory_any_more_is_read_from_the_queue(
    served: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tell(served), tell(served)
    with served.client() as client, client.stream("GET", "/events", params={"after": "0"}) as stream:
        assert told_ids(events_of(stream.iter_lines(), 4)) == first + second


def test_many_pages_hear_the_same(served: Dashboard) -> None:
    heard: dict[int, list[str]] = {}
    ready = threading.Barrier(9)

    def listen(number: int) -> None:
        with served.client() as client, client.stream("GET", "/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            ready.wait(30)
            heard[number] = told_ids(events_of(lines, 2))

    pages = [threading.Thread(target=listen, args=(number,)) for number in range(8)]
    for page in pages:
        page.start()
    ready.wait(30)
    told = tell(served)
    for page in pages:
        page.join()

    assert list(heard.values()) == [told] * 8


@pytest.mark.parametrize("after", ["yesterday", "\u0661-\u0662"])
def test_an_id_that_is_none_is_refused(served: Dashboard, after: str) -> None:
    with served.client() as client:
        assert client.get("/events", params={"after": after}).status_code == 400


def test_a_program_listens_on_a_socket_and_goes_on_where_it_left(served: Dashboard) -> None:
    address = served.url.replace("http", "ws") + "/ws/events"
    with connect(address) as socket:
        first = tell(served)
        heard = [json.loads(socket.recv(30)) for _ in first]
    second = tell(served)

    with connect(f"{address}?after={heard[-1]['id']}") as socket:
        missed = [json.loads(socket.recv(30)) for _ in second]

    assert [each["event"]["id"] for each in heard + missed] == first + second


def test_a_socket_with_an_id_that_is_none_is_closed(served: Dashboard) -> None:
    with (
        connect(served.url.replace("http", "ws") + "/ws/events?after=x") as socket,
        pytest.raises(ConnectionClosed, match="1008"),
    ):
        socket.recv(30)


def test_a_program_that_has_gone_is_forgotten_also_while_nothing_happens(
    served: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = watched_subscriptions(monkeypatch)
    with connect(served.url.replace("http", "ws") + "/ws/events"):
        wait_until(lambda: len(heard) == 1)

    wait_until(lambda: not heard)


def watched_subscriptions(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the subscriptions that there are, as they come and go from now on."""
    now, subscribe = set[int](), EventFeed.subscribe

    @contextmanager
    def watched(feed: EventFeed) -> Iterator[Subscription]:
        with subscribe(feed) as subscription:
            now.add(id(subscription))
            try:
                yield subscription
            finally:
                now.discard(id(subscription))

    monkeypatch.setattr(EventFeed, "subscribe", watched)
    return now


@pytest.mark.parametrize("odd", [b"no json", b"\xff\xfe", b"[1]", b""])
def test_what_is_no_message_is_passed_over(served: Dashboard, odd: bytes) -> None:
    first = tell(served)
    served.queue._call("XADD", f"xclip:{{{served.config.redis.namespace}}}:events", "*", "event", odd)
    second = tell(served)

    with connect(served.url.replace("http", "ws") + "/ws/events?after=0") as socket:
        heard = [json.loads(socket.recv(30))["event"]["id"] for _ in first + second]
    with served.client() as client, client.stream("GET", "/events", params={"after": "0"}) as stream:
        shown = told_ids(events_of(stream.iter_lines(), 4))

    assert heard == shown == first + second


def test_an_outage_of_redis_is_told_and_over_when_it_is_back(tmp_path: Path) -> None:
    with (
        RedisServer("7") as server,
        dashboard(server.url, tmp_path, namespace=uuid4().hex) as served,
        served.client() as client,
    ):
        before = tell(served)
        wait_until(lambda: len(client.get("/api/events").json()["events"]) == 1)
        server.kill()
        wait_until(lambda: client.get("/api/system").status_code == 503)
        assert "does not answer" in client.get("/api/system").json()["error"]
        assert len(client.get("/api/events").json()["events"]) == 1  # what is known is still shown

        server.start()
        wait_until(lambda: client.get("/api/system").status_code == 200)
        with client.stream("GET", "/events", params={"after": "0"}) as stream:
            assert told_ids(events_of(stream.iter_lines(), 2)) == before
