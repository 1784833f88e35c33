"""The dashboard as one ASGI application: pages, API, streams and schemas behind one guard."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote_plus

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from xclip_stream.event_schema import asyncapi, json_schema
from xclip_stream.web.answers import error_handlers
from xclip_stream.web.events_api import EventsApi
from xclip_stream.web.evidence_files import EvidenceFiles
from xclip_stream.web.guard import COOKIE, Guard, cookie_of, is_same
from xclip_stream.web.pictures_api import PicturesApi
from xclip_stream.web.scores_api import ScoresApi
from xclip_stream.web.services import Services
from xclip_stream.web.streams import HEARTBEAT_S, EventStreams
from xclip_stream.web.system_api import SystemApi

STATIC = Path(__file__).with_name("static")
REMEMBERED_S = 30 * 86_400
GUESSING_COSTS_S = 0.5
MAX_TOKEN_BYTES = 4096
WRONG = "/login?wrong"


def build_app(
    services: Services,
    *,
    token: str | None = None,
    hosts: Iterable[str] = (),
    heartbeat_s: float = HEARTBEAT_S,
) -> Starlette:
    """Return the application.

    Args:
        token: what one has to know to see anything; None for nothing.
        hosts: the names under which it may be asked for, beside `localhost` and IP addresses.
    """
    streams = EventStreams(services.feed, heartbeat_s=heartbeat_s)
    login = Login(token)
    return Starlette(
        routes=[
            Route("/", _index),
            Route("/login", login.ask, methods=["GET"]),
            Route("/login", login.check, methods=["POST"]),
            Route("/events", streams.events),
            WebSocketRoute("/ws/events", streams.socket),
            *SystemApi(services).routes(),
            *EventsApi(services).routes(),
            *ScoresApi(services).routes(),
            *PicturesApi(services).routes(),
            *EvidenceFiles(services).routes(),
            Route("/schemas", _schemas),
            Route("/schemas/event.schema.json", _json_schema),
            Route("/schemas/asyncapi.yaml", _asyncapi),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=hosts, token=token)],
        exception_handlers=error_handlers(services.redact),
    )


class Login:
    """Takes the token once, and gives the browser a cookie for it.

    Every answer leads to an address without a fragment, so the browser keeps the one that it has: the page of an event,
    `/#/events/ID`, is found again behind the login. No address to go on to is ever taken from a request.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def ask(self, request: Request) -> Response:
        page = (STATIC / "login.html").read_text(encoding="utf-8")
        return HTMLResponse(page.replace(" hidden>", ">") if "wrong" in request.query_params else page)

    async def check(self, request: Request) -> Response:
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > MAX_TOKEN_BYTES:
                return RedirectResponse(WRONG, HTTPStatus.SEE_OTHER)
        given = content.decode(errors="replace").strip().removeprefix("token=")
        if self._token is None or not is_same(unquote_plus(given), self._token):
            await asyncio.sleep(GUESSING_COSTS_S)
            return RedirectResponse(WRONG, HTTPStatus.SEE_OTHER)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        # A link in a mail leads here from another site, and has to bring it; what acts or is read by a page of another
        # site is refused by the guard.
        answer.set_cookie(
            COOKIE, cookie_of(self._token), max_age=REMEMBERED_S, httponly=True, samesite="lax", secure=is_secure
        )
        return answer


def _index(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _schemas(_request: Request) -> Response:
    return JSONResponse({"json_schema": "/schemas/event.schema.json", "asyncapi": "/schemas/asyncapi.yaml"})


def _json_schema(_request: Request) -> Response:
    return Response(json_schema(), media_type="application/schema+json")


def _asyncapi(_request: Request) -> Response:
    return Response(asyncapi(), media_type="application/yaml")
