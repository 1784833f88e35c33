"""Devices that do not answer as ONVIF says; `tests/test_cli_discover.py` has one that does."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xclip_stream.errors import SourceRejected
from xclip_stream.sources.discovery import FoundDevice, device_streams

EMPTY = b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body></s:Body></s:Envelope>'


class Handler(BaseHTTPRequestHandler):
    """Gives one answer to everything, or none and hangs up."""

    def __init__(self, *arguments: object, answer: bytes | None) -> None:
        self._answer = answer
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self._answer is not None:
            self.send_response(200)
            self.send_header("Content-Type", "application/soap+xml")
            self.end_headers()
            self.wfile.write(self._answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[FoundDevice]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, answer=request.param))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/onvif/device_service"
    yield FoundDevice(address=address, host="127.0.0.1", name="", hardware="", location="")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("device", [None, EMPTY, b"<html>hello"], ids=["none", "empty", "page"], indirect=True)
def test_a_device_that_answers_anything_else_is_told_in_one_line(device: FoundDevice) -> None:
    with pytest.raises(SourceRejected, match="does not answer as ONVIF says") as caught:
        device_streams(device, user="viewer", password="right-horse", timeout_s=30.0)

    assert "\n" not in str(caught.value)
    assert "right-horse" not in str(caught.value)
