"""Asks the workers of one machine, which serve at sockets in a folder, for their metrics."""

import http.client
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUPERVISOR = "run"
"""The name under which the supervisor of a run serves beside its workers."""
TIMEOUT_S = 2.0
"""One that hangs must not cost the scrape of all the others, for which Prometheus waits ten seconds."""


def worker_socket(folder: Path, worker: str) -> Path:
    """Return where a worker serves."""
    return folder / worker


def ask_workers(folder: Path, workers: Sequence[str]) -> Mapping[str, str | None]:
    """Ask all of them at once; None of one that does not answer."""
    with ThreadPoolExecutor(max_workers=len(workers)) as pool:
        answers = pool.map(lambda worker: _metrics_at(worker_socket(folder, worker)), workers)
        return dict(zip(workers, answers, strict=True))


def _metrics_at(path: Path) -> str | None:
    connection = _SocketConnection(path)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        text = response.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return text if response.status == http.HTTPStatus.OK else None


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over the socket at a path."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
