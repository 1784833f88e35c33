"""A real mail server that a test starts, stops and starts again, and the mails that it took."""

import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import free_port

USER, PASSWORD = b"ops", b"right"


class MailServer:
    """Takes every mail, or gives the answers that a test sets.

    Args:
        certificate: the folder of `server.crt` and `server.key`; it then wants STARTTLS and a login.
    """

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.data_answer = ""
        self.recipient_answers: dict[str, str] = {}
        self._options: dict[str, Any] = {}
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate / "server.crt", certificate / "server.key")
            self._options = {
                "tls_context": context,
                "require_starttls": True,
                "auth_required": True,
                "authenticator": self._login,
            }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *cause: object) -> None:
        self.stop()

    def start(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **self._options)
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop(no_assert=True)

    # aiosmtpd finds these by their names.

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.recipient_answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        if self.data_answer:
            return self.data_answer
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def _login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER, PASSWORD)
        return AuthResult(success=right, handled=False)
