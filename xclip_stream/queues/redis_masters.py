"""Who is the master now: asked of Sentinels, or of the nodes of a cluster, each time when a connection is made."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

Address = tuple[str, int]
ASKED_AT_A_TIME = 3
"""How many servers one lookup asks at most. The next lookup goes on with the others, so that one takes bounded time."""


class MasterLookup(ABC):
    """Asks one server after the other until one names the master. For any number of threads.

    It begins each time with another server: one that is cut off from the others, and so behind, does not get to answer
    for ever.
    """

    def __init__(self, servers: Sequence[Address], *, connect: Callable[[Address], redis.Redis]) -> None:
        self._named = servers
        self._learned: Sequence[Address] = ()
        self._lookups = 0
        self._connect = connect
        self._lock = threading.Lock()

    def __call__(self) -> Address:
        """Return the host and port of the master.

        Raises:
            redis.exceptions.ConnectionError: nobody says who it is.
        """
        troubles = []
        for server in self._next_servers():
            try:
                with closing(self._connect(server)) as client:
                    host, port = self._ask(client)
                # A node of a cluster that was never told its own name leaves it out.
                return host or server[0], port
            except RedisError as error:
                troubles.append(f"{server[0]}:{server[1]}: {error or type(error).__name__}")
        raise RedisConnectionError(f"nobody names the master: {'; '.join(troubles)}")

    @abstractmethod
    def _ask(self, client: redis.Redis) -> Address:
        """Ask one server; the host may be empty where the server does not know its own name."""

    def _next_servers(self) -> list[Address]:
        with self._lock:
            servers = list(dict.fromkeys([*self._learned, *self._named]))
            first = self._lookups % len(servers)
            self._lookups += 1
        return [*servers[first:], *servers[:first]][:ASKED_AT_A_TIME]

    def _learn(self, servers: Sequence[Address]) -> None:
        """Remember who is there now: the servers that were named at first may be gone one day."""
        with self._lock:
            self._learned = list(servers)


class SentinelMaster(MasterLookup):
    """The master of a service that Sentinels watch."""

    def __init__(
        self, service: str, sentinels: Sequence[Address], *, connect: Callable[[Address], redis.Redis]
    ) -> None:
        super().__init__(sentinels, connect=connect)
        self._service = service

    def _ask(self, client: redis.Redis) -> Address:
        reply = _command(client, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        if reply is None:
            raise RedisConnectionError(f"knows no service {self._service}")
        return reply[0].decode(), int(reply[1])


class ClusterMaster(MasterLookup):
    """The master of the slot of one key."""

    def __init__(self, key: str, nodes: Sequence[Address], *, connect: Callable[[Address], redis.Redis]) -> None:
        super().__init__(nodes, connect=connect)
        self._slot = key_slot(key.encode())

    def _ask(self, client: redis.Redis) -> Address:
        # Of each range of slots the master comes first, and its replicas follow.
        ranges = [
            (first, last, [((node[0] or b"").decode(), int(node[1])) for node in nodes])
            for first, last, *nodes in _command(client, "CLUSTER", "SLOTS")
        ]
        self._learn([(host, port) for _, _, nodes in ranges for host, port in nodes if host])
        for first, last, nodes in ranges:
            if first <= self._slot <= last:
                return nodes[0]
        raise RedisConnectionError(f"nobody has slot {self._slot}")


def _command(client: redis.Redis, *words: str) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]  # the client's
