import socket
from collections.abc import Iterator
from functools import partial

import pytest
import redis

from tests.servers import redis_server
from xclip_stream.errors import ConfigError, DeliveryError
from xclip_stream.queues.redis_client import open_client
from xclip_stream.sinks.redis_stream import RedisStreamSink


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


def a_sink(url: str, *, stream: str, maxlen: int = 1000, timeout_s: float = 5.0) -> RedisStreamSink:
    connect = partial(open_client, url, key=stream, connect_timeout_s=timeout_s, reply_timeout_s=timeout_s)
    return RedisStreamSink(open_client=connect, stream=stream, maxlen=maxlen)


def test_each_message_is_one_entry_with_its_id_and_event(url, client, message):
    with a_sink(url, stream="alerts") as sink:
        sink.deliver(message("e1:0", b'{"id":"e1:0"}'))
        sink.deliver(message("e1:1", b'{"id":"e1:1"}'))

    assert [fields for _, fields in client.xrange("alerts")] == [
        {b"message_id": b"e1:0", b"event": b'{"id":"e1:0"}'},
        {b"message_id": b"e1:1", b"event": b'{"id":"e1:1"}'},
    ]


def test_a_message_that_comes_again_is_added_once(url, client, message):
    for _ in range(2):
        with a_sink(url, stream="alerts") as sink:
            sink.deliver(message("e1:0"))
            sink.deliver(message("e1:1"))

    assert [fields[b"message_id"] for _, fields in client.xrange("alerts")] == [b"e1:0", b"e1:1"]


def test_the_stream_is_kept_to_about_its_length(url, client, message):
    with a_sink(url, stream="alerts", maxlen=100) as sink:
        for number in range(1000):
            sink.deliver(message(f"e:{number}"))

    assert 100 <= client.xlen("alerts") <= 300
    assert client.xrevrange("alerts", count=1)[0][1][b"message_id"] == b"e:999"


def test_a_stream_that_others_write_too_is_left_as_it_is(url, client, message):
    client.xadd("alerts", {"door": "open"})

    with a_sink(url, stream="alerts") as sink:
        sink.deliver(message("e1:0"))

    assert client.xlen("alerts") == 2


def test_a_key_that_is_no_stream_is_an_error_that_names_it(url, client, message):
    client.set("alerts", "text")

    with a_sink(url, stream="alerts") as sink, pytest.raises(DeliveryError, match=r"alerts: .*WRONGTYPE"):
        sink.deliver(message())


def test_a_server_that_is_away_is_worth_another_try(message):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sink = a_sink(f"redis://ops:s3cret@127.0.0.1:{port}", stream="alerts")

    with sink, pytest.raises(DeliveryError, match="redis stream alerts") as caught:
        sink.deliver(message())

    assert "s3cret" not in str(caught.value)


def test_a_server_that_accepts_and_says_nothing_times_out(message):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        with a_sink(url, stream="a", timeout_s=0.2) as sink, pytest.raises(DeliveryError, match="imeout"):
            sink.deliver(message())


def test_a_connection_that_the_server_closed_costs_no_message(url, client, message):
    with a_sink(url, stream="alerts") as sink:
        sink.deliver(message("e1:0"))
        client.client_kill_filter(_type="normal", skipme=True)
        sink.deliver(message("e1:1"))

    assert client.xlen("alerts") == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://user:pa/55word@host:1"])
def test_a_url_that_is_none_is_a_configuration_error_without_a_piece_of_the_password(url):
    with pytest.raises(ConfigError, match="alerts") as caught, a_sink(url, stream="alerts"):
        pass

    assert "55word" not in str(caught.value)
    assert "pa" not in str(caught.value).replace("password", "")
