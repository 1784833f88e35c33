"""All workers of a run and its queue, in one scrape of its dashboard."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.command_line import PROGRAM, environment
from tests.metrics.prometheus import Prometheus, binary, running_prometheus
from tests.metrics.reading import Shown, samples
from tests.metrics.system import SITE
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video
from tests.waiting import wait_until
from workers.main import Role

TOKEN = "a-token-that-is-long-enough"


@dataclass
class Run:
    """A run that goes on, with a token before its dashboard."""

    address: str
    process: subprocess.Popen[str]

    def ask(self, **headers: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}/metrics", headers=headers, timeout=60)

    def scrape(self) -> Shown:
        return Shown(samples(self.ask(authorization=f"Bearer {TOKEN}").text))

    def has_delivered(self) -> bool:
        return any(self.scrape().series("messages_delivered_total").values())

    def pid_of(self, role: str) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(pid) for pid in children if f"workers.{role}" in Path(f"/proc/{pid}/cmdline").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    write_tiny_checkpoint(folder / "model", num_frames=4)
    write_video(folder / "film.mp4", steady(5, 600), options={"preset": "ultrafast"})
    (folder / "site.yaml").write_text(SITE + f"web: {{token: {TOKEN}}}\n")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*PROGRAM, "run", "site.yaml"],
            stderr=subprocess.PIPE,
            stdout=log,
            text=True,
            cwd=folder,
            env=environment(folder),
        )
    assert process.stderr is not None
    said = process.stderr.readline()
    run = Run(said.removeprefix("dashboard: http://").strip().rstrip("/"), process)
    served = next(line for line in process.stderr if "web_served" in line)
    assert run.address in served
    drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    try:
        wait_until(run.has_delivered)
        yield run
    finally:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        drain.wait(60)
        process.stderr.close()


@pytest.fixture(scope="module")
def prometheus(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), {"run": run.address}, token=TOKEN) as prometheus:
        wait_until(prometheus.is_ready)
        wait_until(lambda: prometheus.query("up == 1") != [])
        yield prometheus


def test_one_scrape_has_each_worker_and_the_queue(run: Run) -> None:
    shown = run.scrape()

    assert [shown("worker_ready", role=role, worker=role) for role in (*Role, "run")] == [1] * (len(Role) + 1)
    assert [shown("worker_running", role=role, worker="run") for role in Role] == [1] * len(Role)
    assert [shown("worker_restarts_total", role=role, worker="run") for role in Role] == [0] * len(Role)
    assert all(shown("process_start_time_seconds", worker=role) for role in Role)
    assert shown("frames_read_total", source="film", worker="ingest") > 0
    assert shown("windows_scored_total", source="film", outcome="scored", worker="score") > 0
    assert shown("events_total", source="film", rule="anything", phase="started", worker="alert") > 0
    assert shown("messages_delivered_total", sink="log", worker="deliver") > 0
    assert shown("queue_up") == shown("lease_held", role="alert") == 1


def test_a_real_prometheus_takes_it_and_tells_the_workers_apart(prometheus: Prometheus) -> None:
    def workers_of(expression: str) -> list[str]:
        return sorted(series["metric"].get("worker", "") for series in prometheus.query(expression))

    assert workers_of("process_resident_memory_bytes") == sorted([*Role, "run"])
    assert workers_of("xclip_stream_worker_ready == 1") == sorted([*Role, "run"])
    assert workers_of("xclip_stream_queue_up == 1") == [""]
    (instances,) = prometheus.query("count(count by (instance) ({__name__=~'process_.*|xclip_stream_.*'}))")
    assert instances["value"][1] == "1"


def test_promtool_has_nothing_to_say_against_it(run: Run) -> None:
    text = run.ask(authorization=f"Bearer {TOKEN}").text

    done = subprocess.run(
        [binary("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_is_guarded_as_the_pages_are(run: Run) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}

    answers = [run.ask(), run.ask(authorization="Bearer wrong"), run.ask(host="evil.example", **bearer)]

    assert [answer.status_code for answer in answers] == [401, 401, 421]
    assert not [answer for answer in answers if "xclip_stream_" in answer.text]


def test_a_worker_that_hangs_is_not_ready_and_takes_no_other_with_it(run: Run) -> None:
    pid = run.pid_of("deliver")
    os.kill(pid, signal.SIGSTOP)
    try:
        shown = run.scrape()
    finally:
        os.kill(pid, signal.SIGCONT)

    assert shown("worker_ready", role="deliver", worker="deliver") == 0
    assert shown.series("messages_delivered_total") == {}
    assert shown("worker_ready", role="score", worker="score") == 1
    wait_until(lambda: run.scrape()("worker_ready", role="deliver", worker="deliver") == 1)


def test_a_worker_that_is_started_again_is_counted(run: Run) -> None:
    os.kill(run.pid_of("deliver"), signal.SIGKILL)

    wait_until(lambda: run.scrape()("worker_restarts_total", role="deliver", worker="run") == 1)
    wait_until(lambda: run.scrape()("worker_ready", role="deliver", worker="deliver") == 1)

    shown = run.scrape()
    assert shown("worker_running", role="deliver", worker="run") == 1
    assert shown("worker_restarts_total", role="score", worker="run") == 0
