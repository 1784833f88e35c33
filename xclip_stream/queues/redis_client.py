"""Opens the client of a Redis: one server, the master that Sentinels name, or the node of a cluster with our slot."""

import ssl
from collections.abc import Callable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry

from xclip_stream.errors import ConfigError
from xclip_stream.queues.redis_masters import Address, ClusterMaster, SentinelMaster
from xclip_stream.redis_url import RedisUrl, Topology, read_redis_url

_LOOKUP_TIMEOUT_S = 1.5


class FollowingConnection(Connection):
    """A connection to the server that is the master at the moment of connecting."""

    def __init__(self, *, find_master: Callable[[], Address], **options: Any) -> None:
        self._find_master = find_master
        super().__init__(**options)  # type: ignore[no-untyped-call]  # the client's

    def connect(self) -> None:
        if not self.is_connected:
            self.host, self.port = self._find_master()
        super().connect()  # type: ignore[no-untyped-call]  # the client's


class FollowingSSLConnection(FollowingConnection, SSLConnection):
    """The same over TLS; the certificate has to be that of the master's host as it is announced."""


def open_client(
    url: str,
    *,
    key: str,
    connect_timeout_s: float,
    reply_timeout_s: float,
    greet: Callable[[Any], None] | None = None,
) -> redis.Redis:
    """Return a client that connects when it is used, and tries nothing twice.

    The replies have the shapes of RESP2, whatever the client's own default is.

    Args:
        key: a key that the client will use; in a cluster all others must be in its slot.
        greet: called with each new connection instead of its `on_connect`.

    Raises:
        ConfigError: `url` is not one of a Redis, or a file for TLS cannot be used.
    """
    place = read_redis_url(url)
    check_tls_files(place)
    options: dict[str, Any] = {
        "username": place.user,
        "password": place.password,
        "db": place.db,
        "socket_timeout": reply_timeout_s,
        "socket_connect_timeout": connect_timeout_s,
        "redis_connect_func": greet,
        **_COMMON,
    }
    if place.socket_path is not None:
        return _pooled(UnixDomainSocketConnection, path=place.socket_path, **options)
    options |= tls_options(place)
    if place.topology is Topology.SERVER:
        ((host, port),) = place.hosts
        return _pooled(SSLConnection if place.tls else Connection, host=host, port=port, **options)
    find_master = _sentinel_master(place) if place.topology is Topology.SENTINEL else _cluster_master(place, key)
    following = FollowingSSLConnection if place.tls else FollowingConnection
    return _pooled(following, find_master=find_master, **options)


_COMMON: dict[str, Any] = {
    "protocol": 2,
    "retry": Retry(NoBackoff(), 0),
    # The client's own default is 100, and each sink of a deliver worker waits on a connection of its own.
    "max_connections": 1 << 31,
    # A window comes in few pieces: each is a system call, and a wait for a server that has been waited for itself.
    "socket_read_size": 2 << 20,
    # CLIENT SETINFO would be two more round trips, and one more right that each user needs.
    "driver_info": None,
}


def check_tls_files(place: RedisUrl) -> None:
    """Read the files for TLS once, so that a wrong one is told at the start, by its name.

    Raises:
        ConfigError: a file is missing, or is not what it should be.
    """
    if not place.ca_file and not place.cert_file:
        return  # without a look at the authorities of the system, which takes longer than to connect
    context = ssl.create_default_context()
    try:
        if place.ca_file:
            context.load_verify_locations(cafile=place.ca_file)
    except OSError as error:
        raise ConfigError(f"the CA file of Redis {place.ca_file} cannot be used: {_reason(error)}") from None
    try:
        if place.cert_file:
            # An encrypted key would ask the terminal for its password, and a worker has none.
            context.load_cert_chain(place.cert_file, place.key_file, password="")
    except OSError as error:
        files = " with the key ".join(filter(None, (place.cert_file, place.key_file)))
        raise ConfigError(f"the certificate for Redis {files} cannot be used: {_reason(error)}") from None


def tls_options(place: RedisUrl) -> dict[str, Any]:
    """Return what a TLS connection is told. The server's certificate is always verified, and so is its name."""
    if not place.tls:
        return {}
    return {"ssl_ca_certs": place.ca_file, "ssl_certfile": place.cert_file, "ssl_keyfile": place.key_file}


def _pooled(connection_class: type[Any], **options: Any) -> redis.Redis:
    return redis.Redis.from_pool(ConnectionPool(connection_class=connection_class, **options))


def _sentinel_master(place: RedisUrl) -> SentinelMaster:
    login = {"username": place.sentinel_user, "password": place.sentinel_password}
    return SentinelMaster(place.service, place.hosts, connect=_lookups(place, login))


def _cluster_master(place: RedisUrl, key: str) -> ClusterMaster:
    login = {"username": place.user, "password": place.password}
    return ClusterMaster(key, place.hosts, connect=_lookups(place, login))


def _lookups(place: RedisUrl, login: dict[str, str | None]) -> Callable[[Address], redis.Redis]:
    options: dict[str, Any] = {
        "socket_timeout": _LOOKUP_TIMEOUT_S,
        "socket_connect_timeout": _LOOKUP_TIMEOUT_S,
        **login,
        **tls_options(place),
        **_COMMON,
    }
    connection_class = SSLConnection if place.tls else Connection
    return lambda address: _pooled(connection_class, host=address[0], port=address[1], **options)


def _reason(error: OSError) -> str:
    """Return the words of an error without its numbers; OpenSSL has a name where others have a text."""
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__
