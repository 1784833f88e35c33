"""Some sinks are down at once, each in its own way, while events go on; then they come back."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis
import yaml

from tests.brokers import Mosquitto, MqttListener
from tests.conftest import missing_part
from tests.event_builders import an_event
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import System, wait_until
from tests.redis_servers import RedisServer
from tests.servers import Answer, Endpoint, http_endpoint
from xclip_stream.events import encode_event
from xclip_stream.queues.redis import open_queue
from xclip_stream.types import Message

SOURCES = ("yard", "gate")
EVERY_S = 0.2
FULL_BYTES = 64 * 1024
HEALTHY = ("archive", "hook")
DOWN = ("hook-500", "hook-silent", "hook-gone", "disk-full", "bus", "home")
MAX_DELAY_S = 4
HANGS_S = 6
"""The timeout of the sink whose endpoint hangs: one and a half times as long is longer than the lease of any other."""
DRAINED_WITHIN_S = 60.0


@dataclass(slots=True)
class Town:
    """The other ends of all sinks."""

    folder: Path
    bus: RedisServer
    broker: Mosquitto
    home: MqttListener
    hooks: Mapping[str, Endpoint] = field(default_factory=dict)

    def take_down(self) -> None:
        self.hooks["hook-500"].answers = [Answer(500)]
        self.hooks["hook-silent"].answers = [Answer(stall="status")]
        self.hooks["hook-gone"].answers = [Answer(410)]
        self.bus.kill()
        self.broker.kill()

    def bring_back(self) -> None:
        for endpoint in self.hooks.values():
            endpoint.answers = [Answer()]
        self.bus.start()
        self.broker.start()
        # Only now there is room for what the disk did not take.
        subprocess.run(["mount", "-o", "remount,size=64m", str(self.folder / "small-disk")], check=True)

    def received(self) -> dict[str, list[str]]:
        """Return the ids of the messages that each sink has, in its order, repeated ones once."""
        found = {name: [request.headers["webhook-id"] for request in self._taken(name)] for name in self.hooks}
        found["archive"] = _ids(self.folder / "archive.jsonl")
        found["disk-full"] = _ids(self.folder / "small-disk" / "events.jsonl")
        with redis.Redis.from_url(self.bus.url) as client:
            found["bus"] = [fields[b"message_id"].decode() for _, fields in client.xrange("alerts")]
        last = found["archive"][-1]
        self.home.wait_for(lambda: last in self._at_home())
        found["home"] = self._at_home()
        return found

    def _at_home(self) -> list[str]:
        return [json.loads(message.payload)["id"] for message in list(self.home.heard)]

    def _taken(self, name: str) -> list[Any]:
        return [request for request in list(self.hooks[name].requests) if request.status == 200]


def run(scale: Scale) -> Sequence[Figure]:
    down_s = scale.pick(short=30.0, long=300.0)
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer("7", "--appendonly", "no"))
        bus = stack.enter_context(RedisServer("7"))
        hooks = {name: stack.enter_context(http_endpoint()) for name in ("hook", *DOWN) if name.startswith("hook")}
        stack.enter_context(small_disk(scale.folder / "small-disk"))
        broker = stack.enter_context(Mosquitto(scale.folder / "broker"))
        home = stack.enter_context(MqttListener(broker, "xclip-stream/events/#", session="home"))
        town = Town(scale.folder, bus, broker, home, hooks)
        config = write_config(scale.folder, town)
        logs = scale.folder / "logs"
        system = stack.enter_context(System(config, redis_url=server.url, workers={"deliver": 1}, folder=logs))
        sent, times = storm(system, town, redis_url=server.url, down_s=down_s)
        drained_s = drain(system)
        late_ms = ages_ms(system, down=times)
        dead = system.queue.depths(()).dead
        taken_over = system.count_logged("sink_taken_over")
        received = town.received()
    return [
        Figure.told("events", len(sent)),
        Figure.told("seconds down", down_s),
        *(Figure.at_most(f"{name}: commit to delivery, p95", p95(late_ms[name]) / 1000, 2, "s") for name in HEALTHY),
        Figure.at_most("all drained after", drained_s, DRAINED_WITHIN_S, "s"),
        *(figure for name in (*HEALTHY, *DOWN) for figure in judged(name, sent, received[name])),
        Figure.exactly("dead letters", dead),
        Figure.exactly("sinks taken over from their only worker", taken_over),
        Figure.exactly("other ends of the worker", len(system.crashes)),
    ]


def storm(system: System, town: Town, *, redis_url: str, down_s: float) -> tuple[list[str], tuple[float, float]]:
    """Commit events all the while; return their ids, and when the sinks were down."""
    sent: list[str] = []
    with open_queue(redis_url, consumer="alert") as queue:
        token = queue.acquire_alert(ttl_s=3600)
        assert token is not None

        def go_on(seconds: float) -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                number = len(sent)
                message = Message(f"event-{number:05}:0", SOURCES[number % 2], _body(number), time.time())
                outbox = [(sink_id, message) for sink_id in (*HEALTHY, *DOWN)]
                queue.commit(token, source_id=message.source_id, state=b"", events=[message], outbox=outbox, done=[])
                sent.append(message.message_id)
                time.sleep(EVERY_S)

        go_on(1)
        assert drain(system) < DRAINED_WITHIN_S, "the worker does not deliver"
        town.take_down()
        down_at = time.time()
        go_on(down_s)
        up_at = time.time()
        town.bring_back()
        go_on(3)
        tear_last_line(system, town.folder / "archive.jsonl")
        go_on(3)
    return sent, (down_at, up_at)


def tear_last_line(system: System, path: Path) -> None:
    """Leave what a machine leaves that stops in the middle of a write: a killed worker, and half a line."""
    (worker,) = system.of("deliver")
    worker.signal(signal.SIGKILL)
    wait_until(lambda: not worker.running, 5)
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines()[-1][:300])


def drain(system: System) -> float:
    started_at = time.monotonic()
    wait_until(lambda: sum(system.queue.depths((*HEALTHY, *DOWN)).outbox.values()) == 0, 2 * DRAINED_WITHIN_S)
    return time.monotonic() - started_at


def ages_ms(system: System, *, down: tuple[float, float]) -> dict[str, list[float]]:
    """Return for each sink the age at delivery of the messages that were committed while some were down."""
    found: dict[str, list[float]] = {name: [] for name in (*HEALTHY, *DOWN)}
    for worker in system.of("deliver"):
        for line in worker.said("message_delivered"):
            committed_at = datetime.fromisoformat(line["timestamp"]).timestamp() - line["age_ms"] / 1000
            if down[0] <= committed_at <= down[1]:
                found[line["sink"]].append(float(line["age_ms"]))
    return found


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))] if values else float("inf")


def judged(name: str, sent: Sequence[str], received: Sequence[str]) -> list[Figure]:
    first = list(dict.fromkeys(received))
    lost = len(set(sent) - set(first))
    misplaced = sum(after < before for before, after in pairwise(first))
    repeated = len(received) - len(first)
    verdict = f"{lost} / {misplaced} / {repeated}"
    once = name in {"archive", "disk-full", "bus"}
    ok = lost == misplaced == 0 and (repeated == 0 or not once)
    return [Figure(f"{name}: lost / out of order / told again", verdict, "0 / 0 / 0" if once else "0 / 0 / any", ok)]


def write_config(folder: Path, town: Town) -> Path:
    retry = {"first_delay_s": 0.2, "max_delay_s": MAX_DELAY_S}
    timeouts = {"hook-silent": HANGS_S}
    hooks = [
        {"id": name, "type": "webhook", "url": hook.url, "timeout_s": timeouts.get(name, 2), **retry}
        for name, hook in town.hooks.items()
    ]
    document = {
        "sources": [{"id": name, "url": f"./{name}.mp4"} for name in SOURCES],
        "rules": [{"id": "climbing", "prompts": ["a person climbing"]}],
        "sinks": [
            *hooks,
            {"id": "archive", "type": "jsonl", "path": "./archive.jsonl", **retry},
            {"id": "disk-full", "type": "jsonl", "path": "./small-disk/events.jsonl", **retry},
            {"id": "bus", "type": "redis", "stream": "alerts", "url": town.bus.url, **retry},
            {"id": "home", "type": "mqtt", "url": town.broker.url, "home_assistant": True, "timeout_s": 2, **retry},
        ],
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk that is full after a few seconds."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        missing_part("the right to mount a small disk", "run as root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _ids(path: Path) -> list[str]:
    """Return the ids of a JSONL file; a line that is no event is an error."""
    return [json.loads(line)["id"] for line in path.read_bytes().splitlines()]


def _body(number: int) -> bytes:
    event = an_event(event_id=f"event-{number:05}", source_id=SOURCES[number % 2], prompt="x" * 500)
    return encode_event(event, number=number)


STORM = Storm(
    name="sinks",
    shows="six sinks down at once: the others are as quick as ever, the backlog drains in order, nothing is lost",
    run=run,
)
