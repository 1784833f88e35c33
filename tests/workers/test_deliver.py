import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.brokers import JetStream, KafkaBroker, NatsServer
from tests.metrics.reading import shown
from tests.servers import Answer, Endpoint, http_endpoint
from tests.workers.running import running, unwatched
from workers.deliver import run
from workers.sinks import build_sink, lease_s, plan_sinks
from xclip_stream.config import Config, ConfigWatch, load_config, read_config
from xclip_stream.errors import ConfigError
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.queues.redis import open_queue
from xclip_stream.types import Message

HEAD = """
sources: [{id: yard, url: /tmp/yard.mp4}]
rules: [{id: climbing, prompts: [a person climbing]}]
sinks:
"""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http_endpoint() as endpoint:
        yield endpoint


def a_config(sinks: str, folder: Path) -> Config:
    return read_config(HEAD + sinks, name="test.yaml", folder=folder, environ={})


def fill(redis_url: str, *message_ids: str, sinks: tuple[str, ...]) -> None:
    with closing(open_queue(redis_url, consumer="alert")) as queue:
        token = queue.acquire_alert(ttl_s=5.0)
        assert token is not None
        messages = [Message(name, "yard", json.dumps({"id": name}).encode(), time.time()) for name in message_ids]
        outbox = [(sink_id, message) for message in messages for sink_id in sinks]
        queue.commit(token, source_id="yard", state=b"", events=messages, outbox=outbox, done=[])
        queue.release_alert(token)


def waiting(redis_url: str, *sinks: str) -> int:
    with closing(open_queue(redis_url)) as queue:
        return sum(queue.depths(sinks).outbox.values())


def test_every_kind_of_sink_gets_every_message_in_order(redis_url, endpoint, tmp_path, capsys):
    sinks = f"""
  - {{id: screen, type: console, format: json}}
  - {{id: file, type: jsonl, path: out/events.jsonl}}
  - {{id: copy, type: redis, stream: alerts, maxlen: 100}}
  - {{id: hook, type: webhook, url: "{endpoint.url}", secret: plain, headers: {{x-site: north}}}}
"""
    ids, names = ["a:0", "b:0", "a:1"], ("screen", "file", "copy", "hook")
    fill(redis_url, *ids, sinks=names)

    with running(run, a_config(sinks, tmp_path), redis_url) as until:
        until(lambda: waiting(redis_url, *names) == 0)

    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]  # and not the log
    written = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    with redis.Redis.from_url(redis_url) as client:
        copied = [fields[b"event"] for _, fields in client.xrange("alerts")]
    posted = [request.body for request in endpoint.requests]
    for received in (printed, written, copied, posted):
        assert [json.loads(line)["id"] for line in received] == ids
    assert endpoint.requests[0].headers["x-site"] == "north"


def test_every_broker_and_program_gets_every_message_in_order(redis_url, tmp_path):
    got = tmp_path / "got"
    with (
        KafkaBroker() as kafka,
        NatsServer(tmp_path / "nats") as nats,
        closing(JetStream(nats.url, stream="XCLIP", subjects="xclip.events.>")) as stream,
    ):
        sinks = f"""
  - {{id: records, type: kafka, servers: ["{kafka.address}"], topic: alerts}}
  - {{id: stream, type: nats, servers: ["{nats.url}"]}}
  - {{id: program, type: exec, command: [sh, -c, 'echo "$1" >> {got}', sh]}}
"""
        ids, names = ["a:0", "b:0", "a:1"], ("records", "stream", "program")
        fill(redis_url, *ids, sinks=names)
        with running(run, a_config(sinks, tmp_path), redis_url) as until:
            until(lambda: waiting(redis_url, *names) == 0)
        received = [kafka.values("alerts", count=3), stream.bodies(), got.read_bytes().splitlines()]

    assert [[json.loads(body)["id"] for body in bodies] for bodies in received] == [ids] * 3


def test_a_sink_whose_library_is_missing_ends_the_worker_at_its_start_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    config = a_config("\n  - {id: bus, type: kafka, servers: ['a:9092'], topic: t}\n", tmp_path)

    with pytest.raises(ConfigError, match=r"^sink bus: type kafka needs .*: pip install 'xclip-stream\[kafka\]'$"):
        run(config, stop=threading.Event(), redis_url="", watch=unwatched(config), vitals=Vitals())


def test_a_sink_whose_library_is_missing_and_that_is_added_later_stops_no_other(redis_url, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    path = tmp_path / "site.yaml"
    one, bus = (
        "\n  - {id: one, type: jsonl, path: one.jsonl}\n",
        "  - {id: bus, type: kafka, servers: ['a:9'], topic: t}\n",
    )
    path.write_text(HEAD + one)
    watch = ConfigWatch(path, load_config(path), look_every_s=0.01)

    with capture_logs() as logs, running(run, watch.config, redis_url, watch=watch) as until:
        path.write_text(HEAD + one + bus)
        until(lambda: [entry["sink"] for entry in logs if entry["event"] == "sink_unusable"] == ["bus"])
        fill(redis_url, "a:0", sinks=("one", "bus"))
        until(lambda: waiting(redis_url, "one") == 0)

    assert waiting(redis_url, "bus") == 1


def test_a_sink_that_is_down_delays_no_other_and_catches_up_in_order(redis_url, endpoint, tmp_path):
    endpoint.answers = [Answer(500)]
    sinks = f"""
  - {{id: hook, type: webhook, url: "{endpoint.url}", first_delay_s: 0.05, max_delay_s: 0.05}}
  - {{id: file, type: jsonl, path: events.jsonl}}
"""
    fill(redis_url, "a:0", "a:1", sinks=("hook", "file"))

    with running(run, a_config(sinks, tmp_path), redis_url) as until:
        until(lambda: waiting(redis_url, "file") == 0 and len(endpoint.requests) >= 3)
        tried = {request.headers["webhook-id"] for request in endpoint.requests}
        left = waiting(redis_url, "hook")
        endpoint.answers = [Answer(200)]
        until(lambda: waiting(redis_url, "hook") == 0)

    assert (tried, left) == ({"a:0"}, 2)
    assert [request.headers["webhook-id"] for request in endpoint.requests[-2:]] == ["a:0", "a:1"]


def test_a_message_that_an_endpoint_refuses_is_a_dead_letter_that_can_be_replayed(redis_url, endpoint, tmp_path):
    endpoint.answers = [Answer(422), Answer(200)]
    config = a_config(f'\n  - {{id: hook, type: webhook, url: "{endpoint.url}"}}\n', tmp_path)
    fill(redis_url, "a:0", "a:1", sinks=("hook",))

    with closing(open_queue(redis_url)) as queue, running(run, config, redis_url) as until:
        until(lambda: waiting(redis_url, "hook") == 0)
        (letter,) = queue.list_dead(max_count=10)
        queue.replay_dead(letter.id)
        until(lambda: waiting(redis_url, "hook") == 0)

    assert (letter.origin, letter.subject) == ("outbox:hook", "a:0")
    assert letter.reason == f"webhook http://{endpoint.address}: answered 422"
    assert [request.headers["webhook-id"] for request in endpoint.requests] == ["a:0", "a:1", "a:0"]


def test_a_stop_leaves_what_is_not_delivered_to_the_next_worker(redis_url, endpoint, tmp_path):
    endpoint.answers = [Answer(503, {"retry-after": "600"})]
    config = a_config(f'\n  - {{id: hook, type: webhook, url: "{endpoint.url}"}}\n', tmp_path)
    fill(redis_url, "a:0", "a:1", sinks=("hook",))
    with running(run, config, redis_url) as until:
        until(lambda: len(endpoint.requests) == 1)

    endpoint.answers = [Answer(200)]
    with running(run, config, redis_url) as until:
        until(lambda: waiting(redis_url, "hook") == 0)

    assert [request.headers["webhook-id"] for request in endpoint.requests] == ["a:0", "a:0", "a:1"]


def test_sinks_follow_the_file_and_the_outbox_of_a_removed_one_is_kept_for_its_return(redis_url, tmp_path):
    path = tmp_path / "site.yaml"
    one, two = "\n  - {id: one, type: jsonl, path: one.jsonl}\n", "\n  - {id: two, type: jsonl, path: two.jsonl}\n"
    path.write_text(HEAD + one)
    watch = ConfigWatch(path, load_config(path), look_every_s=0.01)

    def written(name: str) -> list[str]:
        file = tmp_path / f"{name}.jsonl"
        return [json.loads(line)["id"] for line in file.read_text().splitlines()] if file.exists() else []

    def delivering() -> set[str]:
        return {thread.name for thread in threading.enumerate() if thread.name.startswith("deliver-")}

    def counted() -> set[str]:
        return {labels[0][1] for labels in shown(registry).series("messages_delivered_total")}

    registry = CollectorRegistry()
    with running(run, watch.config, redis_url, watch=watch, registry=registry) as until:
        fill(redis_url, "a:0", sinks=("one",))
        until(lambda: waiting(redis_url, "one") == 0)
        assert counted() == {"one"}
        path.write_text(HEAD + two)
        until(lambda: delivering() == {"deliver-two"})
        fill(redis_url, "a:1", sinks=("one", "two"))
        until(lambda: waiting(redis_url, "two") == 0)
        kept = waiting(redis_url, "one")
        assert counted() == {"two"}
        path.write_text(HEAD + one.rstrip() + two)
        until(lambda: waiting(redis_url, "one") == 0)

    assert kept == 1
    assert counted() == {"one", "two"}
    assert (written("one"), written("two")) == (["a:0", "a:1"], ["a:1"])


def test_a_worker_without_sinks_waits_to_be_stopped(redis_url, tmp_path):
    class AtTheThirdLook(threading.Event):
        looks = 0

        def wait(self, timeout=None):
            self.looks += 1
            if self.looks == 3:
                self.set()
            return self.is_set()

    stop, config = AtTheThirdLook(), a_config(" []", tmp_path)

    run(config, stop=stop, redis_url=redis_url, watch=unwatched(config), vitals=Vitals())

    assert stop.looks == 3


def test_a_sink_whose_loop_cannot_go_on_ends_the_worker_with_the_reason(tmp_path, redis_url):
    with redis.Redis.from_url(redis_url) as client:
        client.set("xclip:{main}:outbox:file", "not a stream")
    sinks = "\n  - {id: file, type: jsonl, path: e.jsonl}\n  - {id: other, type: jsonl, path: o.jsonl}\n"
    config = a_config(sinks, tmp_path)

    with pytest.raises(Exception, match="WRONGTYPE"):
        run(config, stop=threading.Event(), redis_url=redis_url, watch=unwatched(config), vitals=Vitals())


@pytest.mark.parametrize(
    ("sink", "lease"),
    [
        ("type: webhook, url: 'https://a.example/', timeout_s: 60", 90.0),
        ("type: webhook, url: 'https://a.example/', timeout_s: 1", 5.0),
        ("type: redis, stream: alerts", 9.0),
        ("type: mqtt, url: 'mqtt://a', timeout_s: 10", 30.0),
        ("type: email, url: 'smtp://a', from: a@b, to: [c@d], timeout_s: 10", 60.0),
        ("type: apprise, url: 'ntfy://a/b'", 60.0),
        ("type: kafka, servers: ['a:9092'], topic: t, timeout_s: 10", 18.0),
        ("type: nats, servers: ['nats://a'], timeout_s: 10", 15.0),
        ("type: exec, command: ['true']", 45.0),
        ("type: console", 5.0),
    ],
)
def test_a_lease_outlasts_the_longest_delivery(tmp_path, sink, lease):
    config = a_config(f"\n  - {{id: one, {sink}}}\n", tmp_path)

    assert lease_s(config.sinks[0]) == lease


def test_a_redis_sink_without_a_url_is_on_the_redis_of_the_queue(tmp_path, redis_url):
    config = a_config("\n  - {id: copy, type: redis, stream: alerts}\n", tmp_path)

    with build_sink(plan_sinks(config)[0], redis_url=redis_url, console=io.StringIO()) as sink:
        sink.deliver(Message("a:0", "yard", b"{}", 1.0))

    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen("alerts") == 1
