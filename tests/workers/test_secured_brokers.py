"""Brokers that want TLS and a login: from the configuration to what they have stored, and what a failure says."""

import ssl
import subprocess
import time
from collections.abc import Iterator, MutableMapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.brokers import JetStream, KafkaBroker, Mosquitto, MqttListener, NatsServer
from tests.certificates import Certificates
from tests.event_builders import a_life
from tests.kafka_gate import MECHANISMS, KafkaGate
from tests.ports import free_port
from tests.workers.running import running
from workers.deliver import run
from xclip_stream.config import Config, read_config
from xclip_stream.queues.redis import open_queue

HEAD = "sources: [{id: yard, url: ./yard.mp4}]\nrules: [{id: climbing, prompts: [a person climbing]}]\nsinks:\n"
PASSWORD, IN_A_URL = "r1ght@h:rse/%", "r1ght%40h%3Arse%2F%25"
WRONG = "wr0ngh0rse"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that has signed nothing of ours."""
    return Certificates.make(tmp_path_factory.mktemp("others"))


def configured(sink: str, folder: Path) -> Config:
    return read_config(f"{HEAD}  - {sink}\n", name="site.yaml", folder=folder, environ={})


@contextmanager
def delivering(config: Config, redis_url: str) -> Iterator[tuple[Any, list[MutableMapping[str, Any]]]]:
    """Let the deliver worker send one event; give what waits until something holds, and what is logged."""
    (sink,) = config.sinks
    life = a_life("5f0c1d0c", committed_at=time.time())
    with closing(open_queue(redis_url, consumer="alert")) as queue:
        token = queue.acquire_alert(ttl_s=5.0)
        assert token is not None
        outbox = [(sink.id, message) for message in life]
        queue.commit(token, source_id="yard", state=b"", events=life, outbox=outbox, done=[])
        queue.release_alert(token)
    with capture_logs() as logs, running(run, config, redis_url) as until:
        yield until, logs


def delivered(config: Config, redis_url: str) -> None:
    """Let the worker deliver one event to its end."""
    with delivering(config, redis_url) as (until, _), closing(open_queue(redis_url)) as queue:
        (sink,) = config.sinks
        until(lambda: queue.depths([sink.id]).outbox[sink.id] == 0)


def failure(config: Config, redis_url: str) -> str:
    """Return what the log says of the first attempt; it is one line, and no line of the log has a secret."""
    with delivering(config, redis_url) as (until, logs):
        until(lambda: any("failed" in str(line["event"]) for line in logs))
    reasons = [str(line["error"]) for line in logs if "error" in line]
    shown = str(logs)
    assert not [secret for secret in (PASSWORD, IN_A_URL, WRONG) if secret in shown]
    assert "\n" not in reasons[0]
    return reasons[0]


@contextmanager
def mosquitto(certificates: Certificates, folder: Path) -> Iterator[tuple[Mosquitto, int]]:
    """A broker that listens for the sink, over TLS and with a password, and for the test at another port without."""
    folder.mkdir()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(folder / "users"), "cameras", PASSWORD], check=True)
    plain = free_port()
    options = (
        *("per_listener_settings true", "allow_anonymous false", f"password_file {folder}/users"),
        *(f"certfile {certificates.folder}/server.crt", f"keyfile {certificates.folder}/server.key"),
        *(f"listener {plain} 127.0.0.1", "allow_anonymous true"),
    )
    with Mosquitto(folder, *options) as broker:
        broker.wait_for_port(plain)
        yield broker, plain


def mqtt_sink(port: int, certificates: Certificates, *, password: str = IN_A_URL) -> str:
    url = f"mqtts://cameras:{password}@127.0.0.1:{port}"
    return f'{{id: home, type: mqtt, url: "{url}", timeout_s: 5, tls: {{ca_file: {certificates.ca_file}}}}}'


def test_mqtt_over_tls_with_a_password(certificates: Certificates, redis_url: str, tmp_path: Path) -> None:
    with mosquitto(certificates, tmp_path / "mqtt") as (broker, plain), MqttListener(plain, "#") as listener:
        delivered(configured(mqtt_sink(broker.port, certificates), tmp_path), redis_url)
        listener.wait_for(lambda: len(listener.payloads("xclip-stream/events/yard/climbing")) == 3)


# The library leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_mqtt_says_which_of_password_and_authority_is_wrong(
    certificates: Certificates, others: Certificates, redis_url: str, tmp_path: Path
) -> None:
    with mosquitto(certificates, tmp_path / "mqtt") as (broker, _):
        login = failure(configured(mqtt_sink(broker.port, certificates, password=WRONG), tmp_path), redis_url)
        trust = failure(configured(mqtt_sink(broker.port, others), tmp_path), redis_url)

    name = f"mqtt mqtts://***@127.0.0.1:{broker.port}: "
    assert login == f"{name}refused: Not authorized"
    assert trust.startswith(f"{name}cannot connect: ")
    assert "certificate verify failed" in trust


@contextmanager
def nats_server(certificates: Certificates, folder: Path) -> Iterator[NatsServer]:
    files = ("--tlscert", f"{certificates.folder}/server.crt", "--tlskey", f"{certificates.folder}/server.key")
    with NatsServer(folder, "--tls", *files, "--user", "cameras", "--pass", PASSWORD) as server:
        yield server


def nats_sink(port: int, certificates: Certificates, *, password: str = IN_A_URL) -> str:
    url = f"tls://cameras:{password}@127.0.0.1:{port}"
    return f'{{id: stream, type: nats, servers: ["{url}"], tls: {{ca_file: {certificates.ca_file}}}}}'


def test_nats_over_tls_with_a_password(certificates: Certificates, redis_url: str, tmp_path: Path) -> None:
    access = {
        "tls": ssl.create_default_context(cafile=certificates.ca_file),
        "user": "cameras",
        "password": PASSWORD,
    }
    with (
        nats_server(certificates, tmp_path / "nats") as server,
        closing(JetStream(server.url, stream="XCLIP", subjects="xclip.events.>", access=access)) as stream,
    ):
        delivered(configured(nats_sink(server.port, certificates), tmp_path), redis_url)
        assert len(stream.bodies()) == 3


def test_nats_says_which_of_password_and_authority_is_wrong(
    certificates: Certificates, others: Certificates, redis_url: str, tmp_path: Path
) -> None:
    with nats_server(certificates, tmp_path / "nats") as server:
        login = failure(configured(nats_sink(server.port, certificates, password=WRONG), tmp_path), redis_url)
        trust = failure(configured(nats_sink(server.port, others), tmp_path), redis_url)

    name = f"nats tls://***@127.0.0.1:{server.port}: "
    assert login.startswith(name)
    assert "authorization" in login.lower()
    assert trust.startswith(name)
    assert "certificate verify failed" in trust


def kafka_sink(
    address: str, certificates: Certificates, *, sasl: str = "SCRAM-SHA-512", password: str = PASSWORD
) -> str:
    login = f'user: cameras, password: "{password}", sasl: {sasl}'
    tls = f"{{ca_file: {certificates.ca_file}}}"
    return f'{{id: lake, type: kafka, servers: ["{address}"], topic: alerts, timeout_s: 5, {login}, tls: {tls}}}'


@pytest.mark.parametrize("sasl", MECHANISMS)
def test_kafka_over_tls_with_a_password(certificates: Certificates, redis_url: str, tmp_path: Path, sasl: str) -> None:
    with KafkaBroker() as broker, KafkaGate(broker.address, certificates, login=("cameras", PASSWORD)) as gate:
        delivered(configured(kafka_sink(gate.address, certificates, sasl=sasl), tmp_path), redis_url)
        assert len(broker.values("alerts", count=3)) == 3


@pytest.mark.parametrize("sasl", MECHANISMS)
def test_kafka_says_which_of_password_and_authority_is_wrong(
    certificates: Certificates, others: Certificates, redis_url: str, tmp_path: Path, sasl: str
) -> None:
    with KafkaBroker() as broker, KafkaGate(broker.address, certificates, login=("cameras", PASSWORD)) as gate:
        wrong = kafka_sink(gate.address, certificates, sasl=sasl, password=WRONG)
        login = failure(configured(wrong, tmp_path), redis_url)
        trust = failure(configured(kafka_sink(gate.address, others, sasl=sasl), tmp_path), redis_url)

    assert login.startswith(f"kafka {gate.address} topic alerts: ")
    assert "Authentication failed" in login
    assert "certificate verify failed" in trust
