"""`xclip-stream discover`, against a camera of the standard's own messages in a network of the test's own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import PROGRAM, ROOT, environment
from tests.conftest import missing_part

ADDRESS = "10.78.0.1"


class Segment:
    """A network namespace with one interface."""

    def __init__(self, home: Path) -> None:
        self._name = f"xs{os.getpid()}d"
        self._home = home
        self._camera: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Segment":
        if os.geteuid() != 0 or shutil.which("ip") is None:
            missing_part("the right to make network namespaces", "run as root, with iproute2 installed")
        ip("netns", "add", self._name)
        ip("-n", self._name, "link", "set", "lo", "up")
        ip("-n", self._name, "link", "add", "lan", "type", "veth", "peer", "name", "far")
        for name in ("lan", "far"):
            ip("-n", self._name, "link", "set", name, "up")
        ip("-n", self._name, "addr", "add", f"{ADDRESS}/24", "dev", "lan")
        return self

    def __exit__(self, *_: object) -> None:
        if self._camera is not None:
            self._camera.kill()
            self._camera.communicate()
        ip("netns", "del", self._name)

    def add_camera(self) -> None:
        device = [sys.executable, str(ROOT / "tests" / "onvif_device.py"), ADDRESS, "viewer", "right-horse"]
        self._camera = subprocess.Popen([*self._inside(), *device], stdout=subprocess.PIPE, text=True)
        assert self._camera.stdout is not None
        assert self._camera.stdout.readline() == "ready\n"

    def discover(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._inside(), *PROGRAM, "discover", *arguments],
            capture_output=True,
            text=True,
            cwd=self._home,
            env=environment(self._home, **more),
            check=False,
            timeout=120,
        )

    def _inside(self) -> list[str]:
        return ["ip", "netns", "exec", self._name]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    with Segment(tmp_path) as segment:
        yield segment


def test_a_camera_is_found_and_what_is_none_is_not(segment: Segment) -> None:
    segment.add_camera()

    done = segment.discover("--json")

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout)["devices"] == [
        {
            "address": f"http://{ADDRESS}:8000/onvif/device_service",
            "host": ADDRESS,
            "name": "Front Door",
            "hardware": "IPC-1234",
            "location": "yard",
            "streams": [],
            "error": None,
        }
    ]


def test_with_a_login_its_streams_are_told(segment: Segment) -> None:
    segment.add_camera()

    done = segment.discover("--user", "viewer", XCLIP_STREAM_ONVIF_PASSWORD="right-horse")

    assert done.returncode == 0, done.stderr
    assert f"rtsp://{ADDRESS}:554/main   H264 1920 × 1080, 15 frames/s (main)" in done.stdout
    assert f"rtsp://{ADDRESS}:554/sub   H264 640 × 360, 15 frames/s (sub)" in done.stdout
    assert "right-horse" not in done.stdout + done.stderr


def test_a_refused_login_is_one_line_beside_the_cameras(segment: Segment) -> None:
    segment.add_camera()

    done = segment.discover("--user", "viewer", "--password", "wrong-horse", "--json")

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {ADDRESS}: wrong user or password for ONVIF")
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(done.stdout)["devices"][0]["host"] == ADDRESS


def test_where_none_answers_it_says_what_to_look_at(segment: Segment) -> None:
    done = segment.discover("--timeout", "1")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: no camera answered in 1 s")
