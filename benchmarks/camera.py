"""A camera to measure with: a video that is sent over HTTP as a transport stream, at the speed at which it plays."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_EVERY_S = 0.02


@contextmanager
def camera(video: Path, *, seconds: float) -> Iterator[str]:
    """Serve a transport stream that plays for so long; yield its URL. Whoever connects sees it from the start."""
    stream = video.read_bytes()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            started, sent = time.monotonic(), 0
            with suppress(OSError):  # the reader has gone
                while sent < len(stream) and not over.wait(_EVERY_S):
                    due = min(len(stream), round(len(stream) * (time.monotonic() - started) / seconds))
                    self.wfile.write(stream[sent:due])
                    sent = due

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/camera.ts"
    finally:
        over.set()
        server.shutdown()
        serving.join()
        server.server_close()
