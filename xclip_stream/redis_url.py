"""Where a Redis is, in one line of text: a single server, one that Sentinels watch, or a cluster.

    redis://[user[:password]@]host[:port][/db]
    unix://[user[:password]@]/path/of.sock
    redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/service[/db]     the hosts are the Sentinels
    redis+cluster://[user[:password]@]host[:port][,host[:port]…]                   some nodes of the cluster

`rediss`, `rediss+sentinel` and `rediss+cluster` are the same over TLS. The options `?name=value&…` have the names that
the Redis client gives them.
"""

import enum
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, unquote, urlencode

from xclip_stream.errors import ConfigError
from xclip_stream.redaction import redact_url

_SCHEME = re.compile(r"(?P<socket>unix)|redis(?P<tls>s?)(?:\+(?P<topology>sentinel|cluster))?", re.IGNORECASE)
_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+)(?::(?P<port>\d{1,5}))?")
_OPTIONS = (
    "db",
    "username",
    "password",
    "sentinel_username",
    "sentinel_password",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
)
_ENCODE = "percent-encode special characters of a password"
SCHEMES = "redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"


class Topology(enum.Enum):
    SERVER = ""
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_DEFAULT_PORT = {Topology.SERVER: 6379, Topology.SENTINEL: 26379, Topology.CLUSTER: 6379}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """A Redis URL taken apart, percent-encoding undone.

    Args:
        hosts: `(host, port)` of the server, of the Sentinels, or of some nodes of the cluster; none for a socket.
        user, password: for the servers. None: the default user, or no password.
        service: what the Sentinels call the group of servers.
        ca_file: who signed the servers' certificates; None: the authorities that the system trusts.
        cert_file, key_file: the certificate that this client shows, and its key where that is not in the same file.
    """

    topology: Topology = Topology.SERVER
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    socket_path: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    service: str = ""
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: it is none; says why without quoting any of it, as it may hold a password.
        """
        scheme, separator, rest = text.partition("://")
        known = _SCHEME.fullmatch(scheme)
        if not separator or known is None:
            raise ValueError(f"must start with {SCHEMES}")
        if any(mark.isspace() for mark in rest) or "#" in rest:
            raise ValueError(f"is not a valid URL: it has spaces or # in it ({_ENCODE})")
        address, _, query = rest.partition("?")
        authority, slash, path = address.partition("/")
        if "@" in path or "@" in query:
            raise ValueError(f"is not a valid URL ({_ENCODE})")
        login, _, hosts = authority.rpartition("@")
        user, _, password = login.partition(":")
        options = _options(query)
        topology = Topology((known["topology"] or "").lower())
        service, _, database = path.partition("/") if topology is Topology.SENTINEL else ("", "", path)
        is_socket = known["socket"] is not None
        url = cls(
            topology=topology,
            tls=bool(known["tls"]),
            hosts=() if is_socket else _hosts(hosts, topology),
            socket_path=_socket_path(hosts, slash + path) if is_socket else None,
            user=options.get("username") or unquote(user) or None,
            password=options.get("password") or unquote(password) or None,
            db=_database(options.get("db") or ("" if is_socket else database.strip("/"))),
            service=unquote(service),
            sentinel_user=options.get("sentinel_username") or None,
            sentinel_password=options.get("sentinel_password") or None,
            ca_file=options.get("ssl_ca_certs") or None,
            cert_file=options.get("ssl_certfile") or None,
            key_file=options.get("ssl_keyfile") or None,
        )
        url._check()
        return url

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords, as they are meant."""
        return tuple(secret for secret in (self.password, self.sentinel_password) if secret)

    def _check(self) -> None:
        """Refuse parts that have no meaning together."""
        if self.topology is Topology.SENTINEL and not self.service:
            raise ValueError("must name the service that the Sentinels watch: redis+sentinel://host:26379/mymaster")
        if self.topology is not Topology.SENTINEL and (self.sentinel_user or self.sentinel_password):
            raise ValueError("has options for Sentinels, but does not begin with redis+sentinel://")
        if self.topology is Topology.CLUSTER and self.db:
            raise ValueError("names a database: a cluster has only 0")
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("has options for TLS, but does not begin with rediss")
        if self.key_file and not self.cert_file:
            raise ValueError("has a key without its certificate")


def read_redis_url(text: str) -> RedisUrl:
    """Return what `RedisUrl.parse` does.

    Raises:
        ConfigError: it is no URL of a Redis; shows it without its secrets.
    """
    try:
        return RedisUrl.parse(text)
    except ValueError as error:
        raise ConfigError(f"{redact_url(text)} is not a Redis URL: it {error}") from None


def with_tls_files(url: str, *, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> str:
    """Return a URL that names these files too. What it names already stays; one without TLS comes back as it is.

    Raises:
        ConfigError: as `read_redis_url`.
    """
    parsed = read_redis_url(url)
    options = {
        "ssl_ca_certs": None if parsed.ca_file else ca_file,
        # A key belongs to its certificate.
        "ssl_certfile": None if parsed.cert_file else cert_file,
        "ssl_keyfile": None if parsed.cert_file else key_file,
    }
    added = {name: str(path) for name, path in options.items() if path}
    if not parsed.tls or not added:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(added)}"


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := options.keys() - set(_OPTIONS):
        # What is no plain word may be a piece of a password.
        shown = ", ".join(sorted(name for name in unknown if name.isidentifier())) or "after its ?"
        raise ValueError(f"has an option that is not known: {shown} (it may have {', '.join(_OPTIONS)})")
    return options


def _socket_path(host: str, path: str) -> str:
    if host or path in {"", "/"}:
        raise ValueError("must have the whole path of a socket, like unix:///run/redis.sock")
    return unquote(path)


def _hosts(text: str, topology: Topology) -> tuple[tuple[str, int], ...]:
    found = []
    for part in text.split(","):
        match = _HOST.fullmatch(part)
        if match is None or (match["port"] and not 0 < int(match["port"]) < 65536):
            raise ValueError(f"is not a valid URL: it has no host, or a port that is none ({_ENCODE})")
        host = unquote(match["host"].strip("[]"))
        try:
            host.encode("idna")
        except UnicodeError:
            raise ValueError(f"is not a valid URL: it has a host name that cannot be one ({_ENCODE})") from None
        found.append((host, int(match["port"] or _DEFAULT_PORT[topology])))
    if topology is Topology.SERVER and len(found) > 1:
        raise ValueError(
            "has several hosts: begin it with redis+sentinel:// where they are Sentinels, with redis+cluster:// where "
            "they are nodes of a cluster"
        )
    return tuple(found)


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError("must end with the number of a database, like /0, or without one")
    return int(text or 0)
