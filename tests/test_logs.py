"""Logs: JSON or pretty, redacted, with who spoke; the standard library's too."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import redis_server
from xclip_stream.errors import ConfigError
from xclip_stream.logs import Redaction, chosen_style, hide_secrets, set_up_logging

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def no_style_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XCLIP_STREAM_LOG", raising=False)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_worker_and_pid() -> None:
    stream = io.StringIO()
    log = set_up_logging(worker="score", stream=stream)

    log.bind(source="yard").info("batch_scored", count=3, ms=1.5)

    (line,) = lines_of(stream)
    assert line["timestamp"].endswith("Z")
    assert {key: line[key] for key in ("event", "level", "worker", "pid", "source", "count", "ms")} == {
        "event": "batch_scored",
        "level": "info",
        "worker": "score",
        "pid": os.getpid(),
        "source": "yard",
        "count": 3,
        "ms": 1.5,
    }


def test_lines_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    log = set_up_logging(worker="score", level="warning", stream=stream)

    log.info("a")
    log.warning("b")
    logging.getLogger("library").info("c")

    assert [line["event"] for line in lines_of(stream)] == ["b"]


def test_the_standard_library_logs_in_the_same_way() -> None:
    stream = io.StringIO()
    set_up_logging(worker="score", secrets=["hunter22"], stream=stream)

    logging.getLogger("library").warning("password %s at %s", "hunter22", "http://u:p@host/x")

    (line,) = lines_of(stream)
    assert line["event"] == "password *** at http://***@host/x"
    assert (line["logger"], line["level"], line["worker"]) == ("library", "warning", "score")


def test_the_web_server_tells_of_what_fails_and_not_of_each_page() -> None:
    stream = io.StringIO()
    set_up_logging(worker="web", stream=stream)

    logging.getLogger("uvicorn.error").info("connection open")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")

    assert [line["event"] for line in lines_of(stream)] == ["Exception in ASGI application"]


def test_no_value_shows_a_secret() -> None:
    stream = io.StringIO()
    log = set_up_logging(worker="ingest", secrets=["hunter22", "x"], stream=stream)
    url = "rtsp://bob:pw@10.0.0.5/s?token=abc"

    try:
        raise RuntimeError(f"cannot open {url} with hunter22")
    except RuntimeError as error:
        log.exception("source_failed", url=url, nested={"a": [url, ("hunter22",)]}, error=error, path=Path("/hunter22"))

    text = stream.getvalue()
    assert "RuntimeError: cannot open rtsp://***@10.0.0.5/s?token=*** with ***" in text
    for secret in ("bob", "pw@", "abc", "hunter22"):
        assert secret not in text


def test_a_very_short_secret_does_not_blacken_everything() -> None:
    assert Redaction(["e"]).text("event") == "event"


def test_pretty_is_for_people() -> None:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XCLIP_STREAM_LOG", "pretty")
        set_up_logging(worker="score", stream=stream).warning("batch_halved", batch_size=4)

    assert "[warning  ] batch_halved" in stream.getvalue()
    assert "batch_size=4" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_secret_that_comes_later_is_hidden_by_loggers_that_exist_already() -> None:
    stream = io.StringIO()
    log = set_up_logging(worker="score", secrets=["hunter22"], stream=stream).bind(source="yard")

    hide_secrets(["swordfish"])
    log.info("reloaded", old="hunter22", new="swordfish")

    (line,) = lines_of(stream)
    assert (line["old"], line["new"]) == ("***", "***")


def test_a_terminal_gets_pretty_and_a_pipe_json() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert chosen_style(Terminal()) == "pretty"
    assert chosen_style(io.StringIO()) == "json"


def test_an_unknown_style_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCLIP_STREAM_LOG", "xml")

    with pytest.raises(ConfigError, match="XCLIP_STREAM_LOG must be json or pretty"):
        chosen_style(io.StringIO())


WORKER = """
import os, pathlib, sys, structlog
import workers.main
from xclip_stream.errors import CheckpointError, QueueUnavailable
from workers.main import worker_main
def run(config, *, redis_url, stop, watch, **_others):
    structlog.get_logger().info("running", redis_url=redis_url)
    match sys.argv.pop():
        case "works": return
        case "waits": stop.wait()
        case "fails": raise QueueUnavailable("no queue")
        case "checkpoint": raise CheckpointError("no model")
        case "changed":
            path = pathlib.Path(sys.argv[sys.argv.index("--config") + 1])
            path.write_text(path.read_text().replace("id: a", "id: b"))
            while watch.poll() is None: stop.wait(0.05)
            raise CheckpointError("no model")
        case "defect": raise KeyError("hunter22")
mode = sys.argv[-1]
workers.main.REACH_WITHIN_S = float(os.environ.get("REACH_WITHIN_S", "15"))
sys.exit(worker_main("score", run, sys.argv[1:-1]))
"""
CONFIG = """\
sources: [{id: yard, url: "rtsp://u:hunter22@camera/x"}]
rules: [{id: a, prompts: [x]}]
"""


@pytest.fixture(scope="module")
def redis_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose user `default` may come with any password."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url.removeprefix("unix://")


def start(
    tmp_path: Path, mode: str, *, redis_path: str = "/nowhere", config: str = CONFIG, **environ: str
) -> subprocess.Popen[str]:
    (tmp_path / "site.yaml").write_text(config)
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, "--config", str(tmp_path / "site.yaml"), mode],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "XCLIP_STREAM_REDIS_URL": f"unix://default:hunter22@{redis_path}", **environ},
    )


@pytest.mark.parametrize(
    ("mode", "code", "last"),
    [
        ("works", 0, "worker_stopped"),
        ("fails", 1, "worker_failed"),
        ("defect", 1, "worker_crashed"),
        ("checkpoint", 2, "worker_misconfigured"),
        ("changed", 1, "worker_misconfigured"),
    ],
)
def test_a_worker_ends_with_a_code_and_a_line_without_secrets(
    tmp_path: Path, redis_path: str, mode: str, code: int, last: str
) -> None:
    process = start(tmp_path, mode, redis_path=redis_path)

    _, log = process.communicate(timeout=60)

    assert process.returncode == code
    assert json.loads(log.splitlines()[-1])["event"] == last
    assert json.loads(log.splitlines()[1])["redis_url"] == f"unix://***@{redis_path}"
    assert "hunter22" not in log


def test_a_redis_that_nobody_serves_ends_a_worker_with_one_line_that_names_it(tmp_path: Path) -> None:
    process = start(tmp_path, "works", redis_path="/nobody/here.sock", REACH_WITHIN_S="0")

    _, log = process.communicate(timeout=60)

    last = json.loads(log.splitlines()[-1])
    assert process.returncode == 1
    assert last["event"] == "worker_failed"
    assert "/nobody/here.sock" in last["error"]
    assert "running" not in log
    assert "hunter22" not in log


def test_a_worker_stops_when_it_is_asked(tmp_path: Path, redis_path: str) -> None:
    process = start(tmp_path, "waits", redis_path=redis_path)
    assert process.stderr is not None
    lines = [process.stderr.readline(), process.stderr.readline()]

    process.terminate()
    _, rest = process.communicate(timeout=60)

    assert json.loads(lines[1])["event"] == "running"
    assert json.loads(rest)["event"] == "worker_stopped"
    assert process.returncode == 0


def test_a_worker_with_a_wrong_configuration_says_all_and_ends_with_two(tmp_path: Path) -> None:
    process = start(tmp_path, "works", config="sources: 3\nrule: 4\n")

    _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert all(line.startswith(f"error: {tmp_path}/site.yaml:") for line in said.splitlines())
    assert len(said.splitlines()) == 3


def test_a_worker_without_a_redis_says_what_it_needs(tmp_path: Path) -> None:
    process = start(tmp_path, "works", XCLIP_STREAM_REDIS_URL="")

    _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert said.startswith("error: the score worker needs a Redis: set redis.url")


def test_the_address_of_redis_may_take_its_password_from_a_file(tmp_path: Path, redis_path: str) -> None:
    (tmp_path / "password").write_text("hunter22\n")
    url = f"unix://default:${{file:{tmp_path}/password}}@{redis_path}"

    process = start(tmp_path, "works", XCLIP_STREAM_REDIS_URL=url)

    _, log = process.communicate(timeout=60)

    assert process.returncode == 0
    assert json.loads(log.splitlines()[-1])["event"] == "worker_stopped"
    assert json.loads(log.splitlines()[1])["redis_url"] == f"unix://***@{redis_path}"
    assert "hunter22" not in log


def test_an_address_that_refers_to_no_file_is_told_by_the_name_of_its_variable(tmp_path: Path) -> None:
    process = start(tmp_path, "works", XCLIP_STREAM_REDIS_URL="redis://:${file:/no/such}@queue")

    _, said = process.communicate(timeout=60)

    assert process.returncode == 2
    assert said == "error: XCLIP_STREAM_REDIS_URL: cannot read /no/such: No such file or directory\n"
