"""A clip plays in a real browser, while it grows and when it is finished."""

import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import missing_part
from tests.videos import steady, write_video
from xclip_stream.sources import FileFootage, Painter

CHROMIUM = "/usr/bin/chromium"
PLAY = """url => new Promise(resolve => {
  const video = document.createElement('video');
  video.muted = true;
  video.onerror = () => resolve({error: video.error.message});
  video.onended = () => resolve({
    length_s: video.duration, width: video.videoWidth, frames: video.getVideoPlaybackQuality().totalVideoFrames});
  video.src = url;
  video.playbackRate = 4;
  video.play();
})"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not os.access(CHROMIUM, os.X_OK):
        missing_part("Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def playing(browser: Browser, url: str) -> dict[str, Any]:
    page = browser.new_page()
    page.goto(url.rpartition("/")[0] + "/")
    seen: dict[str, Any] = page.evaluate(PLAY, url)
    page.close()
    return seen


@pytest.mark.parametrize("painter", [Painter(), Painter(overlay=True)], ids=["as it came", "painted"])
def test_a_clip_plays_in_a_browser(browser: Browser, served: str, tmp_path: Path, painter: Painter) -> None:
    film = write_video(tmp_path / "film.mkv", steady(25, 6), size=(320, 240))
    clip = FileFootage(film, start_time=0.0, painter=painter, beat=lambda: None).begin_clip(
        tmp_path / "growing.mp4", begins_at=1.0, caption="yard  climbing: a person (0.90)"
    )
    clip.extend(ends_at=4.0)
    clip.finish(tmp_path / "clip.mp4")

    for name in ("growing.mp4", "clip.mp4"):
        seen = playing(browser, f"{served}/{name}")
        assert "error" not in seen, seen
        assert seen["width"] == 320
        assert seen["length_s"] == pytest.approx(3.3, abs=0.5)
        assert seen["frames"] > 10
    content = (tmp_path / "clip.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "a viewer has to load all of it before it can seek"
