"""A network of a storm's own: two namespaces and a cable between them. The machine's own network is not touched."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.conftest import missing_part

NOBODY = "02:00:00:00:00:99"
"""An address of hardware that nobody has: packets for it go out and are never answered."""


class Network:
    """Two hosts, one with cameras and one that watches them, and a cable that can be pulled.

    Entering makes the two network namespaces, leaving removes them. Redis is reached through a unix socket, which
    namespaces do not separate.
    """

    cameras_address = "10.77.0.1"
    site_address = "10.77.0.2"

    def __init__(self) -> None:
        self._cameras = f"xs{os.getpid()}c"
        self._site = f"xs{os.getpid()}s"

    def __enter__(self) -> Self:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            missing_part("the right to make network namespaces", "run as root, with iproute2 installed")
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def at_cameras(self) -> Sequence[str]:
        """What to put before a command so that it runs on the host of the cameras."""
        return ("ip", "netns", "exec", self._cameras)

    @property
    def at_site(self) -> Sequence[str]:
        """What to put before a command so that it runs on the host that watches."""
        return ("ip", "netns", "exec", self._site)

    def pull_cable(self) -> None:
        """Take the cable out at the cameras' end."""
        _ip("-n", self._cameras, "link", "set", "cameras", "down")

    def plug_cable(self) -> None:
        _ip("-n", self._cameras, "link", "set", "cameras", "up")

    def swallowing_addresses(self, number: int) -> list[str]:
        """Return addresses that packets are sent to and never come back from, not even as an error."""
        addresses = [f"10.77.1.{host}" for host in range(1, number + 1)]
        for address in addresses:
            _ip("-n", self._site, "neigh", "replace", address, "lladdr", NOBODY, "dev", "site", "nud", "permanent")
        return addresses

    def _make(self) -> None:
        for name in (self._cameras, self._site):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip(
            "link",
            "add",
            "cameras",
            "netns",
            self._cameras,
            "type",
            "veth",
            "peer",
            "name",
            "site",
            "netns",
            self._site,
        )
        for name, end, address in (
            (self._cameras, "cameras", self.cameras_address),
            (self._site, "site", self.site_address),
        ):
            _ip("-n", name, "addr", "add", f"{address}/16", "dev", end)
            _ip("-n", name, "link", "set", end, "up")

    def _remove(self) -> None:
        for name in (self._cameras, self._site):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
