"""The dashboard of a run: where it is served, and where its `/metrics` finds the workers."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xclip_stream.config import WebConfig, split_address
from xclip_stream.errors import ConfigError
from xclip_stream.web.address import free_port
from xclip_stream.web.ask_workers import worker_socket
from xclip_stream.web.health import UNIX
from xclip_stream.worker_main import LISTEN_VARIABLE, WORKERS_VARIABLE

_MAX_FOLDER_BYTES = 60
"""The path of a socket has to fit into 108 bytes."""


@dataclass(frozen=True, slots=True)
class RunDashboard:
    """Where it listens, and the folder in which the workers serve what they count, for this user alone."""

    listen: str
    sockets: Path

    @property
    def environ(self) -> Mapping[str, str]:
        """What the web worker is told."""
        return {LISTEN_VARIABLE: self.listen, WORKERS_VARIABLE: str(self.sockets)}

    def options_of(self, worker: str) -> tuple[str, ...]:
        """Return what the command of a worker has to say besides."""
        return "--health", f"{UNIX}{worker_socket(self.sockets, worker)}"


@contextmanager
def run_dashboard(web: WebConfig) -> Iterator[RunDashboard]:
    """Choose its places; the folder is there while the context is open.

    Raises:
        ConfigError: there is no place for the folder.
    """
    short = None if len(os.fsencode(tempfile.gettempdir())) <= _MAX_FOLDER_BYTES else "/tmp"  # noqa: S108 - mkdtemp
    try:
        folder = tempfile.TemporaryDirectory(prefix="xclip-stream-", dir=short, ignore_cleanup_errors=True)
    except OSError as error:
        raise ConfigError(
            f"there is no folder for the sockets of the workers: {error}; name one in TMPDIR, or say --no-web"
        ) from error
    with folder as sockets:
        yield RunDashboard(choose_address(web), Path(sockets))


def choose_address(web: WebConfig) -> str:
    """Return where the dashboard of a run is served: as the configuration says, and where it says nothing, at the usual
    port of this machine or another one that is free."""
    host, port = split_address(web.listen)
    return web.listen if "listen" in web.model_fields_set else f"{host}:{free_port(host, wanted=port)}"
