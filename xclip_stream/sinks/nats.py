"""Events to a stream of NATS JetStream."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, NoServersError
from nats.js.errors import APIError, NoStreamResponseError

from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.redaction import redact_text, redact_url
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.types import Message

TOO_LARGE = 10054
"""JetStream's code for a message that is longer than its stream takes."""
PROBE_AFTER_S = 10.0
"""A connection that was not used for so long is asked whether it still is one."""


class NatsSink:
    """Publishes each event to `<subject>.<source>` and waits until the stream there has stored it.

    The message id is the `Nats-Msg-Id`, so a message that comes again within the stream's duplicate window is stored
    once. A stream must take the subject: without one nothing is delivered.

    Args:
        servers: those of one cluster, `nats://` or `tls://`; the first with user and password, or a token, in it gives
            the login for all.
    """

    def __init__(
        self,
        *,
        servers: Sequence[str],
        subject: str = "xclip.events",
        tls: TlsFiles | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._servers = [_without_login(server) for server in servers]
        self._login = next(filter(None, map(_login_of, servers)), {})
        self._subject = subject
        self._tls = tls
        self._timeout_s = timeout_s
        self._name = f"nats {', '.join(redact_url(server) for server in servers)}"
        self._client: Client | None = None
        self._used_at = 0.0
        self._trouble = ""

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._disconnect())
        self._runner.close()

    def deliver(self, message: Message) -> None:
        try:
            self._runner.run(self._deliver(message))
        except MaxPayloadError as error:
            raise DeliveryRejected(f"{self._name}: {error}") from None
        except NoStreamResponseError:
            missing = f"no stream of JetStream takes the subject {self._subject}.>: create one"
            raise DeliveryError(f"{self._name}: {missing}") from None
        except APIError as error:
            failure = f"{self._name}: {error.description or type(error).__name__}"
            raise (DeliveryRejected if error.err_code == TOO_LARGE else DeliveryError)(failure) from None
        except (TimeoutError, NatsError, OSError) as error:
            self._runner.run(self._disconnect())
            raise DeliveryError(f"{self._name}: {self._reason(error)}") from None

    async def _deliver(self, message: Message) -> None:
        async with asyncio.timeout(self._timeout_s):
            client = await self._connected()
            await client.jetstream().publish(
                subject_of(self._subject, message),
                message.body,
                headers={"Nats-Msg-Id": message.message_id, "Content-Type": "application/cloudevents+json"},
                timeout=self._timeout_s,
            )
        self._used_at = time.monotonic()

    async def _connected(self) -> Client:
        """Return a connection that works, as far as that can be known."""
        if self._client is not None and time.monotonic() - self._used_at > PROBE_AFTER_S:
            # Between two messages nobody reads from the connection, so its end is seen only now.
            try:
                await self._client.flush(timeout=1)
            except (NatsError, OSError):
                await self._disconnect()
        if self._client is None:
            self._trouble = ""
            self._client = _Client()
            await self._client.connect(
                self._servers,
                name="xclip-stream",
                user=self._login.get("user"),
                password=self._login.get("password"),
                token=self._login.get("token"),
                tls=self._tls.context() if self._tls else None,
                connect_timeout=max(1, round(self._timeout_s)),
                # The loop that delivers has its own patience; a connection that is lost is made anew for the next try.
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                error_cb=self._note_trouble,
            )
        return self._client

    async def _note_trouble(self, error: Exception) -> None:
        self._trouble = self._trouble or str(error)

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(TimeoutError, NatsError, OSError):
                async with asyncio.timeout(1):
                    await client.close()

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        told = self._trouble if isinstance(error, NoServersError) and self._trouble else str(error)
        return redact_text(told) or type(error).__name__


class _Client(Client):
    """Says nothing in the clear to a server with `tls://`.

    The library begins TLS where the server's first words, which anybody on the way may change, ask for it.
    """

    def _connect_command(self) -> bytes:
        server = self._current_server
        if server is not None and server.uri.scheme == "tls" and not self._server_info.get("tls_required"):
            raise NatsError("the server does not ask for TLS, which tls:// needs")
        return super()._connect_command()


def _login_of(server: str) -> dict[str, str]:
    """Return the login in a URL as the client wants it: it would not decode one that stands there."""
    parts = urlsplit(server)
    if not parts.username:
        return {}
    if parts.password is None:
        return {"token": unquote(parts.username)}
    return {"user": unquote(parts.username), "password": unquote(parts.password)}


def _without_login(server: str) -> str:
    parts = urlsplit(server)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def subject_of(prefix: str, message: Message) -> str:
    """Return where an event is published. A dot would begin a new level, so those of ids become underscores."""
    return f"{prefix}.{message.source_id.replace('.', '_')}"
