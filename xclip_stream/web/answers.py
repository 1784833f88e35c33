"""How the API answers: JSON without secrets, and errors in one line."""

import json
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from xclip_stream.errors import (
    ConfigError,
    EvidenceError,
    NoSuchSpan,
    QueueError,
    QueueUnavailable,
    XclipStreamError,
)

MAX_BODY_BYTES = 1024 * 1024
Redact = Callable[[str], str]


def wrong(reason: str) -> HTTPException:
    """Return the error of a request that cannot be understood."""
    return HTTPException(HTTPStatus.BAD_REQUEST, reason)


def missing(reason: str) -> HTTPException:
    """Return the error of a request for what is not there."""
    return HTTPException(HTTPStatus.NOT_FOUND, reason)


def answered(value: Any, redact: Redact) -> Response:
    """Return a value as JSON in which nothing secret stands."""
    text = json.dumps(_clean(value, redact), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(text.encode(), media_type="application/json")


def number(request: Request, name: str, default: float, *, low: float, high: float) -> float:
    """Return a number of the query, or `default`.

    Raises:
        HTTPException: it is none, or is outside of its bounds.
    """
    text = request.query_params.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        raise wrong(f"{name} must be a number") from None
    if not low <= value <= high:  # what is no number at all, nan, is not either
        raise wrong(f"{name} must be from {low:g} to {high:g}")
    return value


def whole_number(request: Request, name: str, default: int, *, low: int, high: int) -> int:
    """Return a whole number of the query, or `default`; raises as `number` does."""
    value = number(request, name, default, low=low, high=high)
    if value % 1:
        raise wrong(f"{name} must be a whole number")
    return int(value)


async def body_of(request: Request) -> Mapping[str, Any]:
    """Return the JSON object that was sent."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, as application/json")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "that is too much")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise wrong("that is not JSON") from None
    if not isinstance(value, dict):
        raise wrong("send a JSON object")
    return value


def error_handlers(redact: Redact) -> dict[Any, Any]:
    """Return what an application answers to each kind of error."""

    def http(_request: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": redact(error.detail)}, error.status_code, error.headers)

    def ours(_request: Request, error: XclipStreamError) -> Response:
        return JSONResponse({"error": redact(str(error))}, _status(error))

    def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=HTTPStatus.REQUEST_TIMEOUT)  # nobody reads it

    return {HTTPException: http, XclipStreamError: ours, ClientDisconnect: gone}


def _status(error: XclipStreamError) -> HTTPStatus:
    match error:
        case QueueUnavailable():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case QueueError():
            return HTTPStatus.CONFLICT
        case ConfigError():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case NoSuchSpan():
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        case EvidenceError():
            return HTTPStatus.BAD_GATEWAY
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _clean(value: Any, redact: Redact) -> Any:
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {str(key): _clean(item, redact) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item, redact) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value
