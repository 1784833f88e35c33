from pathlib import Path

import numpy as np
import pytest
from av.codec.hwaccel import hwdevices_available
from av.error import FFmpegError

from tests.videos import steady, write_video
from xclip_stream.sources import hwaccel, open_source
from xclip_stream.sources.decoding import open_video
from xclip_stream.types import ClipGeometry, HwAccel, Pixels


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mp4", steady(5, 2))


def pictures(path: Path, on: HwAccel | None) -> list[Pixels]:
    with open_source(str(path), geometry=ClipGeometry(num_frames=8, image_px=32), hwaccel=on) as source:
        return [frame.pictures() for frame in source]


def without(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    there = [name for name in hwdevices_available() if name != device]
    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: there)


@pytest.mark.parametrize("device", ["cuda", "vaapi"])
def test_what_is_said_of_a_device_is_so(device: HwAccel, video: Path) -> None:
    reason = hwaccel.why_not_usable(device)

    if reason is None or device not in hwdevices_available():
        assert len(pictures(video, device)) == 10
    else:
        assert "there is no such device" in reason
        with pytest.raises(FFmpegError):
            open_video(str(video), options={}, shown="a", hwaccel=device)


def test_a_device_that_ffmpeg_was_built_without_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "cuda")

    assert hwaccel.why_not_usable("cuda") == "the FFmpeg of this PyAV was built without it"


@pytest.mark.skipif("vaapi" in hwdevices_available(), reason="a device decodes with rounding of its own")
def test_what_a_device_cannot_decode_is_decoded_as_without_it(video: Path) -> None:
    np.testing.assert_array_equal(pictures(video, "vaapi"), pictures(video, None))
