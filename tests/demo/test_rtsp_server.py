"""The test camera of the tutorial: what it says where it cannot play."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rtsp import SERVER, SYSTEM_PYTHON, need_server


def play(python: str, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, str(SERVER), str(file)], capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.skipif(importlib.util.find_spec("gi") is not None, reason="this Python has GStreamer's bindings")
def test_another_python_is_told_which_one_to_take(tmp_path: Path) -> None:
    done = play(sys.executable, tmp_path / "scene.mp4")

    assert done.returncode == 1
    assert "start this with /usr/bin/python3" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["missing.mp4", "notes.txt"])
def test_what_is_no_video_is_told(name: str, tmp_path: Path) -> None:
    need_server()
    (tmp_path / "notes.txt").write_text("not a video\n" * 100)

    done = play(SYSTEM_PYTHON, tmp_path / name)

    assert done.returncode == 1
    assert f"{name}: there is no " in done.stderr
    assert done.stdout == ""
