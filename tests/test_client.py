"""The client on real servers: nothing is lost, and what comes twice says so."""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from tests.guarded_redis import GuardedServer
from tests.redis_servers import VERSIONS, RedisServer
from tests.score_builders import judge, recording, rule
from xclip_stream.client import Delivery, EventClient, Start
from xclip_stream.errors import ConfigError, DecodeError, QueueError, QueueUnavailable
from xclip_stream.events import encode_event
from xclip_stream.queues.redis import open_queue
from xclip_stream.types import Event, Message

EVENT = judge(recording([0.9, 0.1]), rule())[1][0].event


@pytest.fixture(params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as server:
        yield server


def numbered(number: int) -> Event:
    return replace(EVENT, event_id=f"event-{number}")


def publish(server: RedisServer, *numbers: int, url: str | None = None) -> None:
    """Commit events as an alert worker does."""
    with open_queue(url or server.url) as queue:
        token = queue.acquire_alert(ttl_s=60)
        assert token is not None
        for number in numbers:
            event = numbered(number)
            message = Message(event.message_id, event.source_id, encode_event(event, number=number), committed_at=1.0)
            queue.commit(token, source_id="yard", state=b"s", events=[message], outbox=[], done=[])
        queue.release_alert(token)


def number_of(delivery: Delivery) -> int:
    return int(delivery.event.event_id.removeprefix("event-"))


def take(events: EventClient, count: int) -> list[Delivery]:
    return list(islice(events, count))


def handle(events: EventClient, count: int) -> list[int]:
    """Acknowledge so many events, and return their numbers."""
    handled = []
    for delivery in islice(events, count):
        with delivery:
            handled.append(number_of(delivery))
    return handled


def test_a_group_gets_each_event_once_as_the_event_that_was_told(server: RedisServer) -> None:
    with EventClient(server.url, group="door", consumer="one", start="oldest") as events:
        publish(server, 1, 2, 3)
        first = take(events, 1)[0]
        first.ack()
        rest = handle(events, 2)

    assert first.event == numbered(1)
    assert first.deliveries == 1
    assert rest == [2, 3]


def test_a_consumer_that_starts_anew_gets_what_it_had_not_acknowledged_first(server: RedisServer) -> None:
    publish(server, 1, 2, 3)
    with EventClient(server.url, group="door", consumer="one", start="oldest") as events:
        handle(events, 1)
        take(events, 1)

    with EventClient(server.url, group="door", consumer="one") as events:
        again = take(events, 2)

    assert [(number_of(each), each.deliveries) for each in again] == [(2, 2), (3, 1)]


def test_what_a_dead_consumer_had_goes_to_another(server: RedisServer) -> None:
    publish(server, 1, 2)
    with EventClient(server.url, group="door", consumer="dead", start="oldest") as events:
        take(events, 1)

    with EventClient(server.url, group="door", consumer="two", claim_idle_s=0.05) as events:
        found = {number_of(each): each.deliveries for each in take(events, 2)}

    assert found == {1: 2, 2: 1}


def test_an_event_whose_handling_failed_comes_again(server: RedisServer) -> None:
    publish(server, 1)
    with EventClient(server.url, group="door", consumer="one", start="oldest", claim_idle_s=0.05) as events:
        with pytest.raises(ZeroDivisionError), take(events, 1)[0]:
            raise ZeroDivisionError
        again = take(events, 1)[0]

    assert (number_of(again), again.deliveries) == (1, 2)


def test_two_groups_get_all_of_it_each_and_one_that_is_new_begins_where_it_is_told(server: RedisServer) -> None:
    publish(server, 1, 2)
    with (
        EventClient(server.url, group="all", start="oldest") as everything,
        EventClient(server.url, group="late", start="new") as late,
    ):
        publish(server, 3)

        assert handle(everything, 3) == [1, 2, 3]
        assert handle(late, 1) == [3]


def test_without_a_group_it_reads_from_the_start_an_id_or_a_time(server: RedisServer) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    publish(server, 1, 2, 3)
    with EventClient(server.url, start="oldest") as events:
        seen = take(events, 3)
    with EventClient(server.url, start=seen[1].id) as events:
        after_an_id = handle(events, 1)
    with EventClient(server.url, start=before) as events:
        since = handle(events, 3)
    with EventClient(server.url, start="new") as events:
        publish(server, 4)
        new = handle(events, 1)

    assert [number_of(each) for each in seen] == [1, 2, 3]
    assert after_an_id == [3]
    assert since == [1, 2, 3]
    assert new == [4]


def test_the_events_of_a_moment_are_those_since_it(server: RedisServer) -> None:
    publish(server, 1)
    with EventClient(server.url, start="oldest") as events:
        published_ms = int(take(events, 1)[0].id.partition("-")[0])
        events.rewind(datetime.fromtimestamp(published_ms / 1000, UTC))
        assert handle(events, 1) == [1]
        events.rewind(datetime.fromtimestamp((published_ms + 1) / 1000, UTC))
        publish(server, 2)
        assert handle(events, 1) == [2]


def test_a_group_can_be_rewound(server: RedisServer) -> None:
    publish(server, 1, 2)
    with EventClient(server.url, group="door", start="oldest") as events:
        handle(events, 2)
        events.rewind("oldest")

        assert handle(events, 2) == [1, 2]


def test_an_outage_is_waited_for_and_loses_nothing(server: RedisServer) -> None:
    publish(server, 1)
    with EventClient(server.url, group="door", consumer="one", start="oldest") as events:
        held = take(events, 1)[0]
        server.kill()
        back = threading.Timer(0.3, lambda: (server.start(), publish(server, 2)))
        back.start()
        held.ack()
        rest = handle(events, 1)
        back.join()

    assert rest == [2]


def test_an_event_whose_reply_was_lost_is_asked_for_again(server: RedisServer) -> None:
    publish(server, 1, 2)
    with EventClient(server.url, group="door", consumer="one", start="oldest") as events:
        take_new = events._stream.take_new

        def lose_the_reply(group: str, consumer: str, *, block_s: float) -> None:
            events._stream.take_new = take_new  # type: ignore[method-assign]
            take_new(group, consumer, block_s=block_s)
            raise QueueUnavailable("the reply was lost")

        events._stream.take_new = lose_the_reply  # type: ignore[method-assign]

        assert handle(events, 2) == [1, 2]


def test_a_redis_that_came_back_empty_is_read_from_its_start(server: RedisServer) -> None:
    publish(server, 1)
    with EventClient(server.url, group="door", start="oldest") as events:
        handle(events, 1)
        server.kill()
        server.lose_all()
        server.start()
        publish(server, 2)

        assert handle(events, 1) == [2]


def test_what_was_trimmed_before_it_was_acknowledged_is_let_go_of(server: RedisServer) -> None:
    publish(server, 1, 2)
    with EventClient(server.url, group="door", consumer="one", start="oldest") as events:
        held = take(events, 1)[0]
    with closing(server.client()) as client:
        client.xdel("xclip:{main}:events", held.id)

        with EventClient(server.url, group="door", consumer="two", claim_idle_s=0.001) as events:
            found = handle(events, 1)

        assert found == [2]
        assert client.xpending("xclip:{main}:events", "door")["pending"] == 0


def test_what_was_trimmed_does_not_hide_what_the_consumer_has_besides(server: RedisServer) -> None:
    publish(server, *range(100))
    with EventClient(server.url, group="door", consumer="one", start="oldest") as events:
        held = take(events, 100)
    with closing(server.client()) as client:
        client.xdel("xclip:{main}:events", *(delivery.id for delivery in held[:-1]))
    publish(server, 100)

    with EventClient(server.url, group="door", consumer="one") as events:
        assert handle(events, 2) == [99, 100]


def test_a_group_that_is_there_goes_on_at_a_full_redis_and_a_new_one_is_told(server: RedisServer) -> None:
    publish(server, 1)
    with EventClient(server.url, group="door", start="oldest"):
        pass
    with closing(server.client()) as client:
        client.config_set("maxmemory", 1)

    with EventClient(server.url, group="door", start="oldest") as events:
        assert handle(events, 1) == [1]
    with pytest.raises(QueueUnavailable, match="is full"), EventClient(server.url, group="gate"):
        pass


@pytest.mark.parametrize("group", [None, "door"])
def test_what_is_retained_can_be_read_to_its_end(server: RedisServer, group: str | None) -> None:
    publish(server, *range(250))
    with EventClient(server.url, group=group, start="oldest") as events:
        assert [number_of(each) for each in events.retained()] == list(range(250))
        assert list(events.retained()) == []


@pytest.mark.parametrize("group", [None, "door"])
def test_closing_it_from_another_thread_ends_the_iteration(server: RedisServer, group: str | None) -> None:
    with EventClient(server.url, group=group) as events:
        threading.Timer(0.2, events.close).start()

        assert list(events) == []


def test_an_acknowledgement_that_was_not_taken_is_told_when_it_is_closed(server: RedisServer) -> None:
    publish(server, 1)
    with EventClient(server.url, group="door", start="oldest") as events:
        held = take(events, 1)[0]
        server.kill()
        events.close()

        with pytest.raises(QueueUnavailable, match="closed before"):
            held.ack()


def test_what_is_no_event_of_this_version_can_be_told_and_let_go_of(server: RedisServer) -> None:
    with closing(server.client()) as client, EventClient(server.url, group="door", start="oldest") as events:
        client.xadd("xclip:{main}:events", {"event": "{}"})
        with take(events, 1)[0] as odd:
            with pytest.raises(DecodeError, match="not an event"):
                odd.event  # noqa: B018 - reading it is the test
            assert odd.body == b"{}"
        publish(server, 1)

        assert handle(events, 1) == [1]


@pytest.mark.parametrize("start", ["new", "oldest", datetime(2026, 1, 1, tzinfo=UTC)])
def test_a_redis_that_is_not_there_at_the_start_is_told_at_once(start: Start) -> None:
    with (
        pytest.raises(QueueUnavailable, match="does not answer"),
        EventClient("unix:///nowhere/redis.sock", start=start),
    ):
        pass
    with pytest.raises(ConfigError, match="is not a Redis URL"):
        EventClient("http://localhost")


def test_what_is_told_of_a_redis_that_is_away_is_one_error_and_not_a_chain_of_them() -> None:
    with pytest.raises(QueueUnavailable) as caught, EventClient("unix:///nowhere/redis.sock"):
        pass

    told = "".join(traceback.format_exception(caught.value))
    assert told.count("Traceback") == 1
    assert told.splitlines()[-1].startswith("xclip_stream.errors.QueueUnavailable: Redis at ")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_user_for_consumers_may_do_all_of_this_and_add_nothing(version: str) -> None:
    with GuardedServer(version) as server:
        url = server.url_of("consumer")
        steps: list[Callable[[EventClient], object]] = [lambda events: events.rewind("oldest"), lambda _: None]
        publish(server, 1, url=server.url_of("alert"))
        for group, step in zip(("door", None), steps, strict=True):
            with EventClient(url, group=group, start="oldest", claim_idle_s=0.01) as events:
                assert handle(events, 1) == [1]
                step(events)
        refused = server.refusals()
        with open_queue(url) as queue:
            for words in (("XADD", "xclip:{main}:events", "*", "a", "b"), ("XDEL", "xclip:{main}:events", "1-0")):
                with pytest.raises(QueueError, match="refuses this user"):
                    queue._call(*words)
            with pytest.raises(QueueError, match="refuses this user"):
                queue.take_windows(max_count=1, block_s=0)

    assert refused == []
