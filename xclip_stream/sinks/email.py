"""Events by e-mail, those of a minute in one."""

import hashlib
import mimetypes
import smtplib
from collections.abc import Collection, Sequence
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from xclip_stream.errors import DecodeError, DeliveryError, DeliveryRejected
from xclip_stream.events import parse_event
from xclip_stream.redaction import redact_url
from xclip_stream.sinks.snapshots import snapshot_file
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.sinks.wording import event_line, headline
from xclip_stream.types import Event, Message, Phase

MAX_SNAPSHOTS = 10
MAX_NAMED = 3
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class EmailSink:
    """Sends one mail for all events that come within `window_s` of the first, with their snapshots.

    Delivered means that the server has accepted the mail for at least one of its recipients. A mail has the same
    `Message-ID` whenever the same events are sent again, by which most mailboxes show it once. A server that refuses
    the mail for what it is (5xx to its content) rejects it; refused recipients and logins are worth another try, since
    they say nothing of the mail.

    Args:
        url: `smtp://`, `smtp+starttls://` or `smtps://`; user and password may stand in it.
        window_s: 0 sends a mail for each.
        phases: all others are counted as delivered, and nobody is told.
    """

    def __init__(
        self,
        *,
        url: str,
        sender: str,
        to: Sequence[str],
        window_s: float = 60.0,
        phases: Collection[Phase] = (Phase.STARTED, Phase.ENDED),
        tls: TlsFiles | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._address = urlsplit(url)
        self._name = f"email {redact_url(url)}"
        self._sender = sender
        self._to = tuple(to)
        self._window_s = window_s
        self._phases = frozenset(phases)
        self._tls = tls or TlsFiles()
        self._timeout_s = timeout_s

    @property
    def window_s(self) -> float:
        return self._window_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def deliver(self, message: Message) -> None:
        self.deliver_all([message])

    def deliver_all(self, messages: Sequence[Message]) -> None:
        try:
            events = [parse_event(message.body) for message in messages]
            told = [event for event in events if event.phase in self._phases]
            mail = write_mail(told, sender=self._sender, to=self._to) if told else None
        except (DecodeError, ValueError) as error:  # ValueError: a header of two lines
            raise DeliveryRejected(f"{self._name}: {error}") from None
        if mail is not None:
            self._send(mail)

    def _send(self, mail: EmailMessage) -> None:
        try:
            with self._connected() as server:
                server.send_message(mail)
        except smtplib.SMTPDataError as error:
            kind = DeliveryRejected if error.smtp_code >= 500 else DeliveryError
            raise kind(f"{self._name}: {_answer(error)}") from None
        except smtplib.SMTPRecipientsRefused as error:
            refused = "; ".join(f"{to}: {code} {_text(text)}" for to, (code, text) in error.recipients.items())
            raise DeliveryError(f"{self._name}: recipients refused: {refused}") from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"{self._name}: {_answer(error)}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"{self._name}: {getattr(error, 'strerror', None) or error}") from None

    def _connected(self) -> smtplib.SMTP:
        scheme, host = self._address.scheme, self._address.hostname or ""
        port = self._address.port or _PORTS[scheme]
        if scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=self._timeout_s, context=self._tls.context())
        else:
            server = smtplib.SMTP(host, port, timeout=self._timeout_s)
        try:
            if scheme == "smtp+starttls":
                server.starttls(context=self._tls.context())
            if self._address.username:
                server.login(unquote(self._address.username), unquote(self._address.password or ""))
        except BaseException:
            server.close()
            raise
        return server


def write_mail(events: Sequence[Event], *, sender: str, to: Sequence[str]) -> EmailMessage:
    """Return a mail that tells of these events, oldest first."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Subject"] = _subject(events)
    mail["Date"] = formatdate(localtime=True)
    ids = ",".join(event.message_id for event in events)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    mail["Message-ID"] = f"<{hashlib.sha256(ids.encode()).hexdigest()[:32]}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    pictures = {path: event for event in events if (path := snapshot_file(event)) is not None}
    links = [f"\n    {event.snapshot_url}" if _is_link(event.snapshot_url) else "" for event in events]
    mail.set_content("".join(f"{event_line(event)}{link}\n" for event, link in zip(events, links, strict=True)))
    for path in list(pictures)[:MAX_SNAPSHOTS]:
        kind, _, subtype = (mimetypes.guess_type(path.name)[0] or "image/jpeg").partition("/")
        mail.add_attachment(path.read_bytes(), maintype=kind, subtype=subtype, filename=path.name)
    return mail


def _subject(events: Sequence[Event]) -> str:
    severity = f" ({events[0].severity})"
    if len(events) == 1:
        return headline(events[0]) + severity
    named = list(dict.fromkeys(f"{event.rule_id} at {event.source_id}" for event in events))
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return f"{len(events)} messages: {', '.join(named[:MAX_NAMED])}{more}"


def _is_link(url: str | None) -> bool:
    return url is not None and url.startswith(("http://", "https://"))


def _answer(error: smtplib.SMTPResponseException) -> str:
    return f"answered {error.smtp_code} {_text(error.smtp_error)}"


def _text(answer: bytes | str) -> str:
    return " ".join((answer.decode(errors="replace") if isinstance(answer, bytes) else answer).split())
