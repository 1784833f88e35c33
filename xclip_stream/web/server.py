"""Serves an ASGI application from a thread, until it is asked to stop."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from xclip_stream.web.slow_clients import ImpatientProtocol

_GRACE_S = 1
"""How long a stop waits for answers in hand; the streams of open pages end with it."""
_LEAVE_TIMEOUT_S = 5.0


@contextmanager
def serving(app: ASGIApp, listener: socket.socket) -> Iterator[threading.Thread]:
    """Serve while the context is open; yields the thread that does."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ws="websockets-sansio",
            ws_max_size=64 * 1024,
        )
    )
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), name="dashboard", daemon=True
    )
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join(_LEAVE_TIMEOUT_S)
