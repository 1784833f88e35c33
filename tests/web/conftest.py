"""One Redis and one dashboard for the tests of a module; each has a namespace of its own."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.redis_servers import RedisServer
from tests.web.dashboards import SITE, TOKEN, Dashboard, dashboard


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with RedisServer("7", "--appendonly", "no") as server:
        yield server.url


@pytest.fixture(scope="module")
def still(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard of a system in which nothing happens, for all tests of a module that change nothing."""
    with dashboard(redis_url, tmp_path_factory.mktemp("still"), namespace=uuid4().hex) as dashboard_:
        yield dashboard_


@pytest.fixture
def served(redis_url: str, tmp_path: Path) -> Iterator[Dashboard]:
    with dashboard(redis_url, tmp_path, namespace=uuid4().hex) as dashboard_:
        yield dashboard_


@pytest.fixture
def locked(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A dashboard with a token; the test's own client has it."""
    bearer = {"authorization": f"Bearer {TOKEN}"}
    open_client = Dashboard.client
    monkeypatch.setattr(Dashboard, "client", lambda self, **headers: open_client(self, **(bearer | headers)))
    site = SITE + f"web: {{token: {TOKEN}, hosts: [Cams.example.org]}}\n"
    with dashboard(redis_url, tmp_path, site=site, namespace=uuid4().hex) as dashboard_:
        yield dashboard_
