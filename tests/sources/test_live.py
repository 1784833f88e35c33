import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.faults.jumping_camera import jumping_camera
from tests.ports import free_port
from tests.rtsp import Camera, StartCamera, start_camera
from tests.videos import GEOMETRY, grey, noise, number_of, steady, write_video
from xclip_stream.errors import SourceError, SourceRejected, SourceUnavailable
from xclip_stream.protocols import SourceFrame
from xclip_stream.sources import LiveFootage, PacketRing, PacketTap, Painter, open_recording, open_source
from xclip_stream.sources.decoding import StillFrame
from xclip_stream.sources.live import LiveSource
from xclip_stream.sources.pictures import jpeg_picture
from xclip_stream.types import IdleState, Idling

__all__ = ["start_camera"]

QUICK = {"open_timeout_s": 2.0, "read_timeout_s": 1.0}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", steady(10, 2), tick=Fraction(1, 10))


def failure(url: str) -> SourceError:
    with pytest.raises(SourceError) as caught, open_source(url, geometry=GEOMETRY, **QUICK) as source:
        list(source)
    return caught.value


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_of_a_camera_come_with_media_and_event_time(
    clip: Path, start_camera: StartCamera, transport: str
) -> None:
    camera = start_camera(clip)

    with open_source(camera.url(), geometry=GEOMETRY, transport=transport) as source:
        frames = list(islice(source, 12))
        numbers = [number_of(frame.pictures()[0]) for frame in frames]

    assert source.live
    assert source.duration_s is None
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.pts_s for frame in frames] == pytest.approx(steady(10, 1.2), abs=0.01)
    assert numbers == [(numbers[0] + i) % 20 for i in range(12)]
    assert 0.5 <= frames[-1].captured_at - frames[0].captured_at <= 1.2


@pytest.fixture(params=["rtsp", "http"])
def undeclared(tmp_path: Path, start_camera: StartCamera, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a camera with ten frames a second that declares 1000, the tick, which FFmpeg does not believe."""
    if request.param == "rtsp":
        yield start_camera(write_video(tmp_path / "camera.mp4", steady(10, 6))).url()
        return
    parts = [write_video(tmp_path / f"{at}.ts", [at + time_s for time_s in steady(10, 2)]) for at in (0, 2, 4)]
    with jumping_camera(parts) as url:
        yield url


def test_a_camera_that_does_not_say_its_rate_is_read_before_it_is_known(undeclared: str) -> None:
    with open_source(undeclared, geometry=GEOMETRY) as source:
        assert isinstance(source, LiveSource)
        declared = source.video.facts.declared_fps
        frames = list(islice(source, 24))

    # The frames that opening takes arrive together.
    assert frames[-1].captured_at - frames[0].captured_at > 0.5
    assert declared is None


class FilmHandler(SimpleHTTPRequestHandler):
    """Sends a film of four seconds in its own time, as FLV."""

    def __init__(self, film: bytes, *arguments: Any) -> None:
        self._film = film
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/x-flv")
        self.end_headers()
        size = -(-len(self._film) // 40)
        with suppress(ConnectionError):  # who has seen enough goes
            for start in range(0, len(self._film), size):
                self.wfile.write(self._film[start : start + size])
                threading.Event().wait(0.1)

    def log_message(self, *_: object) -> None:
        pass


def test_flv_without_a_rate_is_read_before_it_is_known(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.flv", steady(10, 4), pictures=[noise(seed) for seed in range(40)]).read_bytes()
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(FilmHandler, film.replace(b"framerate", b"something"))
    ) as server:
        threading.Thread(target=server.serve_forever).start()
        with open_source(f"http://127.0.0.1:{server.server_port}/flv?stream=main", geometry=GEOMETRY) as source:
            frames = list(islice(source, 24))
        server.shutdown()

    # The frames that opening takes arrive together.
    assert frames[-1].captured_at - frames[0].captured_at > 0.5


def test_the_end_of_a_camera_is_a_loss(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip, once=True)

    assert isinstance(error := failure(camera.url()), SourceUnavailable)
    assert str(error) == f"{camera.url()}: the stream ended"


def test_a_wrong_password_is_rejected_and_never_shown(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip, user="viewer", password="right-horse")

    wrong, missing = failure(camera.url("viewer:hunter2")), failure(camera.url())

    assert isinstance(wrong, SourceRejected)
    assert str(wrong) == f"rtsp://***@127.0.0.1:{camera.port}/live: wrong user or password"
    assert "hunter2" not in repr(wrong) + repr(wrong.__cause__)
    assert wrong.__suppress_context__
    assert isinstance(missing, SourceRejected)
    with open_source(camera.url("viewer:right-horse"), geometry=GEOMETRY) as source:
        assert next(iter(source)).index == 0


def test_a_path_that_the_camera_does_not_have_is_rejected(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip)

    error = failure(camera.url().replace("/live", "/other"))

    assert isinstance(error, SourceRejected)
    assert "404" in str(error)


def test_a_camera_that_dies_is_lost_and_time_goes_on_after_it_came_back(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip)
    source = open_source(camera.url(), geometry=GEOMETRY, **QUICK)
    with source:
        before = list(islice(source, 3))
        camera.kill()
        with pytest.raises(SourceUnavailable, match=r"the stream ended|the connection broke"):
            list(source)
    with pytest.raises(SourceUnavailable, match="connection refused"), source:
        pass

    camera.start()
    with source:
        after = list(islice(source, 3))

    assert after[0].index > before[-1].index
    assert after[0].pts_s > before[-1].pts_s
    assert after[0].captured_at > before[-1].captured_at
    passed_s = after[0].captured_at - before[-1].captured_at
    assert after[0].pts_s - before[-1].pts_s == pytest.approx(passed_s, abs=0.3)


def test_a_camera_that_freezes_is_lost_and_one_that_is_frozen_does_not_hang_us(
    clip: Path, start_camera: StartCamera
) -> None:
    camera = start_camera(clip)
    with open_source(camera.url(), geometry=GEOMETRY, **QUICK) as source:
        frames = iter(source)
        next(frames)
        camera.freeze()
        with pytest.raises(SourceUnavailable, match="silent for 1 s"):
            list(frames)

    assert isinstance(failure(camera.url()), SourceUnavailable)


def test_a_camera_may_take_longer_to_open_than_it_may_be_silent(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip)
    camera.freeze()
    threading.Timer(1.5, camera.thaw).start()

    with open_source(camera.url(), geometry=GEOMETRY, open_timeout_s=20.0, read_timeout_s=0.5) as source:
        assert source.live


def lose(camera: Camera) -> None:
    """Read a camera until it freezes, and let go of it as the loop of a reader does."""
    try:
        with open_source(camera.url(), geometry=GEOMETRY, **QUICK) as source:
            for frame in source:
                frame.pictures()
                camera.freeze()
    except SourceUnavailable:
        camera.thaw()


def test_a_lost_camera_leaves_nothing_for_the_garbage_collector(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip)
    lose(camera)  # what the libraries make once
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        lose(camera)
        gc.collect()
        left = {type(thing).__name__ for thing in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert not left & {"SourceUnavailable", "generator", "OpenVideo", "VideoStream", "VideoFrame"}


def test_a_reader_has_no_threads_for_its_pictures(clip: Path) -> None:
    threads = Path("/proc/self/task")
    before = len(list(threads.iterdir()))

    with open_source(str(clip), geometry=GEOMETRY) as source:
        frame = next(iter(source))
        frame.pictures()

        assert len(list(threads.iterdir())) <= before


@pytest.mark.parametrize("scheme", ["rtsp", "RTSP", "http", "HTTP"])
def test_nobody_listening_is_a_refusal(scheme: str) -> None:
    error = failure(f"{scheme}://u:hunter2@127.0.0.1:{free_port()}/live")

    assert isinstance(error, SourceUnavailable)
    assert "connection refused" in str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_host_that_accepts_and_says_nothing_does_not_hang_us(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = failure(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/live")

    assert isinstance(error, SourceUnavailable)


def test_a_host_without_an_address_is_unavailable() -> None:
    assert isinstance(failure("rtsp://u:hunter2@camera.invalid/live"), SourceUnavailable)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_video_over_http_is_read_like_a_camera(tmp_path: Path, web: str) -> None:
    write_video(tmp_path / "stream.ts", steady(10, 2))

    with open_source(f"{web}/stream.ts", geometry=GEOMETRY) as source:
        frames = iter(source)
        numbers = [number_of(frame.pictures()[0]) for frame in islice(frames, 20)]
        with pytest.raises(SourceUnavailable, match="the stream ended"):
            next(frames)

    assert source.live
    assert numbers == list(range(20))


SPARSE = {
    "libx264": {"preset": "ultrafast", "g": "50", "bf": "0"},
    "libx265": {"preset": "ultrafast", "x265-params": "keyint=50:bframes=0:log-level=none"},
}
"""A key frame each 50 frames: FFmpeg opens a stream that begins behind one without having seen the next."""


@pytest.mark.parametrize("codec", SPARSE)
def test_clips_of_a_camera_that_was_opened_before_its_first_key_frame_begin_with_that(
    tmp_path: Path, web: str, codec: str
) -> None:
    whole = write_video(tmp_path / "whole.ts", steady(10, 12), codec=codec, options=SPARSE[codec]).read_bytes()
    (tmp_path / "stream.ts").write_bytes(whole[len(whole) // 12 // 188 * 188 :])
    ring = PacketRing(span_s=1000.0, max_bytes=10_000_000)

    url = f"{web}/stream.ts"
    with open_recording(url, tap=PacketTap(ring), transport="tcp", open_timeout_s=5.0, read_timeout_s=5.0) as source:
        width = source.video.facts.width
        with pytest.raises(SourceUnavailable, match="the stream ended"):
            source.record(lambda: False, note_packet=lambda: None)
    clip = LiveFootage(ring, painter=Painter()).begin_clip(tmp_path / "growing.mp4", begins_at=0.0, caption="")
    clip.extend(ends_at=inf)
    clip.finish(tmp_path / "clip.mp4")

    assert width == 0
    with av.open(str(tmp_path / "clip.mp4")) as video:
        numbers = [number_of(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]
    assert numbers == [number % 20 for number in range(50, 120)]


class PictureHandler(SimpleHTTPRequestHandler):
    """Sends a JPEG ten times a second, as many cameras do."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
        self.end_headers()
        with suppress(ConnectionError):  # who has seen enough goes
            for number in range(20):
                content = jpeg_picture(grey(number), width_px=160)
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
                self.wfile.write(head.encode() + content + b"\r\n")
                threading.Event().wait(0.1)

    def log_message(self, *_: object) -> None:
        pass


def test_time_is_that_of_the_clock_where_a_camera_sends_pictures_without_times() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), PictureHandler) as server:
        threading.Thread(target=server.serve_forever).start()
        with open_source(f"http://127.0.0.1:{server.server_port}/", geometry=GEOMETRY) as source:
            frames = list(islice(source, 18))
            declared_fps = source.video.facts.declared_fps
        server.shutdown()

    # FFmpeg looks at some before it gives the first; at 25 a second all of them would be 0.7 s.
    assert frames[-1].pts_s >= 1.0
    assert declared_fps is None


def test_a_web_page_is_no_camera(tmp_path: Path, web: str) -> None:
    (tmp_path / "page.html").write_text("<html>" + "hello " * 500)

    page, gone = failure(f"{web}/page.html"), failure(f"{web}/gone")

    assert "sends no video that can be read" in str(page)
    assert isinstance(gone, SourceRejected)


class RefusingHandler(QuietHandler):
    """Answers as cameras do that have sound alone at a path."""

    def do_GET(self) -> None:
        self.send_error(405)


def test_a_camera_that_refuses_the_request_leads_to_its_path() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), RefusingHandler) as server:
        threading.Thread(target=server.serve_forever).start()
        refused = failure(f"http://127.0.0.1:{server.server_port}/sound")
        server.shutdown()

    assert isinstance(refused, SourceRejected)
    assert "the camera refuses the request; is there video at this path?" in str(refused)


def test_a_playlist_from_the_network_cannot_name_a_file_of_ours(tmp_path: Path, web: str) -> None:
    secret = write_video(tmp_path / "secret.ts", steady(10, 2))
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    (tmp_path / "good.m3u8").write_text(playlist.format("secret.ts"))
    (tmp_path / "bad.m3u8").write_text(playlist.format(f"file://{secret}"))

    with open_source(f"{web}/good.m3u8", geometry=GEOMETRY) as source:
        assert source.video.in_segments
        assert len(list(islice(source, 20))) == 20
    assert isinstance(failure(f"{web}/bad.m3u8"), SourceUnavailable)


def test_a_camera_that_stands_still_is_watched_without_decoding_it(tmp_path: Path, web: str) -> None:
    quiet = [np.full((120, 160, 3), 90, np.uint8)] * 250
    busy = [*quiet, *(noise(seed) for seed in range(10))]
    write_video(tmp_path / "stream.ts", steady(10, 26), pictures=busy)

    with open_source(f"{web}/stream.ts", geometry=GEOMETRY, idle="aggressive") as source:
        frames: list[SourceFrame] = []
        with pytest.raises(SourceUnavailable, match="the stream ended"):
            frames.extend(iter(source))

    still = [frame.index for frame in frames if isinstance(frame, StillFrame)]
    assert [frame.index for frame in frames] == list(range(260))
    assert [frame.pts_s for frame in frames] == pytest.approx(steady(10, 26), abs=0.001)
    assert [frame.captured_at for frame in frames] == sorted(frame.captured_at for frame in frames)
    assert still
    # The interval before the change ends with a key frame that shows it, and is decoded.
    assert still == list(range(still[0], 240))
    assert frames[still[0]].pictures() is frames[still[-1]].pictures()
    assert np.array_equal(frames[still[0]].pictures(), frames[still[0] - 1].pictures())
    assert frames[239].jpeg(width_px=80) == frames[still[0] - 1].jpeg(width_px=80)
    assert not np.array_equal(frames[250].pictures(), frames[249].pictures())
    assert source.idling == Idling(IdleState.AWAKE, len(still))


def test_an_idle_camera_is_read_over_rtsp_and_wakes(tmp_path: Path, start_camera: StartCamera) -> None:
    quiet = [np.full((120, 160, 3), 90, np.uint8)] * 240
    busy = [*quiet, *(noise(seed) for seed in range(60))]
    camera = start_camera(write_video(tmp_path / "clip.mp4", steady(25, 12), tick=Fraction(1, 25), pictures=busy))

    with open_source(camera.url(), geometry=GEOMETRY, idle="aggressive") as source:
        frames = list(islice(source, 300))

    kinds = [isinstance(frame, StillFrame) for frame in frames]
    assert any(kinds)
    assert not kinds[-1]
    assert [frame.index for frame in frames] == list(range(300))
    assert [frame.pts_s for frame in frames] == pytest.approx(steady(25, 12), abs=0.01)
    assert [frame.captured_at for frame in frames] == sorted(frame.captured_at for frame in frames)
