"""Ports of this machine, for servers that tests start."""

import itertools
import os
import socket

_FIRST, _LAST = 20_000, 32_000
"""Below those that Linux gives to whoever asks for any: between the choice of a port and the start of its server, and
while that is down, another process would get it."""
_numbers = itertools.count(997 * os.getpid())
"""Each process begins somewhere else: several run tests side by side."""


def free_port() -> int:
    """Return a port at which nobody listens."""
    for number in _numbers:
        port = _FIRST + number % (_LAST - _FIRST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")
