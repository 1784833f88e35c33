"""Events to people, through the services that apprise knows: https://github.com/caronc/apprise/wiki"""

import logging
import re
from collections.abc import Collection
from contextvars import ContextVar
from types import TracebackType
from typing import Self

from apprise import Apprise, AppriseAsset, NotifyType

from xclip_stream.errors import DecodeError, DeliveryError, DeliveryRejected
from xclip_stream.events import parse_event
from xclip_stream.redaction import redact_text
from xclip_stream.sinks.snapshots import snapshot_file
from xclip_stream.sinks.wording import event_line, headline
from xclip_stream.types import Event, Message, Phase

_LOG = logging.getLogger("apprise")
_PARTS = re.compile(r"[/?#&=@:]+")


class AppriseSink:
    """Notifies one service of the phases that people want to hear of, with the snapshot where there is one.

    Delivered means that the service has answered that it took it. Why one did not take it is known in words only, so
    every failure is worth another try. A service knows no message ids: what it is told again it shows again.

    Args:
        url: of apprise, such as `ntfy://host/topic`; secret as a whole.
        phases: all others are counted as delivered, and nobody is told.
    """

    def __init__(self, *, url: str, phases: Collection[Phase] = (Phase.STARTED, Phase.ENDED)) -> None:
        self._url = url
        self._phases = frozenset(phases)
        self._name = f"apprise {url.partition('://')[0]}"
        self._service: Apprise | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._service = None

    def deliver(self, message: Message) -> None:
        try:
            event = parse_event(message.body)
        except DecodeError as error:
            raise DeliveryRejected(f"{self._name}: {error}") from None
        if event.phase in self._phases:
            self._notify(event)

    def _notify(self, event: Event) -> None:
        service = self._service or self._open()
        snapshot = snapshot_file(event)
        with _Overheard() as overheard:
            taken = service.notify(
                title=headline(event),
                body=event_line(event),
                notify_type=_kind(event),
                attach=None if snapshot is None else str(snapshot),
            )
        if not taken:
            raise DeliveryError(f"{self._name}: {self._without_secrets(overheard.last) or 'did not take it'}")

    def _open(self) -> Apprise:
        service = Apprise(asset=AppriseAsset(app_id="xclip-stream", app_desc="xclip-stream", app_url=""))
        with _Overheard():
            known = service.add(self._url)
        if not known:
            raise DeliveryError(f"{self._name}: apprise does not know this kind of service, or the URL lacks a part")
        self._service = service
        return service

    def _without_secrets(self, text: str) -> str:
        for part in sorted(_PARTS.split(self._url.partition("://")[2]), key=len, reverse=True):
            if len(part) >= 4:
                text = text.replace(part, "***")
        return redact_text(text)


_OVERHEARS: ContextVar["_Overheard | None"] = ContextVar("overhears", default=None)


class _Overheard(logging.Handler):
    """Takes what apprise logs, which is the only place where it says why; its log may hold addresses and tokens.

    What is logged for other sinks meanwhile is passed over: this one does not know their secrets. Apprise works in
    threads of its own, with the context of the one that has called it.
    """

    last = ""

    def __enter__(self) -> Self:
        _OVERHEARS.set(self)
        _LOG.addHandler(self)
        _LOG.propagate = False
        return self

    def __exit__(self, *cause: object) -> None:
        _LOG.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING and _OVERHEARS.get() is self:
            self.last = record.getMessage()


def _kind(event: Event) -> NotifyType:
    if event.phase is Phase.ENDED:
        return NotifyType.INFO
    kinds = {"critical": NotifyType.FAILURE, "warning": NotifyType.WARNING}
    return kinds.get(event.severity, NotifyType.INFO)
