"""`xclip-stream status` on a real Redis, of real workers."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import PROGRAM, environment, run, start
from tests.queues.builders import fill, scores_of, take
from tests.redis_servers import RedisServer
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video
from xclip_stream.queues.redis import open_queue

PATIENCE_S = 600.0
SITE = """\
model: {checkpoint: ./model, threads: 1, device: cpu}
queue: {max_bytes: 64MiB}
sources:
  - {id: film, url: film.mp4, realtime: true, window: {span_s: 2, stride_s: 0.5}}
rules:
  - {id: anything, prompts: [anything at all], background: [an empty yard], enter: 0.001, exit: 0.0005}
sinks:
  - {id: log, type: jsonl, path: events.jsonl}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_tiny_checkpoint(folder / "model", num_frames=4)
    write_video(folder / "film.mp4", steady(5, 600), options={"preset": "ultrafast"})
    (folder / "site.yaml").write_text(SITE)
    return folder


@pytest.fixture(scope="module")
def running(site: Path) -> Iterator[Path]:
    """A system that runs and is well."""
    process = start("run", "site.yaml", home=site)
    try:
        wait_until_well(site)
        yield site
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer("7") as server:
        yield server


def status(home: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Return the exit code, the object that was printed, and what was said besides."""
    done = run("status", "--json", *arguments, home=home)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def wait_until_well(site: Path) -> tuple[int, dict[str, Any], str]:
    """Look until nothing needs attention and the first event has begun: on a busy machine a lease may run out."""
    until = time.monotonic() + PATIENCE_S
    while not (looked := status(site, "--config", "site.yaml"))[1].get("ok") or not looked[1]["sources"][0]["events"]:
        assert time.monotonic() < until, looked
    return looked


def test_a_system_that_runs_is_well_and_shows_its_parts(running: Path) -> None:
    code, seen, said = wait_until_well(running)

    assert (code, said, seen["ok"], seen["attention"]) == (0, "", True, [])
    (film,) = seen["sources"]
    assert (film["id"], film["state"], film["live"], film["configured"]) == ("film", "running", False, True)
    assert film["top_rule"] == "anything"
    assert (film["open_events"], film["dropped"], film["error"]) == (1, 0, "")
    assert film["reported_s"] < 15
    assert seen["queue"]["max_window_bytes"] == 64 << 20
    assert abs(seen["at_unix_s"] - time.time()) < PATIENCE_S
    assert {lease["role"] for lease in seen["leases"]} >= {"alert", "sink:log"}
    assert len(seen["score_workers"]) == 1
    assert [outbox["sink"] for outbox in seen["outboxes"]] == ["log"]


def test_the_tables_say_the_same(running: Path) -> None:
    done = run("status", "--config", "site.yaml", home=running)

    lines = done.stdout.splitlines()
    assert done.returncode == (0 if lines[0].rstrip() == "all is well" else 1)
    assert [line.strip() for line in lines if line.strip() in {"Sources", "Queues", "Workers"}] == [
        "Sources",
        "Queues",
        "Workers",
    ]
    assert any("film" in line and "running" in line and "anything" in line for line in lines)
    assert any("sink:log" in line for line in lines)


def test_watch_looks_again_and_again_until_ctrl_c(running: Path) -> None:
    process = start("status", "--config", "site.yaml", "--json", "--watch", home=running)
    assert process.stdout is not None
    seen = [json.loads(process.stdout.readline()) for _ in range(2)]

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert "Traceback" not in said
    assert seen[0]["at_unix_s"] < seen[1]["at_unix_s"]


def test_watch_draws_on_a_terminal(running: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "status", "--config", "site.yaml", "--watch"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=running,
        env=environment(running, TERM="xterm-256color"),
        start_new_session=True,
    )
    os.close(slave)
    written = b""
    while b"Workers" not in written:
        written += os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    code = process.wait(PATIENCE_S)
    os.close(master)

    assert code == 130
    assert b"film" in written


def test_a_source_that_failed_and_a_dead_letter_need_attention(site: Path, server: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(site / "model")
    write_video(tmp_path / "short.mp4", steady(5, 6))
    text = SITE.replace("film.mp4, realtime: true", "short.mp4").replace(
        "rules:", "  - {id: gone, url: gone.mp4}\nrules:"
    )
    webhook = "  - {id: ops, type: webhook, url: 'http://user:hunter22@127.0.0.1:1/', max_attempts: 1}\n"
    (tmp_path / "site.yaml").write_text(text + webhook + f"redis: {{url: '{server.url}'}}\n")
    run("run", "site.yaml", home=tmp_path)

    code, seen, _ = status(tmp_path, "--redis", server.url)
    shown = run("status", "--config", "site.yaml", home=tmp_path)

    assert code == shown.returncode == 1
    gone, letters = seen["attention"]
    assert gone.startswith("source gone: failed: ")
    assert letters.endswith("dead letters: look with `xclip-stream dead-letters list`")
    assert shown.stdout.startswith("! source gone: failed: ")
    assert "hunter22" not in shown.stdout + json.dumps(seen)


def test_scores_without_an_alert_worker_need_attention(site: Path, server: RedisServer) -> None:
    with closing(open_queue(server.url, namespace="north")) as queue:
        fill(queue, 2)
        (taken, _) = take(queue)
        queue.publish_scores(taken, scores_of(taken))

    code, seen, _ = status(site, "--redis", server.url, "--namespace", "north")
    elsewhere, _, _ = status(site, "--redis", server.url)

    assert (code, seen["attention"]) == (1, ["no alert worker is there; scores that wait: 1"])
    assert seen["queue"]["file_windows"]["held"] == 1
    assert elsewhere == 0


def test_an_outage_is_waited_for_by_a_watch(site: Path, server: RedisServer) -> None:
    process = start("status", "--redis", server.url, "--json", "--watch", home=site)
    assert process.stdout is not None
    assert process.stderr is not None
    first = json.loads(process.stdout.readline())

    server.kill()
    said = process.stderr.readline()
    server.start()
    second = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)

    assert first["ok"]
    assert second["ok"]
    assert "does not answer" in said


def test_a_redis_that_does_not_answer_is_told_in_one_line_without_its_password(site: Path) -> None:
    code, _, said = status(site, "--redis", "redis://app:hunter22@127.0.0.1:1/0")

    assert code == 1
    assert said.startswith("error: Redis at redis://***@127.0.0.1:1/0 does not answer: ")
    assert len(said.splitlines()) == 1
    assert "hunter22" not in said


def test_nothing_that_runs_is_told_and_not_started(site: Path, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(site / "model")
    (tmp_path / "site.yaml").write_text(SITE)

    code, _, said = status(tmp_path, "--config", "site.yaml")

    assert code == 1
    assert said.startswith("error: nothing was run with this configuration yet: ")


@pytest.mark.parametrize("arguments", [(), ("--config", "nowhere.yaml"), ("--colour",)])
def test_misuse_ends_with_two(site: Path, arguments: tuple[str, ...]) -> None:
    assert status(site, *arguments)[0] == 2


def test_help_has_examples(site: Path) -> None:
    done = run("status", "--help", home=site)

    assert done.returncode == 0
    assert "xclip-stream status --redis redis://queue:6379 --json | jq .attention" in done.stdout
