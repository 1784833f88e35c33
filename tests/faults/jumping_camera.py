"""A camera over HTTP whose time stamps jump an hour ahead and back."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.videos import join, write_video

SEGMENT_S = 2.0
FPS = 10
OFFSETS_S = (10.0, 3610.0, 20.0, 7220.0, 3000.0)
_CHUNKS = 20


def write_segments(folder: Path) -> list[Path]:
    """Write some seconds of video for each offset of the time stamps."""
    times = [number / FPS for number in range(round(SEGMENT_S * FPS))]
    return [
        write_video(folder / f"segment-{number}.ts", [offset_s + time_s for time_s in times])
        for number, offset_s in enumerate(OFFSETS_S)
    ]


def write_jumping_file(folder: Path) -> Path:
    return join(folder / "jumps.ts", write_segments(folder))


@contextmanager
def jumping_camera(segments: Sequence[Path]) -> Iterator[str]:
    """Play segments again and again in their own time; give the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Player, [path.read_bytes() for path in segments]))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Player(BaseHTTPRequestHandler):
    def __init__(self, segments: Sequence[bytes], *arguments: object) -> None:
        self._segments = segments
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "video/mp2t")
        self.end_headers()
        with suppress(OSError):  # the viewer has gone
            while True:
                for segment in self._segments:
                    self._play(segment)

    def _play(self, segment: bytes) -> None:
        size = -(-len(segment) // _CHUNKS)
        for start in range(0, len(segment), size):
            self.wfile.write(segment[start : start + size])
            self.wfile.flush()
            time.sleep(SEGMENT_S / _CHUNKS)

    def log_message(self, *arguments: object) -> None:
        """Keep the storm's output clean."""
