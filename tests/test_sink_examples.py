"""The examples run against real brokers, and print what docs/sinks.md shows; its configurations are right."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from tests.brokers import KafkaBroker, Mosquitto, NatsServer
from tests.conftest import missing_part
from tests.event_builders import a_life
from tests.servers import redis_server
from tests.workers.running import running
from workers.deliver import run
from xclip_stream.config import SinkConfig, read_config
from xclip_stream.queues.redis import open_queue
from xclip_stream.sinks.webhook import signing_key, standard_headers

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
DOCS = (ROOT / "docs" / "sinks.md").read_text()
HEAD = "sources: [{id: yard, url: ./yard.mp4}]\nrules: [{id: climbing, prompts: [a person climbing]}]\n"
CONFIGURATIONS = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
OUTPUTS = re.findall(r"```text\n(.*?)```", DOCS, re.DOTALL)
START_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


def shown(mark: str) -> list[str]:
    """Return the lines of the output in the page that has this in it."""
    (output,) = [output for output in OUTPUTS if mark in output]
    return output.splitlines()


def deliver_one_event(sink: str, *, redis_url: str, folder: Path) -> None:
    """Let the real worker deliver the three phases of one event."""
    config = read_config(f"{HEAD}sinks:\n  - {sink}\n", name="site.yaml", folder=folder)
    sink_id = config.sinks[0].id
    with closing(open_queue(redis_url, consumer="alert")) as queue:
        token = queue.acquire_alert(ttl_s=5.0)
        assert token is not None
        life = a_life("5f0c1d0c", committed_at=time.time())
        outbox = [(sink_id, message) for message in life]
        queue.commit(token, source_id="yard", state=b"", events=life, outbox=outbox, done=[])
        queue.release_alert(token)
        with running(run, config, redis_url) as until:
            until(lambda: queue.depths([sink_id]).outbox[sink_id] == 0)


@contextmanager
def started(command: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_home_assistant_gets_what_the_page_shows(tmp_path, redis_url):
    if shutil.which("mosquitto_sub") is None:
        missing_part("mosquitto_sub", "apt-get install mosquitto-clients")
    with Mosquitto(tmp_path / "mqtt", "allow_anonymous true", "log_type all") as broker:
        options = ["127.0.0.1", str(broker.port), "-C", "9", "-W", "60"]
        with started(["sh", str(EXAMPLES / "home_assistant.sh"), *options]) as watching:
            wait_for_text(tmp_path / "mqtt" / "server.log", "Sending SUBACK")
            sink = f"{{id: home, type: mqtt, url: '{broker.url}', home_assistant: true}}"
            deliver_one_event(sink, redis_url=redis_url, folder=tmp_path)
            lines = watching.communicate(timeout=60)[0].splitlines()

    assert [line[:100].rstrip() for line in lines] == [line.rstrip() for line in shown("homeassistant/device/")]
    document = json.loads(lines[0].partition(" ")[2])
    sensor, event = document["components"].values()
    assert (sensor["platform"], event["platform"]) == ("binary_sensor", "event")
    assert {sensor["state_topic"], event["state_topic"]} <= {line.partition(" ")[0] for line in lines}


def wait_for_text(path: Path, text: str) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while text not in path.read_text():
        assert time.monotonic() < until, path.read_text()
        time.sleep(0.02)


def test_the_automation_is_for_a_sensor_that_there_is():
    (automation,) = yaml.safe_load((EXAMPLES / "home_assistant_automation.yaml").read_text())

    # Home Assistant makes the name of an entity from those of the device and of the component.
    assert automation["triggers"][0]["entity_id"] == "binary_sensor.yard_climbing"


def test_a_kafka_consumer_prints_what_the_page_shows(tmp_path, redis_url):
    with KafkaBroker() as broker:
        sink = f"{{id: lake, type: kafka, servers: ['{broker.address}'], topic: alerts}}"
        deliver_one_event(sink, redis_url=redis_url, folder=tmp_path)
        command = [sys.executable, str(EXAMPLES / "consume_kafka.py"), broker.address, "alerts", "--count", "3"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert printed.splitlines() == shown("yard  5f0c1d0c:0  started  climbing  peak")


def test_a_nats_consumer_prints_what_the_page_shows(tmp_path, redis_url):
    consumer = [sys.executable, str(EXAMPLES / "consume_nats.py")]
    with NatsServer(tmp_path / "nats") as server, started([*consumer, server.url, "--count", "3"]) as reading:
        # The consumer makes the stream; the events wait for it.
        sink = f"{{id: stream, type: nats, servers: ['{server.url}'], first_delay_s: 0.1, max_delay_s: 0.1}}"
        deliver_one_event(sink, redis_url=redis_url, folder=tmp_path)
        printed = reading.communicate(timeout=60)[0]

    assert printed.splitlines() == shown("xclip.events.yard")


def test_the_page_tells_a_signed_webhook_from_a_forged_one():
    (program,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    exec(program, scope := dict[str, Any]())  # noqa: S102 - it is ours
    secret, (message, *_) = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", a_life("5f0c1d0c", committed_at=0.0)
    headers = standard_headers(message, key=signing_key(secret), timestamp=1_767_225_600)

    assert scope["is_genuine"](headers, message.body, secret)
    assert not scope["is_genuine"](headers, message.body + b" ", secret)
    assert not scope["is_genuine"](headers, message.body, "whsec_b3RoZXI=")


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_each_configuration_of_the_page_is_right(text, tmp_path):
    config = read_config(HEAD + text, name="sinks.md", folder=tmp_path, environ={})

    assert config.sinks


def test_the_page_has_a_configuration_for_each_type_of_sink():
    sections = get_args(get_args(SinkConfig)[0])
    types = {get_args(section.model_fields["type"].annotation)[0] for section in sections}
    told = {sink["type"] for text in CONFIGURATIONS for sink in yaml.safe_load(text)["sinks"]}

    assert told == types
    assert {name for name in types if f"| [`{name}`](#" in DOCS} == types
