"""Each worker as a program, asked for its health while its Redis comes and goes."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import environment
from tests.redis_servers import RedisServer
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video

PATIENCE_S = 120.0
SITE = """\
model: {checkpoint: ./model, threads: 1, device: cpu}
sources:
  - {id: film, url: ./film.mp4, realtime: true, window: {span_s: 2, stride_s: 1}}
rules:
  - {id: anything, prompts: [anything at all], background: [an empty yard]}
sinks:
  - {id: log, type: jsonl, path: ./events.jsonl}
  - {id: ops, type: webhook, url: "http://127.0.0.1:1/"}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_tiny_checkpoint(folder / "model", num_frames=4)
    write_video(folder / "film.mp4", steady(5, 600), options={"preset": "ultrafast"})
    (folder / "site.yaml").write_text(SITE)
    return folder


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer("7") as server:
        yield server


class Worker:
    """A worker that serves its health on a free port."""

    def __init__(self, role: str, site: Path, redis_url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"workers.{role}", "--config", "site.yaml", "--health", "127.0.0.1:0"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=site,
            env=environment(site, XCLIP_STREAM_REDIS_URL=redis_url, XCLIP_STREAM_LOG="json"),
        )
        assert self.process.stderr is not None
        self.address = json.loads(next(line for line in self.process.stderr if "health_served" in line))["address"]

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as response:
                return response.status, json.load(response).get("reason", "")
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["reason"]

    def wait_until(self, path: str, code: int) -> str:
        """Ask until this is the answer; return the reason."""
        end = time.monotonic() + PATIENCE_S
        while (answer := self.ask(path))[0] != code:
            assert time.monotonic() < end, f"{path} never answered {code}, but {answer}"
            time.sleep(0.05)
        return answer[1]


@pytest.fixture
def start(site: Path, server: RedisServer) -> Iterator[Callable[[str], Worker]]:
    workers = []

    def start(role: str) -> Worker:
        workers.append(Worker(role, site, server.url))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


@pytest.mark.parametrize("role", ["score", "alert", "deliver"])
def test_a_worker_is_ready_while_its_queue_answers_and_alive_all_the_time(
    role: str, start: Callable[[str], Worker], server: RedisServer
) -> None:
    worker = start(role)
    worker.wait_until("/readyz", 200)

    server.kill()
    reason = worker.wait_until("/readyz", 503)
    during = worker.ask("/healthz")
    server.start()
    worker.wait_until("/readyz", 200)

    assert "does not answer" in reason
    assert reason.startswith({"score": "score: ", "alert": "alert: ", "deliver": "sink "}[role])
    assert during == (200, "")


def test_a_score_worker_is_not_ready_before_its_model_is_loaded(start: Callable[[str], Worker]) -> None:
    worker = start("score")

    first = worker.ask("/readyz")
    worker.wait_until("/readyz", 200)

    assert first[0] == 503
    assert first[1] in {"no loop runs: it is starting or stopping", "score: the model is not loaded yet"}


def test_an_alert_worker_that_stands_by_is_ready(start: Callable[[str], Worker]) -> None:
    first = start("alert")
    first.wait_until("/readyz", 200)
    second = start("alert")

    second.wait_until("/readyz", 200)

    assert first.ask("/readyz") == (200, "")


def test_an_ingest_worker_is_ready_once_it_looks_after_its_readers(start: Callable[[str], Worker]) -> None:
    worker = start("ingest")

    worker.wait_until("/readyz", 200)

    assert worker.ask("/healthz") == (200, "")


def complaint(site: Path, *command: str, **environ: str) -> Any:
    """Start a worker that cannot begin, and return its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=site,
        env=environment(site, XCLIP_STREAM_REDIS_URL="unix:///nowhere", XCLIP_STREAM_LOG="json", **environ),
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stderr


PROGRAM = ("-c", "from xclip_stream.cli import main; main()", "worker", "alert", "--config", "site.yaml")


def test_an_address_in_use_ends_a_worker_with_one_line(site: Path, start: Callable[[str], Worker]) -> None:
    taken = start("alert").address

    code, said = complaint(site, *PROGRAM, "--health", taken)

    assert (code, said) == (2, f"error: cannot serve health on {taken}: Address already in use\n")


def test_the_address_may_come_from_the_environment(site: Path) -> None:
    line = "error: cannot serve health on 'everywhere': write HOST:PORT, like 0.0.0.0:8080\n"

    of_program = complaint(site, *PROGRAM, XCLIP_STREAM_HEALTH="everywhere")
    of_module = complaint(site, "-m", "workers.alert", "--config", "site.yaml", XCLIP_STREAM_HEALTH="everywhere")

    assert of_program == of_module == (2, line)


@pytest.mark.parametrize("role", ["ingest", "score"])
def test_a_worker_that_does_not_reach_the_hub_ends_as_one_that_may_be_started_again(
    role: str, server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text(SITE.replace("./model", "microsoft/xclip-base-patch16"))
    no_hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}

    done = subprocess.run(
        [sys.executable, "-m", f"workers.{role}", "--config", "site.yaml"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(tmp_path, XCLIP_STREAM_REDIS_URL=server.url, XCLIP_STREAM_LOG="json", **no_hub),
    )

    last = json.loads(done.stderr.splitlines()[-1])
    assert (done.returncode, last["event"]) == (1, "worker_failed")
    assert "the hub cannot be reached" in last["error"]
