"""`dashboard`: what a run has left, and nothing that watches."""

import re
import signal
from pathlib import Path

import httpx
import pytest

from tests.command_line import run, start
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video

SITE = """\
model: {checkpoint: ./model, threads: 1, device: cpu}
sources: [{id: film, url: film.mp4, window: {span_s: 2, stride_s: 0.5}}]
rules: [{id: anything, prompts: [anything at all], background: [an empty yard], enter: 0.001, exit: 0.0005}]
evidence: {dir: evidence}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_tiny_checkpoint(tmp_path / "model", num_frames=4)
    write_video(tmp_path / "film.mp4", steady(5, 10))
    (tmp_path / "site.yaml").write_text(SITE)
    return tmp_path


def test_the_events_of_a_run_that_is_over_are_served_with_their_clips_until_ctrl_c(site: Path) -> None:
    done = run("run", "site.yaml", "--no-web", home=site)
    assert done.returncode == 0, done.stderr

    process = start("dashboard", "site.yaml", home=site)
    assert process.stderr is not None
    said = process.stderr.readline()
    address = said.removeprefix("dashboard: ").partition("#")[0]
    with httpx.Client(base_url=address, transport=httpx.HTTPTransport(retries=8), timeout=60) as client:
        (event,) = client.get("/api/events").json()["events"]
        clip = client.get(event["clip_url"])
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert re.fullmatch(r"dashboard: http://127\.0\.0\.1:\d+/#/events\n", said)
    assert (event["rule_id"], event["phase"]) == ("anything", "ended")
    assert clip.headers["content-type"] == "video/mp4"
    assert process.returncode == 0
    assert errors == ""


def test_there_is_nothing_to_look_at_before_the_first_run(site: Path) -> None:
    done = run("dashboard", "site.yaml", home=site)

    assert done.returncode == 1
    assert done.stderr.startswith("error: nothing was run with this configuration yet: ")


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("0.0.0.0:0", "0.0.0.0:0 can be reached from other machines: set web.token, or web.insecure to serve it to"),
        ("127.0.0.1", "cannot serve the dashboard on '127.0.0.1': "),
    ],
)
def test_an_address_that_may_not_be_served_is_one_line(site: Path, address: str, line: str) -> None:
    done = run("dashboard", "site.yaml", "--listen", address, home=site)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {line}")
    assert len(done.stderr.splitlines()) == 1
