"""Real Redis servers that belong together: a master with a replica and its Sentinels, and a cluster."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from tests.certificates import Certificates
from tests.guarded_redis import GuardedServer, login, password_of
from tests.redis_servers import RedisServer, binary

_WITHIN_S = 60.0
SERVICE = "mymaster"
SLOTS = 16384


class SentinelGroup:
    """A master, a replica, and three Sentinels that make the replica the master when the master is gone.

    The servers have the users of deploy/redis/users.acl, and the password of the Sentinels is `s&ntinel`. With
    certificates all of them talk TLS.
    """

    def __init__(self, certificates: Certificates | None = None, *options: str) -> None:
        self._certificates = certificates
        self._options = options
        self._stack = ExitStack()
        self._folder = Path(tempfile.mkdtemp(prefix="xss-"))
        self._sentinel_ports = [free_port() for _ in range(3)]
        self.servers: dict[int, GuardedServer] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sentinel_ports)
        scheme, files = ("rediss", f"&{self._certificates.client_query}") if self._certificates else ("redis", "")
        return f"{scheme}+sentinel://{login('operator')}@{hosts}/{SERVICE}/0?sentinel_password=s%26ntinel{files}"

    @property
    def master(self) -> GuardedServer:
        """The server that two Sentinels take for the master."""
        return self.servers[self._named_master()]

    @property
    def replica(self) -> GuardedServer:
        return next(server for server in self.servers.values() if server is not self.master)

    def wait_for_another_master(self, than: RedisServer) -> RedisServer:
        wait_until(lambda: self.master is not than, "the failover")
        return self.master

    def wait_until_whole(self) -> None:
        """Wait until the Sentinels know each other and the replica, and it follows the master."""
        wait_until(self._is_whole, "the Sentinels and the replica")

    def _start(self) -> None:
        master_port, replica_port = free_port(), free_port()
        for port, options in ((master_port, ()), (replica_port, ("--replicaof", "127.0.0.1", str(master_port)))):
            server = GuardedServer("7", *self._server_options(port), *options, *self._options)
            self.servers[port] = self._stack.enter_context(server)
        for port in self._sentinel_ports:
            self._stack.callback(_end, self._start_sentinel(port, master_port))
        self.wait_until_whole()

    def _stop(self) -> None:
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _server_options(self, port: int) -> list[str]:
        fast = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        fast += ["--masteruser", "replica", "--masterauth", password_of("replica")]
        if self._certificates is None:
            return ["--bind", "127.0.0.1", "--port", str(port), *fast]
        return ["--bind", "127.0.0.1", *self._certificates.server_options(port), *fast]

    def _start_sentinel(self, port: int, master_port: int) -> subprocess.Popen[bytes]:
        folder = self._folder / str(port)
        folder.mkdir()
        config = folder / "sentinel.conf"
        ports = ["--port", str(port)] if self._certificates is None else self._certificates.server_options(port)
        lines = [
            *("bind 127.0.0.1", f"dir {folder}", "requirepass s&ntinel", "sentinel sentinel-pass s&ntinel"),
            *(["port 0"] if self._certificates else []),
            f"sentinel monitor {SERVICE} 127.0.0.1 {master_port} 2",
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel auth-user {SERVICE} sentinel",
            f"sentinel auth-pass {SERVICE} {password_of('sentinel')}",
            f"sentinel failover-timeout {SERVICE} 1000",
        ]
        config.write_text("\n".join(lines) + "\n")
        return subprocess.Popen(
            [str(binary("7")), str(config), "--sentinel", *ports],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _is_whole(self) -> bool:
        states = [self._ask(port, "SENTINEL", "MASTERS") for port in self._sentinel_ports]
        masters = [_pairs(found[0]) if found else {} for found in states]
        if any((one.get("num-other-sentinels"), one.get("num-slaves")) != ("2", "1") for one in masters):
            return False
        if any(one["flags"] != "master" for one in masters):
            return False
        with closing(self.master.client()) as client:
            replica = client.info("replication").get("slave0", {})
        return bool(replica.get("state") == "online")

    def _named_master(self) -> int:
        named = [self._ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for port in self._sentinel_ports]
        ports = [int(one[1]) for one in named if one]
        return max(self.servers, key=ports.count)

    def _ask(self, port: int, *command: str) -> Any:
        with closing(tcp_client(port, password="s&ntinel", certificates=self._certificates)) as client:
            try:
                return client.execute_command(*command)
            except redis.RedisError:
                return None


class Cluster:
    """Three masters that share the slots. The user `app` has the password `p@ss`."""

    def __init__(self, certificates: Certificates | None = None) -> None:
        self._certificates = certificates
        self._stack = ExitStack()
        self.servers: dict[int, RedisServer] = {}

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
        """Return the node that has the slot of a key, as the first node knows."""
        with closing(next(iter(self.servers.values())).client()) as client:
            ranges = client.execute_command("CLUSTER", "SLOTS")
        slot = key_slot(key.encode())
        return next(self.servers[int(node[1])] for first, last, node in ranges if first <= slot <= last)

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
        for _ in range(3):
            port, bus = free_port(), free_port()
            ports = self._certificates.server_options(port) if self._certificates else ["--port", str(port)]
            options = ["--bind", "127.0.0.1", *ports, "--appendonly", "no", "--cluster-enabled", "yes"]
            options += ["--cluster-port", str(bus), "--cluster-node-timeout", "2000"]
            options += ["--tls-cluster", "yes"] if self._certificates else []
            self.servers[port] = self._stack.enter_context(RedisServer("7", *options))
            self._join(port, bus)
        wait_until(self._is_whole, "the cluster")

    def _join(self, port: int, bus: int) -> None:
        """Give a node its third of the slots, and make it known to the first one."""
        number = len(self.servers) - 1
        first, last = number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1
        with closing(self.servers[port].client()) as client:
            client.acl_setuser("app", enabled=True, passwords=["+p@ss"], keys=["*"], categories=["+@all"])
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        with closing(next(iter(self.servers.values())).client()) as client:
            if number:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)

    def _is_whole(self) -> bool:
        for server in self.servers.values():
            with closing(server.client()) as client:
                state = client.execute_command("CLUSTER", "INFO")
                known = client.execute_command("CLUSTER", "SLOTS")
            if b"cluster_state:ok" not in state or len(known) < 3:
                return False
        return True


def tcp_client(port: int, *, password: str = "", certificates: Certificates | None = None) -> Any:
    files = (
        {
            "ssl": True,
            "ssl_ca_certs": str(certificates.ca_file),
            "ssl_certfile": str(certificates.folder / "client.crt"),
            "ssl_keyfile": str(certificates.folder / "client.key"),
        }
        if certificates
        else {}
    )
    return redis.Redis(
        host="127.0.0.1",
        port=port,
        password=password or None,
        decode_responses=True,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=2,
        **files,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_until(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _WITHIN_S
    while not holds():
        assert time.monotonic() < until, f"{what} did not come in {_WITHIN_S:.0f} s"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
