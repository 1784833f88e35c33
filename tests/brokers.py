"""Real brokers that a test starts, freezes, kills and starts again: Kafka's own mock cluster, and a NATS server."""

import asyncio
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import nats
from confluent_kafka import Consumer
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import missing_part
from tests.ports import free_port

START_TIMEOUT_S = 20.0

# The broker is that of librdkafka: it speaks Kafka's protocol on a socket of its own, for as long as this client lives.
_KAFKA = """
import sys
from confluent_kafka import Producer
client = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
brokers = client.list_topics(timeout=10).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
sys.stdin.read()
"""


class KafkaBroker:
    """One broker with an empty cluster, in a process of its own so that it can be frozen."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _KAFKA], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, "the broker did not start"
        return self

    def __exit__(self, *cause: object) -> None:
        self._process.kill()
        self._process.communicate()

    def values(self, topic: str, *, count: int) -> list[bytes]:
        """Return the values of a topic from its start, as soon as there are so many."""
        return [record.value() for record in self.records(topic, count=count)]

    def records(self, topic: str, *, count: int) -> list[Any]:
        options = {"bootstrap.servers": self.address, "group.id": "test", "auto.offset.reset": "earliest"}
        consumer = Consumer(options)
        consumer.subscribe([topic])
        found: list[Any] = []
        while len(found) < count:
            record = consumer.poll(30)
            assert record is not None, f"{len(found)} of {count} records came"
            if not record.error():
                found.append(record)
        consumer.close()
        return found

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)


class JetStream:
    """A stream of a NATS server, made anew, and what is in it.

    Args:
        access: what `nats.connect` needs beside the URL, such as `tls`, `user` and `password`.
        options: those of the stream.
    """

    def __init__(
        self, url: str, *, stream: str, subjects: str, access: dict[str, Any] | None = None, **options: int
    ) -> None:
        self._runner = asyncio.Runner()
        self._url, self._stream, self._subjects = url, stream, subjects
        self._access = access or {}
        self._runner.run(self._make(options))

    def close(self) -> None:
        self._runner.close()

    def bodies(self) -> list[bytes]:
        return [message.data for message in self.messages()]

    def messages(self) -> list[Any]:
        """Return all messages that are stored now."""
        return self._runner.run(self._read())

    async def _make(self, options: dict[str, int]) -> None:
        client = await nats.connect(self._url, **self._access)
        await client.jetstream().add_stream(name=self._stream, subjects=[self._subjects], **options)
        await client.close()

    async def _read(self) -> list[Any]:
        client = await nats.connect(self._url, **self._access)
        stream = client.jetstream()
        count = (await stream.stream_info(self._stream)).state.messages
        subscription = await stream.subscribe(self._subjects, ordered_consumer=True)
        found = [await subscription.next_msg(timeout=20) for _ in range(count)]
        await client.close()
        return found


class Server:
    """A server program that keeps its port and its data when it is killed and started again."""

    def __init__(self, folder: Path, *, program: str, package: str) -> None:
        found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        self._program = found or missing_part(program, f"apt-get install {package}")
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = folder
        self.port = free_port()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *cause: object) -> None:
        self.kill()

    def arguments(self) -> Sequence[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *self.arguments()], stdout=log, stderr=log)
        self.wait_for_port(self.port)

    def wait_for_port(self, port: int) -> None:
        """Wait until it listens there."""
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            except OSError:
                assert time.monotonic() < until, (self.folder / "server.log").read_text()
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process:
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        if self._process:
            os.kill(self._process.pid, number)
            if number == signal.SIGSTOP:
                os.waitpid(self._process.pid, os.WUNTRACED)


class NatsServer(Server):
    """A NATS server with JetStream on its disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, program="nats-server", package="nats-server")
        self._options = options
        self.url = f"nats://127.0.0.1:{self.port}"

    def arguments(self) -> Sequence[str]:
        return [
            *("--addr", "127.0.0.1", "--port", str(self.port), "--jetstream", "--store_dir", str(self.folder / "data")),
            *self._options,
        ]


class Mosquitto(Server):
    """An MQTT broker that keeps what is retained when it is killed, with options of its configuration file."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, program="mosquitto", package="mosquitto")
        self._options = options or ("allow_anonymous true",)
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def arguments(self) -> Sequence[str]:
        lines = [
            f"listener {self.port} 127.0.0.1",
            *self._options,
            *("persistence true", f"persistence_location {self.folder}/", "autosave_interval 1"),
            *("autosave_on_changes true", f"user {getpass.getuser()}"),
        ]
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return ["-c", str(path)]


class MqttListener:
    """A client that subscribes as Home Assistant does, and keeps all that it hears in its order.

    Args:
        broker: the broker, or the number of a port at which one listens without TLS.
        session: the id of a session that the broker keeps for it while one of the two is away.
    """

    def __init__(self, broker: Mosquitto | int, *filters: str, session: str = "") -> None:
        self._port = broker if isinstance(broker, int) else broker.port
        self._session = session
        self._filters = filters
        self.heard: list[MQTTMessage] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=self._session, clean_session=not self._session)
        self._client.on_connect = lambda client, *_: client.subscribe([(name, 1) for name in self._filters])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _, __, message: self._keep(message)
        self._subscribed = threading.Event()
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(START_TIMEOUT_S)
        return self

    def __exit__(self, *cause: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(START_TIMEOUT_S)

    def payloads(self, topic: str) -> list[bytes]:
        return [bytes(message.payload) for message in list(self.heard) if message.topic == topic]

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what was heard."""
        with self._changed:
            assert self._changed.wait_for(holds, START_TIMEOUT_S), [
                (message.topic, message.payload[:200]) for message in self.heard
            ]

    def _keep(self, message: MQTTMessage) -> None:
        with self._changed:
            self.heard.append(message)
            self._changed.notify_all()
