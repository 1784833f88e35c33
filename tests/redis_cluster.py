"""A real cluster of Redis servers."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Self

from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tests.certificates import Certificates
from tests.ports import free_port
from tests.redis_groups import wait_until
from tests.redis_servers import RedisServer
from xclip_stream.queues.redis_client import open_client

MASTERS = 3
SLOTS = 16384


class Cluster:
    """Three masters that share the slots. The user `app` has the password `p@ss`."""

    def __init__(self, certificates: Certificates | None = None, *, node_timeout_ms: int = 2000) -> None:
        self._certificates = certificates
        self._node_timeout_ms = node_timeout_ms
        self._stack = ExitStack()
        self.servers: dict[int, RedisServer] = {}
        self._buses: dict[int, int] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.servers)
        scheme, files = ("rediss", f"?{self._certificates.client_query}") if self._certificates else ("redis", "")
        return f"{scheme}+cluster://app:p%40ss@{hosts}{files}"

    def owner(self, key: str) -> RedisServer:
        """Return the node that has the slot of a key, as the first node that answers knows."""
        return self._nodes_with(key)[0]

    def move_slot(self, key: str, to: RedisServer) -> None:
        """Give the slot of a key, and all that is in it, to another node, as resharding does."""
        slot, source = key_slot(key.encode()), self.owner(key)
        port = next(port for port, server in self.servers.items() if server is to)
        with closing(source.client()) as giver, closing(to.client()) as taker:
            source_id, target_id = (client.execute_command("CLUSTER", "MYID") for client in (giver, taker))
            taker.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
            giver.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
            keys = giver.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
            if keys:
                giver.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
            for client in (taker, giver):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def _start(self) -> None:
        for number in range(MASTERS):
            port = self._start_node()
            with closing(self.servers[port].client()) as client:
                first, last = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)  # not once it knows another
            self._introduce(port)
        wait_until(self._is_whole, "the cluster")

    def _start_node(self) -> int:
        """Start a node that knows no other; return its port."""
        port, bus = free_port(), free_port()
        ports = self._certificates.server_options(port) if self._certificates else ["--port", str(port)]
        options = ["--bind", "127.0.0.1", *ports, "--appendonly", "no", "--cluster-enabled", "yes"]
        options += ["--cluster-port", str(bus), "--cluster-node-timeout", str(self._node_timeout_ms)]
        options += ["--tls-cluster", "yes"] if self._certificates else []
        options += ["--repl-diskless-sync-delay", "0", "--user", "app", "on", ">p@ss", "~*", "&*", "+@all"]
        self.servers[port] = self._stack.enter_context(RedisServer("7", *options))
        self._buses[port] = bus
        return port

    def _introduce(self, port: int) -> None:
        """Make a node known to the first one."""
        first = next(iter(self.servers))
        if port != first:
            with closing(self.servers[first].client()) as client:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", port, self._buses[port])

    def _is_whole(self) -> bool:
        for server in self.servers.values():
            with closing(server.client()) as client:
                state = client.execute_command("CLUSTER", "INFO")
                known = client.execute_command("CLUSTER", "SLOTS")
            if b"cluster_state:ok" not in state or len(known) < MASTERS:
                return False
        return True

    def _nodes_with(self, key: str) -> Sequence[RedisServer]:
        """Return the node that has the slot of a key, and those that replicate it."""
        slot = key_slot(key.encode())
        return next(
            [self.servers[int(node[1])] for node in nodes]
            for first, last, *nodes in self._slots()
            if first <= slot <= last
        )

    def _slots(self) -> Any:
        for server in self.servers.values():
            with closing(server.client()) as client:
                try:
                    return client.execute_command("CLUSTER", "SLOTS")
                except RedisConnectionError:
                    continue
        raise AssertionError("no node of the cluster answers")


class ReplicatedCluster(Cluster):
    """A cluster in which the node that has the slot of one key has a replica, which takes over when it is gone."""

    def __init__(self, key: str, *, node_timeout_ms: int) -> None:
        super().__init__(node_timeout_ms=node_timeout_ms)
        self._key = key

    @property
    def master(self) -> RedisServer:
        return self.owner(self._key)

    @property
    def replica(self) -> RedisServer:
        return self._nodes_with(self._key)[1]

    def client(self) -> Any:
        """Return a client of whoever has the slot when it connects."""
        return open_client(self.url, key=self._key, connect_timeout_s=1.0, reply_timeout_s=1.0)

    def come_back(self, server: RedisServer) -> None:
        """Start a server that was killed; it learns that it is the replica of the one that took over."""
        server.start()

    def wait_for_another_master(self, than: RedisServer) -> RedisServer:
        wait_until(lambda: self.master is not than, "the failover")
        return self.master

    def wait_until_whole(self) -> None:
        """Wait until all nodes agree, and the replica follows the master."""
        wait_until(lambda: self._is_whole() and self._is_replicated(), "the cluster and its replica")

    def _start(self) -> None:
        super()._start()
        port = self._start_node()
        self._introduce(port)
        with closing(self.master.client()) as client:
            master_id = client.execute_command("CLUSTER", "MYID")
        with closing(self.servers[port].client()) as client:
            wait_until(lambda: _is_done(client, "CLUSTER", "REPLICATE", master_id), "the meeting of the nodes")
        self.wait_until_whole()

    def _is_replicated(self) -> bool:
        if len(self._nodes_with(self._key)) < 2:
            return False
        with closing(self.master.client()) as client:
            follower = client.info("replication").get("slave0", {})
        return bool(follower.get("state") == "online")


def _is_done(client: Any, *command: str | bytes) -> bool:
    try:
        client.execute_command(*command)
    except ResponseError:
        return False
    return True
