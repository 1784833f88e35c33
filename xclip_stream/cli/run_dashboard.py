"""The dashboard of a run: where it is served, and where its `/metrics` finds the workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.main import LISTEN_VARIABLE, WORKERS_VARIABLE
from xclip_stream.config import WebConfig, split_address
from xclip_stream.web.address import free_port
from xclip_stream.web.ask_workers import worker_socket
from xclip_stream.web.health import UNIX


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
        return "--health", self.health_of(worker)

    def health_of(self, worker: str) -> str:
        """Return where a worker, or the supervisor as `run`, serves what it counts."""
        return f"{UNIX}{worker_socket(self.sockets, worker)}"


def choose_address(web: WebConfig) -> str:
    """Return where the dashboard of a run is served: as the configuration says, and where it says nothing, at the usual
    port of this machine or another one that is free."""
    host, port = split_address(web.listen)
    return web.listen if "listen" in web.model_fields_set else f"{host}:{free_port(host, wanted=port)}"
