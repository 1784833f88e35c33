"""A connection to an MQTT broker that knows what the broker has taken."""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.redaction import redact_url
from xclip_stream.sinks.tls import TlsFiles

Protocol = Literal["5", "3.1.1"]

KEEPALIVE_S = 30
RECONNECT_MAX_S = 30
CONNECT_TIMEOUT_S = 5.0
ABOUT_THE_MESSAGE = frozenset({0x95, 0x99})
"""Packet too large, payload format invalid. Any other reason may be gone tomorrow, as a missing right may."""
_PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


@dataclass(frozen=True, slots=True)
class Publication:
    topic: str
    payload: bytes
    retain: bool = False


class MqttConnection:
    """Connects in a thread of its library, and connects again when the connection is lost, until it is closed.

    Args:
        url: `mqtt://` or `mqtts://`; user and password may stand in it.
        tls: for `mqtts`.
        client_id: the same each time, so that the broker closes a connection that a dead worker has left.
        will: what the broker publishes when the connection breaks.
        on_connected: called with each new connection, in the library's thread.
        on_message: the same, with each message that was subscribed to.
    """

    def __init__(
        self,
        *,
        url: str,
        client_id: str,
        tls: TlsFiles,
        protocol: Protocol,
        will: Publication,
        on_connected: Callable[[Client], None],
        on_message: Callable[[Client, MQTTMessage], None],
        timeout_s: float,
    ) -> None:
        self.name = f"mqtt {redact_url(url)}"
        self._address = urlsplit(url)
        self._client_id = client_id
        self._tls = tls
        self._protocol = _PROTOCOLS[protocol]
        self._will = will
        self._on_connected = on_connected
        self._on_message = on_message
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self._connected = threading.Event()
        self._trouble = ""
        self._refused: dict[int, ReasonCode] = {}

    def start(self) -> Client:
        """Begin to connect; does not wait for it.

        Raises:
            DeliveryError: a file for TLS cannot be read.
        """
        if self._client is not None:
            return self._client
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=self._protocol)
        secure = self._address.scheme == "mqtts"
        if secure:
            client.tls_set_context(self._tls.context())
        if self._address.username:
            client.username_pw_set(unquote(self._address.username), unquote(self._address.password or ""))
        client.will_set(self._will.topic, self._will.payload, qos=1, retain=self._will.retain)
        client.reconnect_delay_set(1, RECONNECT_MAX_S)
        client.connect_timeout = min(CONNECT_TIMEOUT_S, self._timeout_s)
        client.on_connect, client.on_connect_fail = self._connack, self._connect_failed
        client.on_disconnect, client.on_publish = self._disconnected, self._published
        client.on_message = lambda client, _, message: self._on_message(client, message)
        client.connect_async(
            self._address.hostname or "", self._address.port or (8883 if secure else 1883), KEEPALIVE_S
        )
        client.loop_start()
        self._client = client
        return client

    def close(self, last: Publication | None = None) -> None:
        """Disconnect, after `last` was published where that can be done at once."""
        client, self._client = self._client, None
        if client is None:
            return
        if last is not None and self._connected.is_set():
            info = client.publish(last.topic, last.payload, qos=1, retain=last.retain)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                info.wait_for_publish(1.0)
        client.disconnect()
        client.loop_stop()
        self._connected.clear()
        self._refused.clear()

    def wait(self) -> Client:
        """Wait for the connection.

        Raises:
            DeliveryError: there is none within the time limit; says why.
        """
        client = self.start()
        if not self._connected.wait(self._timeout_s):
            raise DeliveryError(f"{self.name}: {self._trouble or f'no connection within {self._timeout_s:g} s'}")
        return client

    def publish_all(self, publications: Sequence[Publication]) -> None:
        """Publish at QoS 1 and return when the broker has acknowledged all of it.

        Raises:
            DeliveryError: there is no connection, or it was not acknowledged in time, or refused.
            DeliveryRejected: it was refused for what it is.
        """
        client = self.wait()
        self._refused.clear()  # of what nobody waited for: the numbers of publications come again
        try:
            sent = [client.publish(each.topic, each.payload, qos=1, retain=each.retain) for each in publications]
        except ValueError as error:  # ids that somebody else has chosen make no topic
            raise DeliveryRejected(f"{self.name}: {error}") from None
        for info in sent:
            self._await(info)

    def _await(self, info: MQTTMessageInfo) -> None:
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            info.wait_for_publish(self._timeout_s)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS or not info.is_published():
            # The library would send it once more beside the next attempt: begin with a client that holds nothing.
            self.close()
            raise DeliveryError(f"{self.name}: {self._trouble or f'not taken within {self._timeout_s:g} s'}")
        reason = self._refused.pop(info.mid, None)
        if reason is not None:
            rejected = reason.value in ABOUT_THE_MESSAGE
            raise (DeliveryRejected if rejected else DeliveryError)(f"{self.name}: refused: {reason}")

    # What follows is called in the thread of the library.

    def _connack(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        if reason.is_failure:
            self._trouble = f"refused: {reason}"
            return
        self._trouble = ""
        self._on_connected(client)
        self._connected.set()

    def _connect_failed(self, _client: Client, _data: object) -> None:
        # The library calls this while it handles the error, and does not hand it over.
        error = sys.exc_info()[1]
        self._trouble = f"cannot connect: {getattr(error, 'strerror', None) or error}"

    def _disconnected(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        self._connected.clear()
        if not self._trouble:
            self._trouble = f"the connection was lost: {reason}"

    def _published(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _more: Properties | None
    ) -> None:
        # Called before the library counts the message as published.
        if reason.is_failure:
            self._refused[mid] = reason
