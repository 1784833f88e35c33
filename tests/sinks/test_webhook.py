import base64
import logging
import socket
import threading
from contextlib import suppress
from email.utils import formatdate

import pytest

from xclip_stream.errors import ConfigError, DeliveryError, DeliveryRejected, SinkGone
from xclip_stream.sinks.webhook import WebhookSink, retry_after_s, signing_key, standard_headers


def test_the_published_example_of_standard_webhooks_is_signed_as_published(message):
    sent = message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    headers = standard_headers(sent, key=key, timestamp=1614265330)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_endpoint_gets_the_body_unchanged_with_id_time_and_signature(endpoint, message):
    sink = WebhookSink(url=endpoint.url, secret="plain", headers={"X-Site": "north"}, now=lambda: 1614265330.9)

    with sink:
        sink.deliver(message("e1:0", b'{"id":"e1:0"}'))

    request = endpoint.requests[0]
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert request.body == b'{"id":"e1:0"}'
    assert headers["webhook-id"] == "e1:0"
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["x-site"] == "north"
    assert headers["content-type"] == "application/cloudevents+json"
    expected = standard_headers(message("e1:0", request.body), key=b"plain", timestamp=1614265330)
    assert headers["webhook-signature"] == expected["webhook-signature"]


def test_headers_of_the_user_do_not_replace_those_of_the_sink_whatever_their_case(endpoint, message):
    sink = WebhookSink(url=endpoint.url, headers={"Webhook-Id": "mine", "Content-Type": "text/plain"})

    with sink:
        sink.deliver(message("e1:0"))

    names = [name.lower() for name in endpoint.requests[0].headers]
    headers = {name.lower(): value for name, value in endpoint.requests[0].headers.items()}
    assert (names.count("webhook-id"), headers["webhook-id"]) == (1, "e1:0")
    assert headers["content-type"] == "application/cloudevents+json"


def test_without_a_secret_nothing_is_signed(endpoint, message):
    with WebhookSink(url=endpoint.url) as sink:
        sink.deliver(message())

    assert "webhook-signature" not in {name.lower() for name in endpoint.requests[0].headers}


def test_user_and_password_of_the_url_become_basic_authentication(endpoint, message):
    with WebhookSink(url=f"http://ops:s3cret@{endpoint.address}/hook") as sink:
        sink.deliver(message())

    credentials = endpoint.requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(credentials) == b"ops:s3cret"


def test_messages_share_one_connection(endpoint, message, answer):
    endpoint.answers = [answer(200, body=b"thank you")]
    with WebhookSink(url=endpoint.url) as sink:
        for number in range(3):
            sink.deliver(message(f"e1:{number}"))

    assert len({request.client for request in endpoint.requests}) == 1


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_2xx_is_delivered(endpoint, message, answer, status):
    endpoint.answers = [answer(status)]
    with WebhookSink(url=endpoint.url) as sink:
        sink.deliver(message())

    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 401, 403, 404, 408, 425, 429, 301, 302, 307])
def test_an_answer_that_may_change_is_worth_another_try(endpoint, message, answer, status):
    endpoint.answers = [answer(status, {"location": "http://elsewhere.example/"}), answer(200)]
    with WebhookSink(url=endpoint.url) as sink:
        with pytest.raises(DeliveryError, match=f"answered {status}") as caught:
            sink.deliver(message())
        sink.deliver(message())

    assert not isinstance(caught.value, DeliveryRejected)
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_an_answer_that_will_not_change_is_a_rejection(endpoint, message, answer, status):
    endpoint.answers = [answer(status)]
    with WebhookSink(url=endpoint.url) as sink, pytest.raises(DeliveryRejected, match=f"answered {status}"):
        sink.deliver(message())


def test_an_endpoint_that_is_gone_is_not_like_a_message_that_is_refused(endpoint, message, answer):
    endpoint.answers = [answer(410)]
    with WebhookSink(url=endpoint.url) as sink, pytest.raises(SinkGone, match="answered 410: the endpoint is gone"):
        sink.deliver(message())


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_an_endpoint_asks_for_is_passed_on(endpoint, message, answer, status):
    endpoint.answers = [answer(status, {"retry-after": "7"})]
    with WebhookSink(url=endpoint.url) as sink, pytest.raises(DeliveryError) as caught:
        sink.deliver(message())

    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("999999", 3600.0),
        ("-5", None),
        ("soon", None),
        ("Mon, 99999999999999999999 Jan 2024 00:00:00 GMT", None),
        (formatdate(1060, usegmt=True), 60.0),
        (formatdate(900, usegmt=True), 0.0),
    ],
)
def test_retry_after_is_read_in_seconds_or_as_a_date(value, seconds):
    assert retry_after_s(value, now=1000.0) == seconds


def test_an_endpoint_that_never_answers_times_out(endpoint, message, answer):
    endpoint.answers = [answer(stall="status")]
    with WebhookSink(url=endpoint.url, timeout_s=0.2) as sink, pytest.raises(DeliveryError, match=r"within 0\.2 s"):
        sink.deliver(message())


def test_an_endpoint_that_answers_a_byte_at_a_time_times_out_as_a_whole(message):
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    sink = WebhookSink(url=url, timeout_s=0.3)

    with listener, sink, DrippingServer(listener), pytest.raises(DeliveryError, match=r"no answer within 0\.3 s"):
        sink.deliver(message())


class DrippingServer:
    """Accepts one connection and sends a byte of a header that never ends every 20 ms, until closed."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *cause: object) -> None:
        self.over.set()
        self.thread.join()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
            while not self.over.wait(0.02):
                connection.sendall(b"x")


def test_a_body_that_never_ends_does_not_hold_up_a_delivered_message(endpoint, message, answer):
    endpoint.answers = [answer(200, stall="body"), answer(200)]
    with WebhookSink(url=endpoint.url, timeout_s=20.0) as sink:
        sink.deliver(message("e1:0"))
        sink.deliver(message("e1:1"))

    assert [request.headers["webhook-id"] for request in endpoint.requests] == ["e1:0", "e1:1"]


def test_a_refused_connection_names_the_host_and_the_cause(message):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        WebhookSink(url=f"http://127.0.0.1:{port}/") as sink,
        pytest.raises(DeliveryError, match="cannot connect") as e,
    ):
        sink.deliver(message())

    assert f"http://127.0.0.1:{port}" in str(e.value)


@pytest.mark.parametrize("status", [301, 404, 500, None])
def test_no_error_and_no_log_shows_a_secret(endpoint, message, answer, status, caplog):
    endpoint.answers = [answer(stall="status") if status is None else answer(status)]
    url = f"http://ops:pa55word@{endpoint.address}/services/T0KEN?key=qu3ry"
    sink = WebhookSink(url=url, secret="whsec_c2VjcmV0", headers={"authorization": "b3arer"}, timeout_s=0.3)

    with caplog.at_level(logging.INFO), sink, pytest.raises(DeliveryError) as caught:
        sink.deliver(message())

    shown = f"{caught.value!s} {caught.value!r} {caught.value.__cause__} {caplog.text}"
    assert not [secret for secret in ("pa55word", "T0KEN", "qu3ry", "c2VjcmV0", "b3arer") if secret in shown]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", ""])
def test_a_secret_that_is_no_key_is_a_configuration_error(secret):
    with pytest.raises(ConfigError, match="webhook secret"):
        WebhookSink(url="http://127.0.0.1/", secret=secret)
