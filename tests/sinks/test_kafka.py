import json
from collections.abc import Iterator

import pytest

from tests.brokers import KafkaBroker
from tests.ports import free_port
from tests.waiting import in_the_end
from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.sinks.kafka import KafkaSink, binary_form
from xclip_stream.sinks.tls import TlsFiles


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    with KafkaBroker() as broker:
        yield broker


def test_an_event_is_a_record_with_its_source_as_key_and_its_body_unchanged(broker, message):
    with KafkaSink(servers=[broker.address], topic="alerts") as sink:
        sink.deliver(message("e1:0", b'{"id":"e1:0"}'))
        sink.deliver(message("e1:1"))

    first, second = broker.records("alerts", count=2)
    assert (first.key(), first.value()) == (b"yard", b'{"id":"e1:0"}')
    assert dict(first.headers()) == {"content-type": b"application/cloudevents+json"}
    assert json.loads(second.value())["id"] == "e1:1"
    assert first.partition() == second.partition()


def test_in_binary_mode_the_attributes_are_headers_and_the_value_is_the_data(broker, message):
    body = json.dumps(
        {"specversion": "1.0", "id": "e1:0", "source": "xclip-stream/yard", "type": "xclip.event.started"}
        | {"datacontenttype": "application/json", "sequence": "000000000001", "data": {"prompt": "über"}}
    ).encode()

    with KafkaSink(servers=[broker.address], topic="alerts", mode="binary") as sink:
        sink.deliver(message("e1:0", body))

    (record,) = broker.records("alerts", count=1)
    headers = {name: value.decode() for name, value in record.headers()}
    assert json.loads(record.value()) == {"prompt": "über"}
    assert headers == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": "e1:0",
        "ce_source": "xclip-stream/yard",
        "ce_type": "xclip.event.started",
        "ce_sequence": "000000000001",
    }


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", b"3", b"[" * 100_000])
def test_what_is_no_event_is_rejected_in_binary_mode(broker, message, body):
    sink = KafkaSink(servers=[broker.address], topic="alerts", mode="binary")

    with sink, pytest.raises(DeliveryRejected, match="no event"):
        sink.deliver(message("e1:0", body))


def test_a_data_of_null_is_a_value_of_null():
    assert binary_form(b'{"id":"1","data":null}') == (
        {"ce_id": "1", "content-type": "application/json"},
        b"null",
    )


def test_a_broker_that_is_frozen_gets_the_messages_in_order_when_it_is_back(broker, message):
    with KafkaSink(servers=[broker.address], topic="alerts", timeout_s=2.0) as sink:
        in_the_end(lambda: sink.deliver(message("e1:0")), refused=DeliveryError)
        broker.freeze()
        with pytest.raises(DeliveryError) as caught:
            sink.deliver(message("e1:1"))
        broker.thaw()
        in_the_end(lambda: sink.deliver(message("e1:1")), refused=DeliveryError)
        in_the_end(lambda: sink.deliver(message("e1:2")), refused=DeliveryError)

    # What was on its way when the broker froze may be stored too, and the one after it comes last.
    found = [json.loads(record.value())["id"] for record in broker.records("alerts", count=3)]
    assert not isinstance(caught.value, DeliveryRejected)
    assert "e1:1" in found
    assert list(dict.fromkeys(found)) == sorted(set(found))


def test_a_refused_connection_names_the_server_and_the_cause(message):
    address = f"127.0.0.1:{free_port()}"

    with (
        KafkaSink(servers=[address], topic="alerts", timeout_s=1.0) as sink,
        pytest.raises(DeliveryError, match=f"kafka {address} topic alerts: .*Connection refused"),
    ):
        sink.deliver(message())


def test_a_message_that_is_too_large_is_rejected_and_the_next_one_is_delivered(broker, message):
    with KafkaSink(servers=[broker.address], topic="alerts") as sink:
        with pytest.raises(DeliveryRejected, match="too large"):
            sink.deliver(message("e1:0", b"x" * 2_000_000))
        sink.deliver(message("e1:1"))

    (record,) = broker.records("alerts", count=1)
    assert json.loads(record.value())["id"] == "e1:1"


def test_a_password_is_never_shown(message, capfd):
    login = ("PLAIN", "ops", "pa55word")

    with (
        KafkaSink(servers=[f"127.0.0.1:{free_port()}"], topic="alerts", login=login, timeout_s=1.0) as sink,
        pytest.raises(DeliveryError) as caught,
    ):
        sink.deliver(message())

    shown = f"{caught.value!s} {caught.value!r} {capfd.readouterr()}"
    assert "pa55word" not in shown


def test_a_tls_file_that_is_not_there_is_named_and_worth_another_try(message, tmp_path):
    tls = TlsFiles(ca_file=tmp_path / "none.crt")
    sink = KafkaSink(servers=["127.0.0.1:1"], topic="alerts", tls=tls)

    with sink, pytest.raises(DeliveryError, match=r"none\.crt") as caught:
        sink.deliver(message())

    assert not isinstance(caught.value, DeliveryRejected)
