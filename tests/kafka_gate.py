"""What stands between a client and librdkafka's own broker, which knows neither TLS nor logins: it asks for both.

The client's library, its handshakes and the records are real. Of the protocol this knows frames and three requests:
https://kafka.apache.org/protocol
"""

import hashlib
import hmac
import socket
import ssl
import struct
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from select import select
from typing import Self

from tests.certificates import Certificates

SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 17, 18, 36
UNSUPPORTED_VERSION, NO_SUCH_MECHANISM, LOGIN_REFUSED = 35, 33, 58
MECHANISMS = {"PLAIN": "", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
_HEAD = struct.Struct(">hhi")
"""The number of the request, its version, and what its answer is known by."""

Answer = tuple[int, bytes]
"""The error code of a step of a login, and what the client gets."""


class KafkaGate:
    """Listens over TLS, lets in who logs in, and passes on all else.

    Args:
        broker: host and port of the broker without TLS.
        login: user and password; None asks for none.
    """

    def __init__(self, broker: str, certificates: Certificates, *, login: tuple[str, str] | None) -> None:
        self._broker = broker
        self._login = login
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.folder / "server.crt", certificates.folder / "server.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *cause: object) -> None:
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        host, port = self._broker.rsplit(":", 1)
        # A client that trusts nobody, or ends, is no trouble of ours.
        with (
            suppress(OSError),
            connection,
            self._context.wrap_socket(connection, server_side=True) as client,
            socket.create_connection((host, int(port))) as broker,
        ):
            _Passage(client, broker, self._login, self._renamed).run()

    def _renamed(self, answer: bytes) -> bytes:
        """Put our port into the place of the broker's, where it says how it is reached."""
        theirs, ours = (
            b"127.0.0.1" + struct.pack(">i", int(address.rsplit(":", 1)[1])) for address in (self._broker, self.address)
        )
        return answer.replace(theirs, ours)


class _Passage:
    """One connection of a client, and one to the broker."""

    def __init__(
        self,
        client: ssl.SSLSocket,
        broker: socket.socket,
        login: tuple[str, str] | None,
        renamed: Callable[[bytes], bytes],
    ) -> None:
        self._client = client
        self._broker = broker
        self._login = login
        self._renamed = renamed
        self._is_in = login is None
        self._asked_versions: set[bytes] = set()
        self._dialogue: Callable[[bytes], Answer] = lambda _: (LOGIN_REFUSED, b"")

    def run(self) -> None:
        """Pass on in one thread, since a TLS connection may not be read and written at the same time by two."""
        with suppress(EOFError):
            while True:
                ready = [self._client] if self._client.pending() else select([self._client, self._broker], [], [])[0]
                if self._client in ready:
                    self._take(_frame_of(self._client))
                if self._broker in ready:
                    self._answer(_frame_of(self._broker))

    def _take(self, request: bytes) -> None:
        kind, version, _ = _HEAD.unpack_from(request)
        known_by, body = request[4:8], _after_text(request, _HEAD.size)  # behind the name of the client
        if kind == API_VERSIONS and version:
            self._tell(known_by + struct.pack(">hihhh", UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, 0))
        elif kind == SASL_HANDSHAKE:
            self._begin(known_by, _text(body))
        elif kind == SASL_AUTHENTICATE:
            self._go_on(known_by, body[4:])
        elif self._is_in or kind == API_VERSIONS:
            if kind == API_VERSIONS:
                self._asked_versions.add(known_by)
            _send(self._broker, request)
        else:
            raise EOFError

    def _begin(self, known_by: bytes, mechanism: str) -> None:
        names = b"".join(struct.pack(">h", len(name)) + name.encode() for name in MECHANISMS)
        code = 0 if mechanism in MECHANISMS and self._login else NO_SUCH_MECHANISM
        if self._login is not None and not code:
            user, password = self._login
            digest = MECHANISMS[mechanism]
            self._dialogue = _Scram(digest, user, password) if digest else _Plain(user, password)
        self._tell(known_by + struct.pack(">hi", code, len(MECHANISMS)) + names)

    def _go_on(self, known_by: bytes, said: bytes) -> None:
        code, answer = self._dialogue(said)
        self._is_in = self._is_in or (code == 0 and getattr(self._dialogue, "is_over", False))
        why = b"Authentication failed" if code else b""
        told = struct.pack(">h", len(why)) + why if code else struct.pack(">h", -1)
        self._tell(known_by + struct.pack(">h", code) + told + struct.pack(">i", len(answer)) + answer)

    def _answer(self, answer: bytes) -> None:
        """Pass on what the broker says; among what it can, there is the login."""
        if (known_by := answer[:4]) in self._asked_versions:
            code, count = struct.unpack_from(">hi", answer, 4)
            ours = struct.pack(">hhhhhh", SASL_HANDSHAKE, 0, 1, SASL_AUTHENTICATE, 0, 0)
            answer = known_by + struct.pack(">hi", code, count + 2) + ours + answer[10:]
        self._tell(self._renamed(answer))

    def _tell(self, answer: bytes) -> None:
        _send(self._client, answer)


class _Plain:
    def __init__(self, user: str, password: str) -> None:
        self._expected = f"\0{user}\0{password}".encode()
        self.is_over = False

    def __call__(self, said: bytes) -> Answer:
        self.is_over = said == self._expected
        return (0 if self.is_over else LOGIN_REFUSED), b""


class _Scram:
    """The server's side of RFC 5802."""

    def __init__(self, digest: str, user: str, password: str) -> None:
        self._digest = digest
        self._user = user
        self._salt = token_hex(8).encode()
        self._salted = hashlib.pbkdf2_hmac(digest, password.encode(), self._salt, 4096)
        self._begun = b""
        self.is_over = False

    def __call__(self, said: bytes) -> Answer:
        if not self._begun:
            first = said.removeprefix(b"n,,")
            parts = dict(part.split(b"=", 1) for part in first.split(b","))
            ours = b"r=%s%s,s=%s,i=4096" % (parts[b"r"], token_hex(8).encode(), b64encode(self._salt))
            self._begun = first + b"," + ours
            return (0, ours) if parts[b"n"] == self._user.encode() else (LOGIN_REFUSED, b"")
        last, _, proof = said.rpartition(b",p=")
        all_said = self._begun + b"," + last
        key = self._mac(self._salted, b"Client Key")
        signature = self._mac(hashlib.new(self._digest, key).digest(), all_said)
        self.is_over = b64decode(proof) == bytes(one ^ other for one, other in zip(key, signature, strict=True))
        shown = self._mac(self._mac(self._salted, b"Server Key"), all_said)
        return (0, b"v=" + b64encode(shown)) if self.is_over else (LOGIN_REFUSED, b"")

    def _mac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self._digest)


def _frame_of(connection: socket.socket) -> bytes:
    return _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = connection.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)


def _send(connection: socket.socket, content: bytes) -> None:
    connection.sendall(struct.pack(">i", len(content)) + content)


def _text(at: bytes) -> str:
    return at[2 : 2 + struct.unpack_from(">h", at)[0]].decode()


def _after_text(content: bytes, at: int) -> bytes:
    return content[at + 2 + max(0, struct.unpack_from(">h", content, at)[0]) :]
