"""The programs in examples/, on the events of a real run."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.command_line import ROOT, environment, run
from tests.redis_servers import RedisServer
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video

SITE = """\
model: {checkpoint: ./model, threads: 1, device: cpu}
sources: [{id: film, url: ./film.mp4, window: {span_s: 2, stride_s: 1}}]
rules:
  - {id: anything, prompts: [anything at all], background: [an empty yard], enter: 0.01, exit: 0.001, max_duration_s: 3}
sinks: [{id: log, type: jsonl, path: ./events.jsonl}]
"""


class Ran:
    """What is left of a run: its Redis, and the events as they were told."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]

    def start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / program), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(self.folder, REDIS_URL=self.redis_url),
        )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("site")
    write_tiny_checkpoint(folder / "model", num_frames=4)
    write_video(folder / "film.mp4", steady(5, 12), options={"preset": "ultrafast"})
    (folder / "site.yaml").write_text(SITE)
    with RedisServer("7") as server:
        done = run("run", "site.yaml", home=folder, XCLIP_STREAM_REDIS_URL=server.url)
        assert done.returncode == 0, done.stderr
        yield Ran(folder, server.url)


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")


def told(event: dict[str, Any]) -> str:
    phase = event["type"].rpartition(".")[2]
    return f"{event['id']} film: anything {phase}, {event['data']['peak_score']:.2f}"


def test_the_consumer_handles_each_event_and_goes_on_after_a_restart(ran: Ran) -> None:
    assert len(ran.events) >= 4
    first = ran.start("consume_events.py", "one")
    seen = lines(first, len(ran.events))
    end(first)
    with closing(redis.Redis.from_url(ran.redis_url)) as client:
        client.xadd("xclip:{main}:events", {"event": json.dumps(ran.events[0])})
    second = ran.start("consume_events.py", "one")
    after = lines(second, 1)
    end(second)

    assert seen == [told(event) for event in ran.events]
    assert after == seen[:1]


def test_the_replay_prints_each_event_that_has_ended(ran: Ran) -> None:
    output, _ = ran.start("replay_events.py", "1").communicate(timeout=60)
    ended = [event for event in ran.events if event["type"] == "xclip.event.ended"]

    printed = output.splitlines()

    assert len(printed) == len(ended) > 0
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d film: anything for \d\.\d s", line) for line in printed)


def test_the_program_in_the_reference_prints_every_message(ran: Ran, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "events" / "README.md").read_text().partition("## Consume from Python")[2]
    program = text.partition("```python\n")[2].partition("```")[0].replace("redis://localhost:6379", ran.redis_url)
    (tmp_path / "program.py").write_text(program.replace("phase)", "phase, flush=True)"))

    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    seen = lines(process, len(ran.events))
    process.kill()
    process.communicate()

    assert [line.split()[0] for line in seen] == [event["id"] for event in ran.events]
