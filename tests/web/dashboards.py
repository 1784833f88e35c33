"""A real dashboard for tests: the web worker over a real Redis, and what a test puts there."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests import score_builders
from tests.statuses import rule_status, source_status
from tests.waiting import wait_until
from workers.alert import build_rulebook
from workers.web import serve
from xclip_stream.config import Config, ConfigWatch, load_config
from xclip_stream.events import encode_event
from xclip_stream.pipeline.lifecycle import StopFlag
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.rule_state import RuleState
from xclip_stream.rulebook import encode_rules
from xclip_stream.rules import step
from xclip_stream.types import Message, Scores
from xclip_stream.web.address import bound

TOKEN = "a-token-that-is-long-enough"
SITE = """\
sources:
  - {id: yard, url: "rtsp://viewer:hunter22@10.0.0.5/live"}
  - {id: gate, url: gate.mp4}
rules:
  - id: climbing
    sources: [yard]
    prompts: [a person climbing a fence]
    background: [an empty yard]
    severity: critical
    sinks: [ops]
  - id: falling
    prompts: [a person falling]
    background: [an empty yard]
sinks:
  - {id: ops, type: webhook, url: "https://u:passw0rd@example.org/hook", secret: topsecret}
  - {id: log, type: console}
"""


@dataclass
class Dashboard:
    """A dashboard that serves, and the queue behind it."""

    url: str
    queue: RedisQueue
    config: Config
    token: int
    """Of the alert lease."""

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def get(self, path: str, **params: Any) -> Any:
        with self.client() as client:
            response = client.get(path, params=params)
            assert response.status_code == 200, response.text
            return response.json()

    def judge(self, history: Sequence[Scores], *, source: str = "yard", **media: str) -> list[str]:
        """Let the configured rules judge scores and commit what follows, as the alert worker does; the event ids.

        `media` are the addresses of pictures and clips that the events carry.
        """
        book, state, messages, outbox = build_rulebook(self.config), RuleState(source), list[Message](), []
        for scores in history:
            state, notices = step(state, scores, book.rules, gap_s=8, config_hash=book.config_hash)
            for notice in notices:
                event = replace(notice.event, **media)
                body = encode_event(event, number=notice.number)
                message = Message(event.message_id, event.source_id, body, time.time())
                messages.append(message)
                outbox += [(sink, message) for sink in notice.sinks]
        self.queue.keep_rulebook(book.config_hash, encode_rules(book.rules))
        self.queue.commit(
            self.token,
            source_id=source,
            state=state.encode(),
            events=messages,
            outbox=outbox,
            done=[],
            judged=history,
        )
        return list(dict.fromkeys(message.message_id.partition(":")[0] for message in messages))

    def report(self, source: str = "yard", **changes: Any) -> None:
        """Say of a source what its reader and the rules would."""
        both = {"source_id": source, "windows": 12, "position_s": 12.0, "updated_at": time.time()}
        self.queue.report_source(source_status(**(both | {"fps": 25.0, "lag_s": 0.2} | changes)))
        self.queue.report_rules(rule_status(**both, top_rule="climbing", top_score=0.42, events=1))


@contextmanager
def dashboard(redis_url: str, folder: Path, *, site: str = SITE, namespace: str = "main") -> Iterator[Dashboard]:
    """Serve a dashboard on a free port."""
    path = folder / "site.yaml"
    path.write_text(site + f"redis: {{namespace: {namespace}}}\n")
    config, stop = load_config(path), StopFlag()
    queue = open_queue(redis_url, namespace=namespace)
    with (
        closing(queue),
        closing(open_queue(redis_url, namespace=namespace)) as other,
        bound("127.0.0.1", 0) as listener,
    ):
        port = listener.getsockname()[1]
        watch = ConfigWatch(path, config)
        worker = threading.Thread(
            target=serve, args=(queue, listener), kwargs={"stop": stop, "watch": watch, "vitals": Vitals()}
        )
        worker.start()
        try:
            token = other.acquire_alert(ttl_s=3600)
            assert token is not None
            served = Dashboard(f"http://127.0.0.1:{port}", other, config, token)
            wait_until(lambda: served.get("/api/system")["events_unread"] is None)
            yield served
        finally:
            stop.set()
            worker.join()


def recorded(shares: Sequence[float], *, source: str = "yard", begin: float | None = None) -> list[Scores]:
    """A camera's windows, one a second until now, with these scores for climbing; each time another run of it.

    With `begin` they have that event time.
    """
    begin, epoch = time.time() - len(shares) if begin is None else begin, uuid4().hex
    return [
        score_builders.window(seq, share, at=begin + seq, source=source, epoch=epoch, live=True)
        for seq, share in enumerate(shares)
    ]


def events_of(lines: Iterator[str], count: int) -> list[tuple[str, dict[str, Any]]]:
    """Read so many events of a stream of server-sent events: the id and the message."""
    found, entry_id = [], ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            entry_id = value
        elif name == "data":
            found.append((entry_id, json.loads(value)))
        if len(found) == count:
            break
    return found
