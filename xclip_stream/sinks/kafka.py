"""Events to a topic of Kafka, as the CloudEvents binding for Kafka says:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from xclip_stream.errors import DecodeError, DeliveryError, DeliveryRejected
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.types import Message

ABOUT_THE_MESSAGE = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.RECORD_LIST_TOO_LARGE,
    }
)
GRACE_S = 2.0
"""How much longer than its own time limit the library is given to report."""


class KafkaSink:
    """Produces each event to `topic` with its source as the key, and waits until all in-sync replicas have it.

    The producer is idempotent: what the library itself sends again is stored once. A message whose report was lost may
    be stored twice, under the same `id`. The key keeps the events of a source in one partition, in their order.

    Args:
        mode: `structured`: the value is the whole event, as in every other sink. `binary`: the value is its `data`,
            and the attributes are headers `ce_…`.
        login: SASL mechanism, user and password.
        tls: None for a connection without.
    """

    def __init__(
        self,
        *,
        servers: Sequence[str],
        topic: str,
        mode: Literal["structured", "binary"] = "structured",
        login: tuple[str, str, str] | None = None,
        tls: TlsFiles | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._options = _options(servers, login, tls, timeout_s)
        self._tls = tls
        self._topic = topic
        self._mode = mode
        self._timeout_s = timeout_s
        self._name = f"kafka {','.join(servers)} topic {topic}"
        self._producer: Producer | None = None
        self._trouble = ""

    def __enter__(self) -> Self:
        # What it would log at each attempt stands in the error of that attempt.
        logging.getLogger("confluent_kafka").setLevel(logging.CRITICAL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_producer()

    def deliver(self, message: Message) -> None:
        try:
            headers, value = binary_form(message.body) if self._mode == "binary" else structured_form(message.body)
        except DecodeError as error:
            raise DeliveryRejected(f"{self._name}: {error}") from None
        failure = self._produce(message.source_id, value, headers)
        if failure is None:
            return
        if failure.code() in ABOUT_THE_MESSAGE:
            raise DeliveryRejected(f"{self._name}: {failure.str()}")
        # A producer that is left waiting would send this message after a later one, and a broken one sends nothing.
        self._forget_producer()
        raise DeliveryError(f"{self._name}: {failure.str()}" + (f" ({self._trouble})" if self._trouble else ""))

    def _produce(self, key: str, value: bytes, headers: Mapping[str, str]) -> KafkaError | None:
        """Send, wait for the report, and return what went wrong."""
        reports: list[KafkaError | None] = []
        try:
            if self._producer is None:
                if self._tls is not None:
                    self._tls.context()  # the library does not say which file it cannot read
                self._producer = Producer(self._options | {"error_cb": self._note_trouble})
            self._trouble = ""
            self._producer.produce(
                self._topic,
                key=key.encode(),
                value=value,
                headers=list(headers.items()),
                on_delivery=lambda error, _: reports.append(error),
            )
            until = time.monotonic() + self._timeout_s + GRACE_S
            while not reports and (left_s := until - time.monotonic()) > 0:
                self._producer.poll(left_s)
        except KafkaException as error:
            failure: KafkaError = error.args[0]
            return failure
        return reports[0] if reports else KafkaError(KafkaError._MSG_TIMED_OUT)

    def _note_trouble(self, error: KafkaError) -> None:
        # "All brokers are down" comes after the error that tells why.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._trouble = error.str()

    def _forget_producer(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)
            self._producer = None


def structured_form(body: bytes) -> tuple[Mapping[str, str], bytes]:
    """Return the headers and the value of a record that carries the whole event."""
    return {"content-type": "application/cloudevents+json"}, body


def binary_form(body: bytes) -> tuple[Mapping[str, str], bytes]:
    """Return the attributes of an event as headers, and its data as the value of a record.

    Raises:
        DecodeError: it is no event.
    """
    try:
        event: Any = json.loads(body)
        data = event.pop("data")
        content_type = event.pop("datacontenttype", "application/json")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise DecodeError("the message is no event with data") from None
    headers = {f"ce_{name}": str(value) for name, value in event.items() if value is not None}
    return headers | {"content-type": content_type}, json.dumps(data, ensure_ascii=False).encode()


def _options(
    servers: Sequence[str], login: tuple[str, str, str] | None, tls: TlsFiles | None, timeout_s: float
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap.servers": ",".join(servers),
        "client.id": "xclip-stream",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 0,  # the next message is not sent before this one is safe
        "message.timeout.ms": int(timeout_s * 1000),
        "socket.timeout.ms": int(timeout_s * 1000),
        "security.protocol": ("SASL_" if login else "") + ("PLAINTEXT" if tls is None else "SSL"),
        "logger": logging.getLogger("confluent_kafka"),
    }
    if login:
        mechanism, user, password = login
        options |= {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password}
    if tls:
        files = {"ca": tls.ca_file, "certificate": tls.cert_file, "key": tls.key_file or tls.cert_file}
        options |= {f"ssl.{name}.location": str(path) for name, path in files.items() if path}
    return options
