"""Who may talk to the dashboard: by the name it was asked under, by where a request comes from, and by a token."""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "xclip_stream"
OPEN_PATHS = ("/login", "/static/login.css", "/static/icon.svg")
"""What is answered without a token."""
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # without a referrer the form of the login would come from "null"
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Lets pass what may pass, and gives every answer the headers that keep a page to itself.

    A name that nobody has allowed is refused, because a page of another site could have made it lead here (DNS
    rebinding); an IP address cannot be made so. A request has to come from a page of this very origin, or from a
    program that names none: another site could not read the answer, and yet have a picture taken or a long chart made.
    It may lead here by a link. With a token, everything but the login needs it: as a bearer token, or as the cookie
    that the login gives.

    Args:
        hosts: the names that are allowed, in lower case, beside `localhost` and all IP addresses.
        token: None lets everybody in.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], token: str | None) -> None:
        self._app = app
        self._hosts = frozenset(hosts) | {"localhost"}
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the client gets a 403
        elif refusal is not None:
            await refusal(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        host = request.headers.get("host", "")
        if not self._is_allowed(host):
            return _told(HTTPStatus.MISDIRECTED_REQUEST, "this name is not known here: add it to web.hosts")
        acts = request.scope["type"] == "websocket" or request.scope["method"] not in _SAFE_METHODS
        is_opened = not acts and request.headers.get("sec-fetch-dest") == "document"
        if not is_opened and not _is_same_origin(request.headers, host):
            return _told(HTTPStatus.FORBIDDEN, "only pages of this dashboard may do that")
        # Not `request.url`: it is put together with what the client calls this host, which may hold a path too.
        if self._token is None or request.scope["path"] in OPEN_PATHS or self._has_token(request):
            return None
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        return _told(HTTPStatus.UNAUTHORIZED, "a token is needed: send it as a bearer token, or log in")

    def _is_allowed(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._hosts or _is_ip(name)

    def _has_token(self, request: HTTPConnection) -> bool:
        token = self._token or ""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and is_same(given.strip(), token):
            return True
        return is_same(request.cookies.get(COOKIE, ""), cookie_of(token))


def is_same(given: str, wanted: str) -> bool:
    """Compare without telling by the time how much of it is right."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def cookie_of(token: str) -> str:
    """Return what the browser of somebody who knows the token keeps: not the token itself."""
    return hmac.new(token.encode(), b"xclip-stream dashboard", hashlib.sha256).hexdigest()


def _is_same_origin(headers: Headers, host: str) -> bool:
    """Tell whether a browser says that one of our own pages asks; other programs say nothing of the kind."""
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == host


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _told(status: HTTPStatus, error: str) -> Response:
    return JSONResponse({"error": error}, status)


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            # The files of the pages have an etag: a browser keeps them and asks whether they have changed.
            headers.setdefault("cache-control", "no-cache" if "etag" in headers else "no-store")
        await send(message)

    return sent
