"""Clients that hold connections of the dashboard without using them, on real sockets."""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from xclip_stream.web import slow_clients
from xclip_stream.web.address import bound
from xclip_stream.web.answers import error_handlers
from xclip_stream.web.server import serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PART = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\npart"


class Served:
    """An application that answers, sends without end, or waits for a body."""

    def __init__(self) -> None:
        self.stopped_sending = threading.Event()
        self.app = Starlette(
            routes=[Route("/", self._answer, methods=["GET", "POST"]), Route("/endless", self._send_without_end)],
            exception_handlers=error_handlers(str),
        )

    async def _answer(self, request: Request) -> Response:
        return PlainTextResponse(await request.body())

    async def _send_without_end(self, _request: Request) -> Response:
        return StreamingResponse(self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(100_000)
                await asyncio.sleep(0)
        finally:
            self.stopped_sending.set()


@contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    with (
        bound("127.0.0.1", 0) as listener,
        serving(served.app, listener),
        socket.create_connection(listener.getsockname(), timeout=60) as client,
    ):
        yield client


def heard_to_its_end(client: socket.socket) -> bytes:
    """Return what the other side has sent when it closes the connection."""
    heard = b""
    try:
        while part := client.recv(65536):
            heard += part
    except ConnectionResetError:
        pass
    return heard


@pytest.mark.parametrize("sent", [b"", b"G", GET[:-2], PART])
def test_a_request_that_does_not_come_to_its_end_is_given_up_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    monkeypatch.setattr(slow_clients, "REQUEST_WITHIN_S", 0.1)
    with connected(Served()) as client:
        client.sendall(sent)

        assert heard_to_its_end(client) == b""
    assert [line.getMessage() for line in caplog.records if line.levelno >= logging.ERROR] == []


def test_a_second_request_that_trickles_in_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(Served()) as client:
        client.sendall(GET)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        monkeypatch.setattr(slow_clients, "REQUEST_WITHIN_S", 0.1)
        client.sendall(GET[:5])

        assert heard_to_its_end(client) == b""


def test_a_request_that_is_complete_may_be_answered_for_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "REQUEST_WITHIN_S", 0.1)
    served = Served()
    with connected(served) as client:
        client.sendall(GET.replace(b"/", b"/endless", 1))
        heard = 0
        while heard < 50_000_000:
            heard += len(client.recv(1_000_000))
            served.stopped_sending.wait(0.001)  # so that it lasts longer than a request may

        assert not served.stopped_sending.is_set()


def test_a_client_that_reads_nothing_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "READ_WITHIN_S", 0.5)
    served = Served()
    with connected(served) as client:
        client.sendall(GET.replace(b"/", b"/endless", 1))

        assert served.stopped_sending.wait(60)
