"""The MQTT sink against a real broker; what Home Assistant gets of it is in test_home_assistant.py."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, MqttListener
from tests.certificates import Certificates
from tests.event_builders import a_life, a_message
from tests.ports import free_port
from tests.waiting import in_the_end
from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.sinks.home_assistant import Discovery, Topics, WatchedRule
from xclip_stream.sinks.mqtt import MqttSink
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.types import WHOLE_FRAME

EVENTS = "site/events/yard/climbing"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mqtt") as broker:
        yield broker


def a_sink(broker: Mosquitto, **options: object) -> MqttSink:
    values = {"url": broker.url, "client_id": "site-main-home", "topics": Topics("site")}
    return MqttSink(**(values | options))


def ids(listener: MqttListener) -> list[str]:
    return [json.loads(payload)["id"] for payload in listener.payloads(EVENTS)]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_event_is_published_under_its_source_and_rule_with_its_body_unchanged(broker, protocol):
    life = a_life()

    with MqttListener(broker, "site/#") as listener, a_sink(broker, protocol=protocol) as sink:
        for message in life:
            sink.deliver(message)
        listener.wait_for(lambda: len(listener.payloads(EVENTS)) == 3)

    assert listener.payloads(EVENTS) == [message.body for message in life]
    assert not [message for message in listener.heard if message.topic == EVENTS and message.retain]


def test_the_status_is_online_while_the_sink_is_open_and_offline_after(broker):
    with MqttListener(broker, "site/status") as listener:
        with a_sink(broker):
            listener.wait_for(lambda: listener.payloads("site/status") == [b"online"])
        listener.wait_for(lambda: listener.payloads("site/status") == [b"online", b"offline"])

    with MqttListener(broker, "site/status") as later:
        later.wait_for(lambda: later.payloads("site/status") == [b"offline"])
    assert later.heard[0].retain


def test_the_broker_says_offline_when_the_worker_dies(broker):
    code = (
        "import sys, time; from xclip_stream.sinks.mqtt import MqttSink;"
        "from xclip_stream.sinks.home_assistant import Topics;"
        "MqttSink(url=sys.argv[1], client_id='c', topics=Topics('site')).__enter__(); time.sleep(600)"
    )
    with MqttListener(broker, "site/status") as listener:
        worker = subprocess.Popen([sys.executable, "-c", code, broker.url])
        listener.wait_for(lambda: listener.payloads("site/status") == [b"online"])
        worker.kill()
        worker.wait()
        listener.wait_for(lambda: listener.payloads("site/status") == [b"online", b"offline"])


def test_a_broker_that_was_killed_gets_the_messages_in_order_when_it_is_back(broker):
    first, second, third = a_life()
    with a_sink(broker, timeout_s=2.0) as sink:
        sink.deliver(first)
        broker.kill()
        with pytest.raises(DeliveryError) as caught:
            sink.deliver(second)
        broker.start()
        with MqttListener(broker, "site/#") as listener:
            in_the_end(lambda: sink.deliver(second), refused=DeliveryError)
            in_the_end(lambda: sink.deliver(third), refused=DeliveryError)
            listener.wait_for(lambda: ids(listener)[-1:] == ["e1:2"])

    assert not isinstance(caught.value, DeliveryRejected)
    assert list(dict.fromkeys(ids(listener))) == ["e1:1", "e1:2"]


def test_a_broker_that_comes_back_while_nothing_is_delivered_is_told_that_we_are_online(broker):
    with a_sink(broker) as sink:
        sink.deliver(a_message())
        broker.kill()
        broker.start()
        with MqttListener(broker, "site/status") as listener:
            listener.wait_for(lambda: listener.payloads("site/status")[-1:] == [b"online"])


def test_a_broker_that_starts_after_the_worker_is_found_while_nothing_is_delivered(tmp_path):
    broker = Mosquitto(tmp_path / "mqtt")

    with a_sink(broker), broker, MqttListener(broker, "site/status") as listener:
        listener.wait_for(lambda: listener.payloads("site/status")[-1:] == [b"online"])


def test_a_frozen_broker_gets_no_message_in_a_wrong_place(broker):
    first, second, third = a_life()
    with MqttListener(broker, "site/#") as listener, a_sink(broker, timeout_s=1.0) as sink:
        sink.deliver(first)
        broker.signal(signal.SIGSTOP)
        for _ in range(3):
            with pytest.raises(DeliveryError):
                sink.deliver(second)
        broker.signal(signal.SIGCONT)
        in_the_end(lambda: sink.deliver(second), refused=DeliveryError)
        in_the_end(lambda: sink.deliver(third), refused=DeliveryError)
        listener.wait_for(lambda: ids(listener)[-1:] == ["e1:2"])

    assert list(dict.fromkeys(ids(listener))) == ["e1:0", "e1:1", "e1:2"]
    assert ids(listener).count("e1:1") <= 2


def test_what_is_no_event_is_rejected(broker, message):
    with a_sink(broker) as sink, pytest.raises(DeliveryRejected, match="not an event"):
        sink.deliver(message("e1:0", b'{"id":"e1:0"}'))


def test_an_event_whose_ids_make_no_topic_is_rejected(broker):
    with a_sink(broker) as sink, pytest.raises(DeliveryRejected, match="cannot contain wildcards"):
        sink.deliver(a_message(source_id="yard/#"))


def test_a_refused_connection_names_the_broker_and_the_cause(tmp_path):
    url = f"mqtt://ops:pa55word@127.0.0.1:{free_port()}"
    sink = MqttSink(url=url, client_id="c", topics=Topics("site"), timeout_s=1.0)

    with (
        sink,
        pytest.raises(DeliveryError, match=r"mqtt mqtt://\*\*\*@127\.0\.0\.1:\d+: cannot connect: Connection ref"),
    ):
        sink.deliver(a_message())


def with_password(folder: Path, *acl: str) -> Mosquitto:
    files = (f"password_file {folder}/users", f"acl_file {folder}/acl")
    broker = Mosquitto(folder, "allow_anonymous false", *files)
    folder.mkdir()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(folder / "users"), "ops", "right"], check=True)
    (folder / "acl").write_text("\n".join(["user ops", *acl]) + "\n")
    return broker


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_told_without_it_and_worth_another_try(tmp_path, protocol):
    with with_password(tmp_path / "mqtt", "topic readwrite #") as broker:
        url = broker.url.replace("//", "//ops:wr0ngword@")
        sink = a_sink(broker, url=url, protocol=protocol, timeout_s=2.0)
        with sink, pytest.raises(DeliveryError, match="refused: Not authorized") as caught:
            sink.deliver(a_message())
        with a_sink(broker, url=broker.url.replace("//", "//ops:right@"), protocol=protocol) as sink:
            sink.deliver(a_message())

    assert not isinstance(caught.value, DeliveryRejected)
    assert "wr0ngword" not in f"{caught.value!s} {caught.value!r}"


def test_a_broker_that_does_not_let_us_publish_says_so_with_mqtt_5(tmp_path):
    with with_password(tmp_path / "mqtt", "topic readwrite site/status") as broker:
        url = broker.url.replace("//", "//ops:right@")
        with a_sink(broker, url=url) as sink, pytest.raises(DeliveryError, match="refused: Not authorized") as caught:
            sink.deliver(a_message())

    assert not isinstance(caught.value, DeliveryRejected)


def test_what_was_refused_of_others_is_not_taken_for_a_refusal_of_an_event_with_the_same_number(tmp_path):
    watched = [WatchedRule("yard", "climbing", (WHOLE_FRAME,), 300.0)]
    discovery = Discovery(watched, topics=Topics("site"), prefix="homeassistant", version="1.2.3")
    with (
        with_password(tmp_path / "mqtt", "topic readwrite site/#") as broker,
        a_sink(broker, url=broker.url.replace("//", "//ops:right@"), discovery=discovery) as sink,
    ):
        started, *_, ended = a_life()
        sink.deliver(started)
        sink._connection.wait()._last_mid = 4  # as after 65,535 publications; 5 was a document, which was refused
        sink.deliver(ended)


# The library leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_over_tls_the_broker_must_be_who_it_says(tmp_path):
    certificates = Certificates.make(tmp_path)
    options = (
        *("allow_anonymous true", "require_certificate true", f"cafile {certificates.ca_file}"),
        *(f"certfile {tmp_path}/server.crt", f"keyfile {tmp_path}/server.key"),
    )
    ours = TlsFiles(ca_file=certificates.ca_file, cert_file=tmp_path / "client.crt", key_file=tmp_path / "client.key")
    with Mosquitto(tmp_path / "mqtt", *options) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        with a_sink(broker, url=url, tls=ours) as sink:
            sink.deliver(a_message())
        with (
            a_sink(broker, url=url, tls=TlsFiles(), timeout_s=2.0) as sink,
            pytest.raises(DeliveryError, match=r"(?i)certificate verify failed"),
        ):
            sink.deliver(a_message())


def test_a_tls_file_that_is_not_there_is_named_and_worth_another_try(tmp_path):
    tls = TlsFiles(ca_file=tmp_path / "none.crt")
    sink = MqttSink(url="mqtts://127.0.0.1:1", client_id="c", topics=Topics("site"), tls=tls)

    with sink, pytest.raises(DeliveryError, match=r"tls files .*none\.crt: No such file"):
        sink.deliver(a_message())


def test_onvif_messages_say_whether_the_rule_holds(broker):
    with MqttListener(broker, "site/onvif-ej/#") as listener, a_sink(broker, onvif=True) as sink:
        for message in a_life(region="gate"):
            sink.deliver(message)
        listener.wait_for(lambda: len(listener.heard) == 3)

    documents = [json.loads(message.payload) for message in listener.heard]
    assert {message.topic for message in listener.heard} == {"site/onvif-ej/RuleEngine/PromptDetector/climbing/yard"}
    assert [document["Data"]["State"] for document in documents] == [True, True, False]
    assert documents[0]["Source"] == {"VideoSource": "yard", "Rule": "climbing", "Region": "gate"}
    assert documents[0]["UtcTime"] == "2026-03-01T12:00:02.000Z"
