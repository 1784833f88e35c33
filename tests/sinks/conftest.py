"""What the tests of the sinks share: a message to send, and an endpoint to send it to."""

from collections.abc import Callable, Iterator

import pytest

from tests.servers import Answer, Endpoint, http_endpoint
from xclip_stream.types import Message

Build = Callable[..., Message]


@pytest.fixture
def message() -> Build:
    def build(message_id: str = "e1:0", body: bytes | None = None, committed_at: float = 1000.0) -> Message:
        text = body if body is not None else f'{{"id":"{message_id}"}}'.encode()
        return Message(message_id=message_id, source_id="yard", body=text, committed_at=committed_at)

    return build


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def answer() -> type[Answer]:
    return Answer
