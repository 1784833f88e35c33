import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import nats
import pytest

from tests.brokers import JetStream, NatsServer
from tests.certificates import Certificates
from tests.ports import free_port
from tests.waiting import in_the_end
from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.sinks.nats import NatsSink
from xclip_stream.sinks.tls import TlsFiles


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def make_stream(server: NatsServer) -> Iterator[Callable[..., JetStream]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            closing(JetStream(server.url, stream="XCLIP", subjects="xclip.events.>", **options))
        )


def ids(stream: JetStream) -> list[str]:
    return [json.loads(body)["id"] for body in stream.bodies()]


def test_an_event_is_stored_under_the_subject_of_its_source_with_its_body_unchanged(server, make_stream, message):
    stream = make_stream()

    with NatsSink(servers=[server.url]) as sink:
        sink.deliver(message("e1:0", b'{"id":"e1:0"}'))

    (found,) = stream.messages()
    assert (found.subject, found.data) == ("xclip.events.yard", b'{"id":"e1:0"}')
    assert found.headers == {"Nats-Msg-Id": "e1:0", "Content-Type": "application/cloudevents+json"}


def test_a_message_that_comes_again_is_stored_once(server, make_stream, message):
    stream = make_stream()

    with NatsSink(servers=[server.url]) as sink:
        for message_id in ("e1:0", "e1:0", "e1:1", "e1:0"):
            sink.deliver(message(message_id))

    assert ids(stream) == ["e1:0", "e1:1"]


@pytest.mark.parametrize("idle", [False, True])
def test_a_server_that_was_killed_gets_the_messages_in_order_when_it_is_back(
    server, make_stream, message, monkeypatch, idle
):
    stream = make_stream()
    if idle:
        monkeypatch.setattr("xclip_stream.sinks.nats.PROBE_AFTER_S", 0.0)
    with NatsSink(servers=[server.url], timeout_s=5.0) as sink:
        sink.deliver(message("e1:0"))
        server.kill()
        with pytest.raises(DeliveryError, match=r"nats://127\.0\.0\.1:\d+: ") as caught:
            sink.deliver(message("e1:1"))
        server.start()
        in_the_end(lambda: sink.deliver(message("e1:1")), refused=DeliveryError)
        in_the_end(lambda: sink.deliver(message("e1:2")), refused=DeliveryError)

    assert not isinstance(caught.value, DeliveryRejected)
    assert ids(stream) == ["e1:0", "e1:1", "e1:2"]


def test_a_connection_that_died_while_nothing_was_sent_costs_no_attempt(server, make_stream, message, monkeypatch):
    stream = make_stream()
    monkeypatch.setattr("xclip_stream.sinks.nats.PROBE_AFTER_S", 0.0)

    with NatsSink(servers=[server.url]) as sink:
        sink.deliver(message("e1:0"))
        server.kill()
        server.start()
        wait_for_jetstream(stream)
        sink.deliver(message("e1:1"))

    assert ids(stream) == ["e1:0", "e1:1"]


def wait_for_jetstream(stream: JetStream) -> None:
    while True:
        try:
            ids(stream)
        except (nats.errors.Error, OSError):
            continue
        return


def test_a_frozen_server_times_out_as_a_whole(server, make_stream, message):
    stream = make_stream()
    with NatsSink(servers=[server.url], timeout_s=1.0) as sink:
        sink.deliver(message("e1:0"))
        server.signal(signal.SIGSTOP)
        with pytest.raises(DeliveryError, match="no answer within 1 s"):
            sink.deliver(message("e1:1"))
        server.signal(signal.SIGCONT)
        in_the_end(lambda: sink.deliver(message("e1:1")), refused=DeliveryError)

    assert ids(stream) == ["e1:0", "e1:1"]


def test_a_subject_that_no_stream_takes_is_told_in_one_line_and_worth_another_try(server, make_stream, message):
    with NatsSink(servers=[server.url]) as sink:
        with pytest.raises(DeliveryError, match=r"no stream of JetStream takes the subject xclip\.events\.>") as caught:
            sink.deliver(message("e1:0"))
        stream = make_stream()
        sink.deliver(message("e1:0"))

    assert not isinstance(caught.value, DeliveryRejected)
    assert ids(stream) == ["e1:0"]


@pytest.mark.parametrize(("options", "size"), [({"max_msg_size": 1000}, 2000), ({}, 2_000_000)])
def test_a_message_that_is_too_large_is_rejected_and_the_next_one_is_delivered(
    server, make_stream, message, options, size
):
    stream = make_stream(**options)

    with NatsSink(servers=[server.url]) as sink:
        with pytest.raises(DeliveryRejected):
            sink.deliver(message("e1:0", b"x" * size))
        sink.deliver(message("e1:1"))

    assert ids(stream) == ["e1:1"]


def test_a_wrong_password_is_told_without_it_and_worth_another_try(tmp_path, message):
    with NatsServer(tmp_path / "nats", "--user", "ops", "--pass", "right") as server:
        url = server.url.replace("//", "//ops:wr0ngword@")
        with NatsSink(servers=[url]) as sink, pytest.raises(DeliveryError, match=r"(?i)authorization") as caught:
            sink.deliver(message())

    assert not isinstance(caught.value, DeliveryRejected)
    assert "wr0ngword" not in f"{caught.value!s} {caught.value!r}"


def test_over_tls_the_server_must_be_who_it_says(tmp_path, message):
    certificates = Certificates.make(tmp_path)
    files = ("--tlscert", f"{tmp_path}/server.crt", "--tlskey", f"{tmp_path}/server.key")
    ours = TlsFiles(ca_file=certificates.ca_file, cert_file=tmp_path / "client.crt", key_file=tmp_path / "client.key")
    trusted = ("--tlsverify", "--tlscacert", str(certificates.ca_file))
    with NatsServer(tmp_path / "nats", "--tls", *files, *trusted) as server:
        url = server.url.replace("nats:", "tls:")
        with NatsSink(servers=[url], tls=ours) as sink, pytest.raises(DeliveryError, match="no stream of JetStream"):
            sink.deliver(message())  # so it was connected, and let in
        stranger = NatsSink(servers=[url], tls=TlsFiles(), timeout_s=5.0)
        with stranger as sink, pytest.raises(DeliveryError, match="certificate verify failed"):
            sink.deliver(message())


def test_a_server_without_tls_is_told_nothing_where_tls_is_wanted(tmp_path, message):
    with NatsServer(tmp_path / "nats", "--user", "ops", "--pass", "right") as server:
        url = server.url.replace("nats://", "tls://ops:right@")
        with NatsSink(servers=[url], tls=TlsFiles()) as sink, pytest.raises(DeliveryError, match="not ask for TLS"):
            sink.deliver(message())


def test_a_refused_connection_names_the_server_and_the_cause(message):
    url = f"nats://127.0.0.1:{free_port()}"

    with NatsSink(servers=[url]) as sink, pytest.raises(DeliveryError, match=f"nats {url}: .*Connect call failed"):
        sink.deliver(message())
