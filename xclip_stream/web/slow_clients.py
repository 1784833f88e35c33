"""Lets go of clients that hold a connection and do not use it, for which uvicorn has no time limit."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_WITHIN_S = 30.0
"""How long a client may take to send a request, its body included. Between two requests uvicorn waits for 5 s."""
READ_WITHIN_S = 60.0
"""How long a client may read nothing of what waits for it. A player that was stopped asks again for the rest."""


class ImpatientProtocol(H11Protocol):
    """Closes a connection whose request does not come to its end, or whose answer is not read."""

    _no_request: asyncio.TimerHandle | None = None
    _not_read: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._watch_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._not_read = self.loop.call_later(READ_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._not_read)

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._no_request)
        _stop(self._not_read)
        super().connection_lost(exc)

    def _watch_request(self) -> None:
        is_on_its_way = self.conn.their_state in {h11.IDLE, h11.SEND_BODY}
        if not is_on_its_way:
            _stop(self._no_request)
            self._no_request = None
        elif self._no_request is None:
            self._no_request = self.loop.call_later(REQUEST_WITHIN_S, self.transport.abort)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
