import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.link import Link, Wire


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    """A server that answers each line with the same line."""
    from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
    from threading import Thread

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line)

    path = tmp_path / "echo.sock"
    with ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield path
        server.shutdown()


def connect(link: Link) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(link.url.removeprefix("unix://"))
    return client


def test_one_reply_in_so_many_is_cut_in_the_middle(echo: Path) -> None:
    with Link(echo) as link, connect(link) as client:
        link.cut_one_reply_in(2)
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        client.sendall(b"hello\n")
        assert (client.recv(100), client.recv(100)) == (b"hel", b"")
        link.cut_one_reply_in(0)
        with connect(link) as another:
            another.sendall(b"again\n")
            assert another.recv(100) == b"again\n"

    assert link.cuts == 1


def test_who_listens_may_hold_a_request_back_and_hear_the_answer(echo: Path) -> None:
    sent: list[bytes] = []

    def listen(wire: Wire, piece: bytes) -> None:
        sent.append(piece)
        wire.heard = heard

    heard: list[bytes] = []
    with Link(echo, on_request=listen) as link, connect(link) as client:
        client.sendall(b"hello\n")
        client.recv(100)

    assert sent == heard == [b"hello\n"]


def test_a_worker_is_refused_while_the_server_is_away(tmp_path: Path) -> None:
    with Link(tmp_path / "nobody.sock") as link, connect(link) as client:
        assert client.recv(100) == b""
