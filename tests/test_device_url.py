import pytest

from xclip_stream.device_url import DeviceUrl, is_device_path


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/video0", DeviceUrl(path="/dev/video0")),
        ("/dev/v4l/by-id/usb-Logi-index0", DeviceUrl(path="/dev/v4l/by-id/usb-Logi-index0")),
        ("v4l2:///dev/video12", DeviceUrl(path="/dev/video12")),
        (
            "v4l2:///dev/video0?size=1280x720&fps=7.5&format=mjpeg",
            DeviceUrl(path="/dev/video0", size="1280x720", fps="7.5", format="mjpeg"),
        ),
    ],
)
def test_a_device_is_a_path_or_a_url_with_options(text: str, device: DeviceUrl) -> None:
    assert DeviceUrl.parse(text) == device


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("v4l2://video0", "three slashes"),
        ("v4l2://host/dev/video0", "three slashes"),
        ("v4l2:video0", "three slashes"),
        ("v4l2:///dev/video0?rate=15", "has no option 'rate': it has size, fps, format"),
        ("v4l2:///dev/video0?size=big", "wrong size: it is written like 1280x720"),
        ("v4l2:///dev/video0?fps=", "wrong fps: it is written like 15"),
        ("v4l2:///dev/video0?format=a,b", "wrong format: it is written like mjpeg"),
    ],
)
def test_what_is_no_device_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        DeviceUrl.parse(text)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/video", "video0", "/tmp/dev/video0", "/dev/v4l/by-id/a/b"])
def test_other_paths_are_no_devices(path: str) -> None:
    assert not is_device_path(path)
