"""The link between the workers and Redis: a relay that listens, holds a request back, or cuts a reply in two."""

import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_PIECE_BYTES = 256 * 1024
_PID_UID_GID = struct.Struct("3i")


@dataclass(slots=True)
class Wire:
    """One connection of a worker through the relay."""

    pid: int
    """The process at the worker's end."""
    client: socket.socket
    server: socket.socket
    heard: list[bytes] | None = field(default=None)
    """What the server answers from now on, once somebody has put a list here."""

    def cut(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


Listen = Callable[[Wire, bytes], None]


class Link:
    """Relays between unix sockets. `on_request` hears each piece that a worker sends before it is passed on, and may
    keep it waiting. Entering opens it.

    Args:
        server: the socket of Redis.
    """

    def __init__(self, server: Path, *, on_request: Listen = lambda _wire, _piece: None) -> None:
        self._server = server
        self._on_request = on_request
        self._folder = Path(tempfile.mkdtemp(prefix="link-"))
        self._socket = self._folder / "link.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lock = threading.Lock()
        self._wires: list[Wire] = []
        self._closers: list[threading.Thread] = []
        self._cut_one_in = 0
        self._replies = 0
        self.cuts = 0
        """How many replies were cut in two."""
        self.url = f"unix://{self._socket}"

    def __enter__(self) -> Self:
        self._listener.bind(str(self._socket))
        self._listener.listen(128)
        threading.Thread(target=self._accept, name="link", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for wire in self._wires:
                wire.cut()
        for closer in self._closers:
            closer.join(5.0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def cut_one_reply_in(self, number: int) -> None:
        """Pass only half on of one piece of a reply in so many from now on, and end that connection; 0 cuts none.

        A part of what is answered and not so many a second: workers that wait longer and longer between their tries
        would be cut at each of them, and never be seen to recover.
        """
        with self._lock:
            self._cut_one_in, self._replies = number, 0

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # it was closed
                return
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                server.connect(str(self._server))
            except OSError:  # Redis is away
                client.close()
                server.close()
                continue
            self._relay(Wire(_peer_of(client), client, server))

    def _relay(self, wire: Wire) -> None:
        with self._lock:
            self._wires.append(wire)
        up = threading.Thread(target=self._pass_on, args=(wire, wire.client, wire.server, self._request), daemon=True)
        down = threading.Thread(target=self._pass_on, args=(wire, wire.server, wire.client, self._reply), daemon=True)
        up.start()
        down.start()
        closer = threading.Thread(target=self._close, args=(wire, up, down), daemon=True)
        closer.start()
        self._closers = [*(one for one in self._closers if one.is_alive()), closer]

    def _close(self, wire: Wire, *pumps: threading.Thread) -> None:
        for pump in pumps:
            pump.join()
        with self._lock:
            self._wires.remove(wire)
            wire.client.close()
            wire.server.close()

    def _pass_on(
        self, wire: Wire, source: socket.socket, target: socket.socket, look: Callable[[Wire, bytes], bytes]
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                passed = look(wire, piece)
                target.sendall(passed)
                if len(passed) < len(piece):
                    break
        wire.cut()

    def _request(self, wire: Wire, piece: bytes) -> bytes:
        self._on_request(wire, piece)
        return piece

    def _reply(self, wire: Wire, piece: bytes) -> bytes:
        if wire.heard is not None:
            wire.heard.append(piece)
        with self._lock:
            if self._cut_one_in == 0 or len(piece) < 2:
                return piece
            self._replies += 1
            if self._replies % self._cut_one_in:
                return piece
            self.cuts += 1
        return piece[: len(piece) // 2]


def _peer_of(client: socket.socket) -> int:
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PID_UID_GID.size)
    pid, _, _ = _PID_UID_GID.unpack(credentials)
    return int(pid) if pid else os.getpid()
