"""`/healthz`, `/readyz` and `/metrics` of one process, for whoever restarts it, sends it work, or watches it."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from xclip_stream.errors import ConfigError
from xclip_stream.redaction import redact_text
from xclip_stream.web.address import address_of

Check = Callable[[], str | None]
"""Returns in one line what is wrong, or None. Called from any thread."""

Metrics = Callable[[], tuple[str, bytes]]
"""Returns the content type and the text of a scrape. Called from any thread."""

_Page = Callable[[], tuple[HTTPStatus, str, bytes]]
_Place = tuple[str, int] | str
"""Host and port, or the path of a socket."""
_CLIENT_TIMEOUT_S = 5.0
_MAX_CLIENTS = 32
"""At a time: each costs a thread and a descriptor of a process that has something else to do."""
UNIX = "unix:"
"""What an address begins with that is the path of a socket."""


class HealthServer:
    """Answers 200 while all is well and 503 with the reason otherwise, from daemon threads, until it is left.

    `/healthz` asks `alive`: whoever gets a 503 there should start the process again. `/readyz` asks `ready`: a 503
    there passes by itself. The body is one line of JSON: `{"status": "ok"}`, or `{"status": "failing", "reason": "…"}`.
    `/metrics` answers what `metrics` gives.

    Args:
        address: `HOST:PORT`; an IPv6 host stands in brackets; port 0 takes a free one. Or `unix:PATH`: a socket in a
            folder, for those who may enter that; one that a killed process left there makes room.
    """

    def __init__(self, address: str, *, alive: Check, ready: Check, metrics: Metrics | None = None) -> None:
        self._asked_for = address
        self._pages: dict[str, _Page] = {"/healthz": partial(_verdict, alive), "/readyz": partial(_verdict, ready)}
        if metrics is not None:
            self._pages["/metrics"] = lambda: (HTTPStatus.OK, *metrics())
        self._server: _Server | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        if self._server is None or self._asked_for.startswith(UNIX):
            return self._asked_for
        return address_of(self._server.socket)

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            ConfigError: the address is none, is in use, or is not of this machine.
        """
        try:
            self._server = _Server(*_place(self._asked_for), self._pages)
        except OSError as error:
            raise ConfigError(f"cannot serve health on {self._asked_for}: {error.strerror or error}") from error
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    block_on_close = False
    """A client that never reads its answer must not delay the end of the process."""

    def __init__(self, family: socket.AddressFamily, place: _Place, pages: dict[str, _Page]) -> None:
        self.address_family = family
        self.pages = pages
        self._clients: dict[socket.socket, None] = {}
        self._clients_lock = Lock()
        super().__init__(place, _Handler)  # type: ignore[arg-type]  # a path is an address too

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # that of HTTPServer asks the DNS for a name that nobody needs

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client; where there are too many the oldest is sent away, since an honest one is done at once."""
        with self._clients_lock:
            self._clients[request] = None
            if len(self._clients) > _MAX_CLIENTS:
                oldest = next(iter(self._clients))
                del self._clients[oldest]
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._clients_lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_TIMEOUT_S
    server_version = "xclip-stream"
    sys_version = ""

    def do_GET(self) -> None:
        self.wfile.write(self._head())

    def do_HEAD(self) -> None:
        self._head()

    def _head(self) -> bytes:
        """Send everything but the body, and return that."""
        page = self.server.pages.get(self.path.partition("?")[0], self._unknown)
        status, kind, body = page()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        return body

    def log_message(self, *_arguments: object) -> None:
        """Probes come every few seconds; the log is for what happens."""

    def _unknown(self) -> tuple[HTTPStatus, str, bytes]:
        known = " or ".join(self.server.pages)
        return HTTPStatus.NOT_FOUND, *_line({"status": "failing", "reason": f"ask for {known}"})


def _verdict(check: Check) -> tuple[HTTPStatus, str, bytes]:
    reason = check()
    if reason is None:
        return HTTPStatus.OK, *_line({"status": "ok"})
    return HTTPStatus.SERVICE_UNAVAILABLE, *_line({"status": "failing", "reason": redact_text(reason)})


def _line(body: dict[str, str]) -> tuple[str, bytes]:
    """Return one line of JSON, after its content type."""
    return "application/json", json.dumps(body).encode() + b"\n"


def _place(address: str) -> tuple[socket.AddressFamily, _Place]:
    if address.startswith(UNIX):
        path = address.removeprefix(UNIX)
        Path(path).unlink(missing_ok=True)
        return socket.AF_UNIX, path
    host, port = _host_and_port(address)
    family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, (str(place[0]), int(place[1]))


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"cannot serve health on {address!r}: write HOST:PORT, like 0.0.0.0:8080")
    return host, int(port)
