"""Real servers that a test starts and stops: a Redis, and an HTTP endpoint that answers as told."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.conftest import missing_part


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Start the redis-server of this machine in `folder` and give its URL."""
    binary = shutil.which("redis-server")
    if binary is None:
        missing_part("redis-server", "apt-get install redis-server")
    address = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(address), "--save", "", "--dir", str(folder)]
    with subprocess.Popen([binary, *options], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                break
        try:
            yield f"unix://{address}"
        finally:
            server.terminate()


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    stall: str = ""
    """Where to stop until the test is over: "" nowhere, "status" before the first byte, "body" after the headers."""


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    client: Any
    status: int = 0
    """What it was answered; 0 where it was not."""


class Endpoint:
    """Answers each POST with the next of `answers`, the last one for ever, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer()]
        self.requests: list[Request] = []
        self.over = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the client died meanwhile: nobody has told us anything
                    self.close_connection = True
                    return
                request = Request(self.path, dict(self.headers), body, self.client_address)
                endpoint.requests.append(request)
                endpoint.answer(self, request)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *args: None  # type: ignore[method-assign]  # a client that left is expected
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.address}/hook"

    def answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.stall == "status":
            self.over.wait()
            return
        request.status = answer.status
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer.body) + (100 if answer.stall == "body" else 0)))
        handler.end_headers()
        handler.wfile.write(answer.body)
        if answer.stall == "body":
            handler.wfile.flush()
            self.over.wait()


@contextmanager
def http_endpoint() -> Iterator[Endpoint]:
    """Serve an endpoint on a free port of this machine."""
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.over.set()
        endpoint.server.shutdown()
        endpoint.server.server_close()
        thread.join()
