"""deploy/systemd, as systemd itself reads it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing_part
from tests.deploy.commands import complaint_of
from xclip_stream.config import split_address
from xclip_stream.exits import MISCONFIGURED

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
WORKER = UNITS / "xclip-stream@.service"
ROLES = ("ingest", "score", "alert", "deliver", "web")


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        missing_part("systemd-analyze", "apt-get install systemd")
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:/lib/systemd/system", "SYSTEMD_COLORS": "0"}
    return subprocess.run(
        ["systemd-analyze", "--man=no", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environ,
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, as they are where the program is installed: its file has to be there."""
    program = Path(sys.executable).with_name("xclip-stream")
    text = WORKER.read_text().replace("/opt/xclip-stream/bin/xclip-stream", str(program))
    (tmp_path / WORKER.name).write_text(text)
    shutil.copy(UNITS / "xclip-stream.target", tmp_path)
    return tmp_path


@pytest.mark.parametrize("unit", [*(f"xclip-stream@{role}.service" for role in ROLES), "xclip-stream.target"])
def test_systemd_finds_nothing_to_complain_of(installed: Path, unit: str) -> None:
    done = analyze("verify", "--recursive-errors=no", unit, folder=installed)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_mistake_in_a_unit_would_be_found(installed: Path) -> None:
    unit = installed / WORKER.name
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystem=very"))

    done = analyze("verify", "--recursive-errors=no", "xclip-stream@score.service", folder=installed)

    assert "Failed to parse protect system value" in done.stderr


def test_a_worker_is_exposed_to_little(installed: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=20", WORKER.name, folder=installed)

    assert done.returncode == 0, done.stdout


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", WORKER.read_text(), flags=re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_the_command_is_one_that_the_program_knows(role: str) -> None:
    (command,) = settings()["ExecStart"]
    words = command.replace("${ROLE}", role).split()

    assert complaint_of(words).startswith("error: /etc/xclip-stream/site.yaml: cannot be read")


def test_a_worker_is_started_again_unless_its_configuration_is_wrong() -> None:
    found = settings()

    assert found["Restart"] == ["on-failure"]
    assert found["WatchdogSec"]
    assert found["RestartPreventExitStatus"] == [str(MISCONFIGURED)]


def test_checkpoints_and_what_computes_them_are_kept_where_a_worker_may_write() -> None:
    found = settings()

    assert "XDG_CACHE_HOME=%C/xclip-stream" in found["Environment"][0].split()
    assert found["CacheDirectory"] == ["xclip-stream"]


@pytest.mark.parametrize("devices", ["char-nvidia*", "char-video4linux"])
def test_a_worker_reaches_gpus_and_cameras_that_are_plugged_in(devices: str) -> None:
    found = settings()

    assert found["DevicePolicy"] == ["closed"]
    assert f"{devices} rw" in found["DeviceAllow"]


def test_no_two_workers_of_a_machine_serve_their_health_at_one_address() -> None:
    lines = [(UNITS / f"{role}.env").read_text().splitlines()[-1] for role in ROLES]
    addresses = [split_address(line.removeprefix("XCLIP_STREAM_HEALTH=")) for line in lines]

    assert len({port for _, port in addresses}) == len(ROLES)
    assert {host for host, _ in addresses} == {"127.0.0.1"}
