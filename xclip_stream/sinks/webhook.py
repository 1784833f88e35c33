"""Events to an HTTP endpoint, signed as Standard Webhooks says: https://www.standardwebhooks.com"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from xclip_stream.errors import ConfigError, DeliveryError, DeliveryRejected, SinkGone
from xclip_stream.redaction import redact_url
from xclip_stream.types import Message

ABOUT_THE_ENDPOINT = frozenset({401, 403, 404, 405, 407, 408, 421, 423, 425, 426, 429})
"""The client errors that say nothing of the message: it is too early or too much, or address or credentials are not
right now. Any other message would get the same answer."""

MAX_RETRY_AFTER_S = 3600.0
MAX_DRAINED_BYTES = 64 * 1024
MAX_DRAIN_S = 0.5


class WebhookSink:
    """POSTs each event as CloudEvents JSON and takes any 2xx as delivered.

    5xx, a 4xx about the endpoint, a redirect, a timeout and a broken connection raise DeliveryError, with the
    `Retry-After` of the endpoint where it gave one (at most an hour). 410 raises SinkGone: Standard Webhooks wants such
    an endpoint to be left alone. Any other 4xx is about the message and raises DeliveryRejected. Redirects are not
    followed: they could take a signed event and its credentials to another host.

    Args:
        url: `http` or `https`; a user and password in it are sent as Basic authentication.
        secret: `whsec_` and base64, or any other text; None sends unsigned.
        headers: sent besides those of Standard Webhooks and the content type, which win.
        timeout_s: for the whole exchange, name resolution included.
    """

    def __init__(
        self,
        *,
        url: str,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._name = f"webhook {public_part(url)}"
        self._key = None if secret is None else signing_key(secret)
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._now = now

    def __enter__(self) -> Self:
        # At INFO httpx writes every URL to the log, and the path of a webhook is often its secret.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._client = httpx.AsyncClient(timeout=self._timeout_s, follow_redirects=False)
        # httpx limits each read, so an endpoint that answers a byte a second would never time out. An event loop of
        # our own can cancel the exchange as a whole.
        self._runner = asyncio.Runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def deliver(self, message: Message) -> None:
        # One name in two cases is one header.
        headers = httpx.Headers({"user-agent": "xclip-stream", **self._headers}, encoding="utf-8")
        headers["content-type"] = "application/cloudevents+json"
        headers.update(standard_headers(message, key=self._key, timestamp=int(self._now())))
        try:
            answer = self._runner.run(self._post(message.body, headers))
        except (TimeoutError, httpx.TimeoutException):
            raise DeliveryError(f"{self._name}: no answer within {self._timeout_s:g} s") from None
        except httpx.ConnectError as error:
            raise DeliveryError(f"{self._name}: cannot connect: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The texts of these may hold the URL; the kind of error says enough.
            raise DeliveryError(f"{self._name}: {type(error).__name__}") from None
        self._judge(answer)

    async def _post(self, body: bytes, headers: httpx.Headers) -> httpx.Response:
        async with (
            asyncio.timeout(self._timeout_s),
            self._client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            await _drain(response)
            return response

    def _judge(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if answer.is_success:
            return
        if answer.is_redirect:
            raise DeliveryError(f"{self._name}: answered {status}, a redirect; configure the address that it leads to")
        if status == httpx.codes.GONE:
            raise SinkGone(f"{self._name}: answered {status}: the endpoint is gone; remove the sink or correct its url")
        if answer.is_client_error and status not in ABOUT_THE_ENDPOINT:
            raise DeliveryRejected(f"{self._name}: answered {status}")
        wait_s = retry_after_s(answer.headers.get("retry-after"), now=self._now())
        raise DeliveryError(f"{self._name}: answered {status}", retry_after_s=wait_s)


async def _drain(response: httpx.Response) -> None:
    """Read a short answer to its end, which keeps the connection for the next message; leave a long or slow one."""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(MAX_DRAIN_S):
            async for _ in response.aiter_raw():
                if response.num_bytes_downloaded > MAX_DRAINED_BYTES:
                    return


def standard_headers(message: Message, *, key: bytes | None, timestamp: int) -> dict[str, str]:
    """Return the headers of Standard Webhooks: id, time and, with a key, the signature over both and the body."""
    headers = {"webhook-id": message.message_id, "webhook-timestamp": str(timestamp)}
    if key is not None:
        signed = f"{message.message_id}.{timestamp}.".encode() + message.body
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return headers


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: what the base64 after `whsec_` stands for, or the bytes of any other text.

    Raises:
        ConfigError: nothing, or no base64, stands after `whsec_`; or the secret is empty.
    """
    if not secret.startswith("whsec_"):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ConfigError("the webhook secret starts with whsec_ but no base64 follows") from None
    if not key:
        raise ConfigError("the webhook secret is empty")
    return key


def retry_after_s(value: str | None, *, now: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110 §10.2.3), None where it makes no sense."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment - now), MAX_RETRY_AFTER_S)


def public_part(url: str) -> str:
    """Return scheme, host and port of a URL: what may be shown, since user, path and query may be secrets."""
    parts = urlsplit(redact_url(url))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
