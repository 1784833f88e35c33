"""Cameras that are plugged in. No machine of ours has one: what is tested is what a device answers that is none.

What FFmpeg makes of a real one, its pictures, is not.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.command_line import ROOT
from tests.videos import GEOMETRY
from xclip_stream.errors import SourceError, SourceRejected, SourceUnavailable
from xclip_stream.sources import camera_opening, is_live_url, open_source


def failure(url: str) -> SourceError:
    with pytest.raises(SourceError) as caught, open_source(url, geometry=GEOMETRY):
        pass
    return caught.value


def test_pyav_can_read_devices() -> None:
    assert any("v4l2" in name.split(",") for name in av.formats_available)


@pytest.mark.parametrize("url", ["/dev/video0", "/dev/v4l/by-id/usb-camera-index0", "v4l2:///dev/video0?fps=15"])
def test_a_device_is_a_live_source(url: str) -> None:
    assert is_live_url(url)
    assert open_source(url, geometry=GEOMETRY).live


def test_a_camera_that_is_not_plugged_in_may_come() -> None:
    error = failure("/dev/video4711")

    assert isinstance(error, SourceUnavailable)
    assert str(error) == "/dev/video4711: is not there; is the camera plugged in?"


@pytest.mark.parametrize("path", ["/dev/null", "/dev"])
def test_what_is_no_camera_is_rejected(path: str) -> None:
    error = failure(f"v4l2://{path}")

    assert isinstance(error, SourceRejected)
    assert str(error) == f"v4l2://{path}: is not a camera"


def test_a_wrong_option_is_rejected_before_anything_is_opened() -> None:
    assert str(failure("v4l2:///dev/null?rate=15")).startswith("v4l2:///dev/null?rate=15: has no option 'rate'")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device and become another user")
def test_a_device_that_this_user_may_not_read_is_rejected(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))
    code = (
        "import os, sys; from xclip_stream.sources import open_source; from tests.videos import GEOMETRY\n"
        "source = open_source(sys.argv[1], geometry=GEOMETRY); os.setuid(65534)\n"
        "try: source.__enter__()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, f"v4l2://{device}"], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout == (
        f"SourceRejected v4l2://{device}: this user may not read it; add the user to its group, mostly `video`\n"
    )


def test_a_camera_in_use_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """No device here can be busy: the driver's answer is made up."""

    def refuse(*_: object, **__: object) -> None:
        raise av.error.OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(camera_opening, "open_video", refuse)

    error = failure("/dev/video0")

    assert isinstance(error, SourceUnavailable)
    assert str(error) == "/dev/video0: is in use by another program"
