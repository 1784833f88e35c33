"""Events to an MQTT broker, with what Home Assistant needs to show them."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, MQTTMessage

from xclip_stream.errors import DecodeError, DeliveryError, DeliveryRejected
from xclip_stream.event_schema import CloudEvent
from xclip_stream.events import parse_envelope
from xclip_stream.sinks.home_assistant import OFF, Discovery, SensorState, Topics
from xclip_stream.sinks.mqtt_connection import MqttConnection, Protocol, Publication
from xclip_stream.sinks.onvif import onvif_message
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.types import Message

ONLINE, OFFLINE = b"online", b"offline"
RECALL_WITHIN_S = 2.0
"""How long the first event waits for the states that an earlier run has left; a broker may not let us read them."""


class MqttSink:
    """Publishes each event to `<prefix>/events/<source>/<rule>` at QoS 1, and waits until the broker has taken it.

    `<prefix>/status` is retained: `online` while the sink is connected, `offline` by its last will. The connection is
    kept also while nothing is delivered.

    With `discovery` the rules are entities of Home Assistant. Their documents and the states of their sensors are
    retained at the broker, so they outlast a restart of either side. The documents are told again to a Home Assistant
    that was started; documents and states of rules that are gone are cleared with the next connection.

    Args:
        url: `mqtt://` or `mqtts://`; user and password may stand in it.
        protocol: with MQTT 3.1.1 a broker does not say that it has refused an event for want of rights.
        onvif: publishes each event also as ONVIF devices do.
    """

    def __init__(
        self,
        *,
        url: str,
        client_id: str,
        topics: Topics,
        tls: TlsFiles | None = None,
        protocol: Protocol = "5",
        discovery: Discovery | None = None,
        onvif: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        self._topics = topics
        self._discovery = discovery
        self._onvif = onvif
        self._states: dict[str, SensorState] = {}
        self._states_lock = threading.Lock()
        self._recalled = threading.Event()
        self._connection = MqttConnection(
            url=url,
            client_id=client_id,
            tls=tls or TlsFiles(),
            protocol=protocol,
            will=Publication(topics.status, OFFLINE, retain=True),
            on_connected=self._introduce,
            on_message=self._hear,
            timeout_s=timeout_s,
        )

    def __enter__(self) -> Self:
        with suppress(DeliveryError):  # the first delivery tries again, and tells it
            self._connection.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A connection that is ended in good order leaves no last will.
        self._connection.close(Publication(self._topics.status, OFFLINE, retain=True))

    def deliver(self, message: Message) -> None:
        try:
            event = parse_envelope(message.body)
        except DecodeError as error:
            raise DeliveryRejected(f"{self._connection.name}: {error}") from None
        publications = [Publication(self._topics.events(event.data.source_id, event.data.rule_id), message.body)]
        if self._onvif:
            publications.append(Publication(*onvif_message(self._topics.prefix, event.data)))
        if self._discovery is None:
            self._connection.publish_all(publications)
            return
        self._connection.wait()
        self._recalled.wait(RECALL_WITHIN_S)
        self._recalled.set()
        topic = self._topics.state(event.data.source_id, event.data.rule_id, event.data.region)
        self._connection.publish_all([*publications, *self._state(topic, event, message)])

    def _state(self, topic: str, event: CloudEvent, message: Message) -> list[Publication]:
        """Return what changes the sensor of an event."""
        state = SensorState.of(event, committed_at=message.committed_at)
        with self._states_lock:
            if not state.may_follow(self._states.get(topic)):
                return []
            self._states[topic] = state
        return [Publication(topic, state.encode(), retain=True)]

    # What follows is called in the thread of the library.

    def _introduce(self, client: Client) -> None:
        """Say that we are here, and what there is."""
        if self._discovery is not None:
            # What is retained under these comes before our own status, which is published after it.
            filters = (self._discovery.birth_topic, self._discovery.config_filter, self._discovery.state_filter)
            for topic in (*filters, self._topics.status):
                client.subscribe(topic, qos=0)
            self._announce(client, self._discovery)
        client.publish(self._topics.status, ONLINE, qos=1, retain=True)

    def _announce(self, client: Client, discovery: Discovery) -> None:
        for topic, document in discovery.documents.items():
            client.publish(topic, document, qos=1, retain=True)

    def _hear(self, client: Client, message: MQTTMessage) -> None:
        discovery = self._discovery
        if discovery is None:
            return
        if not message.retain:
            if (message.topic, message.payload) == (discovery.birth_topic, ONLINE):
                self._announce(client, discovery)
            elif (message.topic, message.payload) == (self._topics.status, ONLINE):
                self._complete_states(client, discovery)
        elif message.topic.startswith(f"{self._topics.prefix}/state/"):
            self._recall_state(client, discovery, message)
        elif message.topic.endswith("/config"):
            for document in discovery.corrections(message.topic, bytes(message.payload)):
                client.publish(message.topic, document, qos=1, retain=True)

    def _recall_state(self, client: Client, discovery: Discovery, message: MQTTMessage) -> None:
        """Take over a state that an earlier run has left, or clear that of a rule that is gone."""
        state = SensorState.decode(bytes(message.payload))
        if message.topic not in discovery.state_topics:
            client.publish(message.topic, b"", qos=1, retain=True)
        elif state is not None:
            with self._states_lock:
                self._states.setdefault(message.topic, state)

    def _complete_states(self, client: Client, discovery: Discovery) -> None:
        """Give a state to each sensor that has none: Home Assistant would show it as unknown until its first event."""
        with self._states_lock:  # an event that begins now shall be published after this
            for topic in discovery.state_topics - self._states.keys():
                client.publish(topic, OFF.encode(), qos=1, retain=True)
        self._recalled.set()
