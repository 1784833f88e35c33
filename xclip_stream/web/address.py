"""Where something is served: addresses, ports and sockets."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from xclip_stream.errors import ConfigError

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - is compared with, and not listened at


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens at an address; port 0 takes a free one.

    Raises:
        ConfigError: the address is none, is in use, or is not of this machine.
    """
    try:
        listener = _bound(host, port)
    except OSError as error:
        raise ConfigError(f"cannot serve the dashboard on {host}:{port}: {error.strerror or error}") from error
    with listener:
        yield listener


def free_port(host: str, *, wanted: int) -> int:
    """Return a port that nobody listens at: the wanted one, where that is so."""
    with suppress(OSError), _bound(host, wanted):
        return wanted
    with bound(host, 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def address_url(address: str) -> str:
    """Return where a browser on this machine finds what is served at `HOST:PORT`."""
    host, _, port = address.rpartition(":")
    return f"http://{_EVERYWHERE.get(host, host)}:{port}/"


def address_of(listener: socket.socket) -> str:
    """Return the `HOST:PORT` of a socket."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
