"""Real Redis servers that belong together: a master with a replica and its Sentinels; `redis_cluster` has a cluster."""

import shutil
import signal
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
from redis.retry import Retry

from tests.certificates import Certificates
from tests.guarded_redis import GuardedServer, login, password_of
from tests.ports import free_port
from tests.redis_servers import RedisServer, binary
from xclip_stream.queues.redis_client import open_client

_WITHIN_S = 60.0
SERVICE = "mymaster"


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

    def client(self) -> Any:
        """Return a client of whoever is the master when it connects."""
        return open_client(self.url, key="", connect_timeout_s=1.0, reply_timeout_s=1.0)

    def come_back(self, server: RedisServer) -> None:
        """Start a server that was killed as the replica of the one that took over."""
        server.start("--replicaof", "127.0.0.1", str(self._named_master()))

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
