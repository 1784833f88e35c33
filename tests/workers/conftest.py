"""The Redis that the workers under test share: one server for each file of tests, emptied before each test."""

from collections.abc import Iterator

import pytest
import redis

from tests.servers import redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(server: str) -> str:
    with redis.Redis.from_url(server) as client:
        client.flushall()
    return server
