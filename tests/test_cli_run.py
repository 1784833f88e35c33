"""`run` and `watch` from the first worker to the last line, on a real video, a real model and a real Redis."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
from pathlib import Path

import httpx
import pytest

from tests.command_line import PROGRAM, environment, run, start
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video
from tests.waiting import wait_until

SITE = """\
model: {checkpoint: ./model, threads: 1, device: cpu}
sources:
  - {id: film, url: film.mp4, window: {span_s: 2, stride_s: 0.5}%s}
rules:
  - {id: anything, prompts: [anything at all], background: [an empty yard], enter: 0.001, exit: 0.0005}
sinks:
  - {id: console, type: console, format: json}
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    write_tiny_checkpoint(folder / "model", num_frames=4)
    write_video(folder / "film.mp4", steady(5, 10))
    write_video(folder / "long.mp4", steady(5, 600))
    return folder


@pytest.fixture
def site(parts: Path, tmp_path: Path) -> Path:
    for part in parts.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "site.yaml").write_text(SITE % "")
    (tmp_path / "long.yaml").write_text((SITE % ", realtime: true").replace("film.mp4", "long.mp4"))
    return tmp_path


def phases(output: str) -> list[str]:
    return [json.loads(line)["data"]["phase"] for line in output.splitlines()]


def test_a_file_gives_its_events_on_standard_output_and_ends_the_run(site: Path) -> None:
    done = run("run", "site.yaml", home=site)

    assert done.returncode == 0, done.stderr
    assert phases(done.stdout)[0] == "started"
    assert phases(done.stdout)[-1] == "ended"
    summary = next(json.loads(line) for line in done.stderr.splitlines() if "source_summary" in line)
    assert (summary["source"], summary["state"], summary["events"]) == ("film", "ended", 1)
    assert summary["windows"] > 15


def test_programs_beside_the_configuration_are_not_taken_for_parts_of_the_workers(site: Path) -> None:
    for name in ("redis", "av", "queue"):
        (site / f"{name}.py").write_text(f"raise SystemExit('the {name}.py of the user was run')\n")

    done = run("run", "site.yaml", "--no-web", home=site)

    assert done.returncode == 0, done.stderr
    assert phases(done.stdout)


def test_a_second_run_plays_a_finished_file_again_with_the_same_events(site: Path) -> None:
    first = run("run", "site.yaml", home=site)
    second = run("run", "site.yaml", home=site)

    def ids(output: str) -> list[str]:
        return [json.loads(line)["id"] for line in output.splitlines()]

    assert second.returncode == 0, second.stderr
    assert ids(first.stdout) == ids(second.stdout) != []


def test_a_source_that_cannot_be_read_fails_the_run_and_not_the_others(site: Path) -> None:
    (site / "two.yaml").write_text((SITE % "").replace("rules:", "  - {id: gone, url: gone.mp4}\nrules:"))

    done = run("run", "two.yaml", home=site)

    assert done.returncode == 1
    assert phases(done.stdout)[-1] == "ended"
    assert done.stderr.splitlines()[-1].startswith(f"error: source gone: {site}/gone.mp4")
    assert "Traceback" not in done.stderr


def test_a_run_without_one_file_that_can_be_read_does_not_begin(site: Path) -> None:
    (site / "gone.yaml").write_text((SITE % "").replace("film.mp4", "gone.mp4"))

    done = run("run", "gone.yaml", home=site)

    assert done.returncode == 1
    assert done.stderr == f"error: source film: {site}/gone.mp4: there is no such file\n"


@pytest.mark.parametrize("command", ["run", "watch"])
def test_a_checkpoint_that_cannot_be_had_is_told_before_anything_starts(command: str, site: Path) -> None:
    (site / "bad.yaml").write_text((SITE % "").replace("./model", "./no-model"))
    arguments = ("bad.yaml",) if command == "run" else ("film.mp4", "anything", "--checkpoint", "./no-model")

    done = run(command, *arguments, home=site)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {site}/no-model: no such folder")
    assert len(done.stderr.splitlines()) == 1


def test_a_hub_that_cannot_be_reached_is_told_without_its_patience(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        hub = f"http://127.0.0.1:{closed.getsockname()[1]}"
    done = run("watch", "film.mp4", "anything", home=site, HF_ENDPOINT=hub, HF_HOME=str(site / "hub"))

    asking, error = done.stderr.splitlines()
    assert done.returncode == 2
    assert asking == "microsoft/xclip-base-patch32: asking the Hugging Face hub"
    assert error.startswith("error: microsoft/xclip-base-patch32: the hub cannot be reached and config.json is not in")


def test_what_a_worker_refuses_is_told_as_it_says_it(site: Path) -> None:
    prompt = "climbing " * 100

    done = run("watch", "film.mp4", prompt, "--span", "2", "--stride", "0.5", "--checkpoint", "model", home=site)

    refused = [json.loads(line) for line in done.stderr.splitlines() if "worker_misconfigured" in line]
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: {refused[0]['error']}"


def test_a_dead_letter_fails_the_run_and_says_where_to_look(site: Path) -> None:
    webhook = "  - {id: ops, type: webhook, url: 'http://127.0.0.1:1/', max_attempts: 1}\n"
    (site / "dead.yaml").write_text(SITE % "" + webhook)

    done = run("run", "dead.yaml", home=site)
    listed = run("dead-letters", "list", "--config", "dead.yaml", "--json", home=site)

    assert done.returncode == 1
    assert "dead letters: look with `xclip-stream dead-letters list --config dead.yaml`" in done.stderr.splitlines()[-1]
    assert {json.loads(line)["origin"] for line in listed.stdout.splitlines()} == {"outbox:ops"}


def test_watch_needs_no_configuration(site: Path) -> None:
    options = ("--enter", "0.001", "--span", "2", "--stride", "0.5", "--checkpoint", "model", "--device", "cpu")

    done = run("watch", "film.mp4", "anything at all", "-b", "an empty yard", *options, "--json", home=site)

    assert done.returncode == 0, done.stderr
    assert {json.loads(line)["data"]["rule_id"] for line in done.stdout.splitlines()} == {"anything-at-all"}
    assert phases(done.stdout)[-1] == "ended"
    assert not (site / "state").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothere.mp4", "there is no such file"),
        ("empty.mp4", "the file is empty"),
        ("text.mp4", "not a video file, or one cut off before its index was written"),
        ("model", "is a folder, not a video file"),
    ],
)
def test_watch_tells_a_file_that_is_no_video_before_it_asks_for_a_model(name: str, sentence: str, site: Path) -> None:
    (site / "empty.mp4").touch()
    (site / "text.mp4").write_text("hello\n")

    done = run("watch", name, "a person falling", "-b", "an empty yard", home=site)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: source {Path(name).stem}: {site}/{name}: {sentence}")
    assert len(done.stderr.splitlines()) == 1


def test_watch_gives_up_a_camera_that_never_answers_and_hides_its_password(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://viewer:hunter2@127.0.0.1:{silent.getsockname()[1]}/live"
    arguments = (url, "anything at all", "-b", "an empty yard", "--checkpoint", "./model", "--patience", "1")
    done = run("watch", *arguments, home=site)

    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: source 127.0.0.1: ")
    assert "hunter2" not in done.stderr + done.stdout


def test_ctrl_c_drains_and_the_next_run_goes_on(site: Path) -> None:
    process = start("run", "long.yaml", home=site)
    assert process.stdout is not None
    first = process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=120)
    again = start("run", "long.yaml", home=site)
    assert again.stderr is not None
    said = again.stderr.readline()
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=120)

    assert json.loads(first)["data"]["phase"] == "started"
    assert process.returncode == 0, log
    stopped = [json.loads(line)["worker"] for line in log.splitlines() if "worker_stopped" in line]
    assert stopped == ["ingest", "score", "alert", "deliver", "web"]
    summary = next(json.loads(line) for line in log.splitlines() if "source_summary" in line)
    assert summary["state"] == "stopped"
    assert re.match(r"film: goes on after \d+ windows", said)


def test_a_run_takes_up_another_file_and_lets_go_of_one_and_ends_when_all_that_is_left_is_done(site: Path) -> None:
    process = start("run", "long.yaml", home=site)
    assert process.stdout is not None
    first = process.stdout.readline()

    (site / "long.yaml").write_text((SITE % "").replace("{id: film", "{id: second"))
    rest, log = process.communicate(timeout=240)

    told = [json.loads(line)["data"] for line in [first, *rest.splitlines()]]
    by_source = {name: [data["phase"] for data in told if data["source_id"] == name] for name in ("film", "second")}
    assert process.returncode == 0, log
    assert [(phases[0], phases[-1]) for phases in by_source.values()] == [("started", "ended")] * 2
    assert log.count('"worker_started"') == 5
    assert '"restart_needed"' not in log


def test_a_run_serves_a_dashboard_and_says_where_unless_it_shall_not(site: Path) -> None:
    process = start("run", "long.yaml", home=site)
    assert process.stdout is not None
    assert process.stderr is not None
    said = process.stderr.readline()
    process.stdout.readline()
    shown = httpx.get(said.removeprefix("dashboard: ").strip() + "api/site", timeout=60).json()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    quiet = run("run", "site.yaml", "--no-web", home=site)

    assert re.fullmatch(r"dashboard: http://127\.0\.0\.1:\d+/\n", said)
    assert [source["id"] for source in shown["sources"]] == ["film"]
    assert "dashboard" not in quiet.stderr


def test_a_second_signal_ends_a_run_at_once(site: Path) -> None:
    process = start("run", "long.yaml", home=site)
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)

    assert process.returncode == 130


def test_two_runs_of_one_configuration_do_not_mix(site: Path) -> None:
    process = start("run", "long.yaml", home=site)
    assert process.stdout is not None
    process.stdout.readline()

    second = run("run", "long.yaml", home=site)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)

    assert second.returncode == 1
    assert second.stderr.startswith("error: another xclip-stream works in ")
    assert process.returncode == 0


def test_a_reader_that_goes_away_ends_the_run_quietly(site: Path) -> None:
    process = start("run", "site.yaml", home=site)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()

    log = process.stderr.read()

    assert process.wait(120) == 130
    assert "BrokenPipe" not in log
    process.stderr.close()


def test_an_embedded_redis_that_dies_is_started_again(site: Path) -> None:
    process = start("run", "long.yaml", home=site)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()

    os.kill(redis_under(process.pid), signal.SIGKILL)
    revived = next(line for line in process.stderr if "queue_available" in line)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)

    assert json.loads(revived)["event"] == "queue_available"
    assert process.returncode == 0


def redis_under(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if "redis-server" in Path(f"/proc/{child}/cmdline").read_text())


# ------------------------------------------------------------------------------------------------- on a terminal


class Terminal:
    """The program on a terminal of its own, and all that it wrote there."""

    def __init__(self, *arguments: str, home: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=home,
            env=environment(home, TERM="xterm-256color"),
            start_new_session=True,
        )
        os.close(slave)
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What was written, without colours and cursor movements."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._written.decode(errors="replace"))

    def wait(self) -> int:
        code = self.process.wait(240)
        self._reader.join(30)
        os.close(self._master)
        return code

    def _read(self) -> None:
        try:
            while piece := os.read(self._master, 65536):
                self._written += piece
        except OSError:
            return  # Linux says EIO when the last writer has closed its end


def test_a_terminal_shows_progress_events_and_a_summary(site: Path) -> None:
    terminal = Terminal("run", "site.yaml", home=site)

    code = terminal.wait()

    lines = terminal.text.replace("\r", "\n").splitlines()
    assert code == 0, terminal.text
    assert any(re.search(r"film +(running|ended) .*ETA .* windows/s", line) for line in lines)
    assert any(line.startswith('{"specversion"') and line.endswith("}") for line in lines)
    assert "worker_started" not in terminal.text
    assert any(re.search(r"film .*\d+ .*│ 0 .*│ 1 .*│ ended", line) for line in lines)


def test_ctrl_c_on_a_terminal_drains(site: Path) -> None:
    terminal = Terminal("run", "long.yaml", home=site)
    wait_until(lambda: '"phase":"started"' in terminal.text)

    terminal.process.send_signal(signal.SIGINT)

    assert terminal.wait() == 0, terminal.text
    assert "Traceback" not in terminal.text


def test_warnings_of_the_workers_stand_above_the_status_lines(site: Path) -> None:
    (site / "two.yaml").write_text((SITE % "").replace("rules:", "  - {id: gone, url: gone.mp4}\nrules:"))
    terminal = Terminal("run", "two.yaml", home=site)

    code = terminal.wait()

    assert code == 1
    assert re.search(r"\[error +\] source_failed .*gone\.mp4", terminal.text)
    assert re.search(r"error: source gone: .*gone\.mp4", terminal.text)
