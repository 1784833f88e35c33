"""One queue for each backend."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest

from tests.queues.builders import Queue
from tests.redis_servers import VERSIONS, RedisServer, running_servers
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.queues.redis import RedisQueue
from xclip_stream.queues.redis_connection import RedisConnection, RedisKeys


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, RedisServer]]:
    yield from running_servers()


@dataclass
class Backend:
    """Makes queues that share what they hold; `limits` count for all of them."""

    name: str
    server: RedisServer | None
    limits: QueueLimits = field(default_factory=QueueLimits)
    _memory: MemoryQueue | None = None
    _keys: RedisKeys = field(default_factory=lambda: RedisKeys(uuid4().hex))
    _open: list[RedisQueue] = field(default_factory=list)

    def limit(self, **limits: Any) -> None:
        self.limits = replace(self.limits, **limits)

    def queue(self, consumer: str = "one", *, claim_idle_s: float | None = None) -> Queue:
        """Return a consumer with a connection of its own."""
        if self.server is None:
            self._memory = self._memory or MemoryQueue(limits=self.limits)
            return self._memory.consumer(consumer, claim_idle_s=claim_idle_s)
        idle_s = self.limits.claim_idle_s if claim_idle_s is None else claim_idle_s
        connection = RedisConnection(self.server.url, key=self._keys.counters)
        queue = RedisQueue(connection, self._keys, consumer=consumer, limits=self.limits, claim_idle_s=idle_s)
        self._open.append(queue)
        return queue

    def key(self, name: str) -> str:
        return self._keys.of(name)

    def close(self) -> None:
        for queue in self._open:
            queue.close()


@pytest.fixture(params=["memory", *VERSIONS])
def backend(request: pytest.FixtureRequest, servers: dict[str, RedisServer]) -> Iterator[Backend]:
    server = None if request.param == "memory" else servers[request.param]
    backend = Backend(request.param, server)
    yield backend
    backend.close()


@pytest.fixture(params=VERSIONS)
def redis_backend(request: pytest.FixtureRequest, servers: dict[str, RedisServer]) -> Iterator[Backend]:
    backend = Backend(request.param, servers[request.param])
    yield backend
    backend.close()


@pytest.fixture(params=VERSIONS)
def own_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that a test may stop, kill and fill."""
    with RedisServer(request.param) as server:
        yield server


@pytest.fixture
def queue(backend: Backend) -> Queue:
    return backend.queue()
