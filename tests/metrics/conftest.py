"""The system that the tests of this folder look at: it is started once, and nobody changes it."""

from collections.abc import Iterator

import pytest

from tests.metrics.system import System, running_system
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("system")) as system:
        wait_until(lambda: bool(system.scrape("deliver").series("frame_to_delivery_seconds_count")))
        wait_until(lambda: system.scrape("deliver")("frame_to_delivery_seconds_count", sink="log") >= 2)
        yield system
