"""A real RTSP camera for tests: GStreamer's server, playing a file, in a process that can be killed and frozen."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import missing_part
from tests.ports import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parents[1] / "xclip_stream" / "demo" / "rtsp_server.py"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class Camera:
    """A server that plays `file`; it keeps its port when it is started again.

    Args:
        password: may be changed; it counts from the next start.
        address: of the interface that it listens on.
        at: what to put before its command, such as the one that enters another network namespace.
    """

    def __init__(
        self,
        file: Path,
        *,
        user: str = "",
        password: str = "",
        once: bool = False,
        codec: str = "h264",
        address: str = "127.0.0.1",
        at: Sequence[str] = (),
    ) -> None:
        self._file = file
        self._user = user
        self.password = password
        self._once = once
        self._codec = codec
        self._address = address
        self._at = at
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        options = ["--codec", self._codec, *(["--once"] if self._once else [])]
        if self._user:
            options += ["--user", self._user, "--password", self.password]
        self._process = subprocess.Popen(
            [*self._at, SYSTEM_PYTHON, str(SERVER), str(self._file), *self._where(), *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("rtsp://"), "the RTSP server did not start"

    def url(self, login: str = "") -> str:
        """Return the URL, with `login` ("user:password") in it when given."""
        return f"rtsp://{login}{'@' if login else ''}{self._address}:{self.port}/live"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _where(self) -> Sequence[str]:
        return ["--address", self._address, "--port", str(self.port)]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


StartCamera = Callable[..., Camera]


@pytest.fixture
def start_camera() -> Iterator[StartCamera]:
    """Return a function that starts a camera, with the arguments of `Camera`."""
    need_server()
    cameras = []

    def start(file: Path, *, user: str = "", password: str = "", once: bool = False, codec: str = "h264") -> Camera:
        camera = Camera(file, user=user, password=password, once=once, codec=codec)
        cameras.append(camera)
        camera.start()
        return camera

    yield start
    for camera in cameras:
        camera.kill()


def need_server() -> None:
    """Skip, or fail in CI, where GStreamer's RTSP server is missing."""
    if not can_serve():
        missing_part("GStreamer's RTSP server", "apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi and plugins")


def can_serve() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", PROBE], check=False, capture_output=True).returncode == 0
