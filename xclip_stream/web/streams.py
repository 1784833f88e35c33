"""Events as they are told: server-sent events for pages, and a WebSocket for programs. Both resume where one left."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from xclip_stream.errors import QueueError
from xclip_stream.events import is_entry_id
from xclip_stream.web.event_feed import PAGE, Entry, EventFeed, Subscription, place

HEARTBEAT_S = 15.0
RETRY_MS = 2000
"""How long a page waits before it connects again."""
_TRY_AGAIN_LATER = 1013
_WRONG = 1008


async def told(feed: EventFeed, after: str | None, *, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[Entry | None]:
    """Yield every message after `after`, or from now on, each once and in order; None is a sign of life.

    What is no JSON object is passed over: whoever got it could not go on after it.

    Between two messages others have their turn, however many wait: else a consumer that has gone would be written to
    until there are no more, and asyncio warns of each.

    It ends when the consumer was too slow, and when the stream is another one now: whoever comes back goes on where
    it left.
    """
    with feed.subscribe() as subscription:
        last = feed.newest_id()
        if after is not None:
            # A stream that has forgotten what came before begins with lower ids than the consumer knows.
            last = min(after, last, key=place)
            async for entry in _missed(feed, last):
                last = entry[0]
                if _is_message(entry[1]):
                    yield entry
                await asyncio.sleep(0)
        async for fresh in _fresh(subscription, last, heartbeat_s=heartbeat_s):
            if fresh is None or _is_message(fresh[1]):
                yield fresh
            await asyncio.sleep(0)


async def _missed(feed: EventFeed, last: str) -> AsyncIterator[Entry]:
    while True:
        found = await run_in_threadpool(feed.entries_after, last)
        for entry in found:
            last = entry[0]
            yield entry
        if len(found) < PAGE:
            return


async def _fresh(subscription: Subscription, last: str, *, heartbeat_s: float) -> AsyncIterator[Entry | None]:
    while not subscription.over:
        entry = await subscription.next(timeout_s=heartbeat_s)
        if entry is None:
            yield None
        elif place(entry[0]) > place(last):
            last = entry[0]
            yield entry


class EventStreams:
    """The two endpoints over one feed."""

    def __init__(self, feed: EventFeed, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._feed = feed
        self._heartbeat_s = heartbeat_s

    async def events(self, request: Request) -> Response:
        """Serve `GET /events`: server-sent events, from `Last-Event-ID` or `?after=` on."""
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        if after is not None and not is_entry_id(after):
            return JSONResponse({"error": "after is not an id of the event stream"}, 400)
        return StreamingResponse(self._sent(after), media_type="text/event-stream")

    async def socket(self, socket: WebSocket) -> None:
        """Serve `/ws/events`: each message is `{"id": …, "event": …}`; pass the last id as `?after=`."""
        await socket.accept()
        after = socket.query_params.get("after")
        if after is not None and not is_entry_id(after):
            await socket.close(_WRONG, "after is not an id of the event stream")
            return
        telling, leaving = asyncio.create_task(self._tell(socket, after)), asyncio.create_task(_left(socket))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            leaving.cancel()
            await asyncio.gather(telling, leaving, return_exceptions=True)

    async def _tell(self, socket: WebSocket, after: str | None) -> None:
        try:
            async for entry in told(self._feed, after, heartbeat_s=self._heartbeat_s):
                if entry is not None:
                    await socket.send_text(f'{{"id":{json.dumps(entry[0])},"event":{entry[1].decode()}}}')
            await socket.close(_TRY_AGAIN_LATER, "come back for what you missed")
        except QueueError:
            await socket.close(_TRY_AGAIN_LATER, "the queue does not answer")
        except WebSocketDisconnect:
            return

    async def _sent(self, after: str | None) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        try:
            async for entry in told(self._feed, after, heartbeat_s=self._heartbeat_s):
                yield b": still here\n\n" if entry is None else _framed(entry)
        except QueueError:
            return  # the page comes back for what it missed


async def _left(socket: WebSocket) -> None:
    """Return when the other side has gone. While nothing is told, only one that listens hears of it."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass  # what it says is not asked for


def _is_message(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _framed(entry: Entry) -> bytes:
    # JSON may hold line breaks between its parts, and a line break ends a line of the stream.
    lines = entry[1].replace(b"\r", b" ").replace(b"\n", b" ")
    return b"id: " + entry[0].encode() + b"\ndata: " + lines + b"\n\n"
