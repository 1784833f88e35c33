"""Pictures and clips of events out of a bucket: the worker reads them, so that no browser needs a key."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import closing, suppress
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from xclip_stream.errors import EvidenceError
from xclip_stream.protocols import KeptFile

_SPAN = re.compile(r"bytes=(\d+-\d*|-\d+)")
"""One part, as players ask for it. Whoever asks for several at once gets the whole, as HTTP allows."""


def span_of(request: Request) -> str | None:
    """Return the part of a file that is asked for; None for all of it."""
    asked = request.headers.get("range", "")
    return asked if _SPAN.fullmatch(asked) else None


def passed_on(file: KeptFile, media_type: str) -> Response:
    """Return a file of the bucket as an answer, piece by piece."""
    headers = {"cache-control": "no-cache", "accept-ranges": "bytes", "content-length": str(file.num_bytes)}
    if file.span:
        headers["content-range"] = file.span
    status = HTTPStatus.PARTIAL_CONTENT if file.span else HTTPStatus.OK
    return _PassedOn(file, status, headers, media_type)


class _PassedOn(StreamingResponse):
    def __init__(self, file: KeptFile, status: HTTPStatus, headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(file.pieces, status, headers, media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Whoever asked may leave before the end, and for HEAD nothing is read.
        with closing(self._file):
            if scope["method"] == "HEAD":
                self.body_iterator = _nothing()
            # The bucket broke off in the middle: nothing can be told any more, the server ends the connection.
            with suppress(EvidenceError):
                await super().__call__(scope, receive, send)


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
