"""What a worker says when its surroundings are wrong, before it has done anything."""

import json
import socket
import threading
from pathlib import Path

import pytest

from xclip_stream import worker_main
from xclip_stream.config import Config

CONFIG = """
version: 1
redis: {{url: "redis://keeper:open-sesame@127.0.0.1:{port}"}}
sources: [{{id: yard, url: yard.mp4}}]
rules: [{{id: climbing, prompts: [a person climbing a fence]}}]
"""


def serve(folder: Path, *, port: int) -> tuple[int, list[Config]]:
    """Serve a worker that notes what it was started with."""
    path = folder / "site.yaml"
    path.write_text(CONFIG.format(port=port))
    started: list[Config] = []

    def run(config: Config, *, stop: threading.Event, redis_url: str) -> None:
        started.append(config)

    return worker_main.serve("score", run, config_path=path), started


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def test_a_redis_that_nobody_serves_ends_a_worker_with_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(worker_main, "REACH_WITHIN_S", 0.0)
    monkeypatch.delenv(worker_main.REDIS_URL_VARIABLE, raising=False)
    port = free_port()

    code, started = serve(tmp_path, port=port)

    told = capfd.readouterr().err
    failures = [line for line in map(json.loads, told.splitlines()) if line["event"] == "worker_failed"]
    assert code == worker_main.FAILED
    assert started == []
    assert len(failures) == 1
    assert f"127.0.0.1:{port}" in failures[0]["error"]
    assert "open-sesame" not in told
    assert "Traceback" not in told
