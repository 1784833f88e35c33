"""How the workers of a run live, as their supervisor has seen it."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import xclip_stream.metrics.definitions as d
from xclip_stream.meters import WorkerLife


class SupervisionCollector(Collector):
    """Shows of each worker whether it runs, and how often it had to be started again.

    Args:
        lives: tells that by the role of the worker; asked at each scrape, from any thread.
    """

    def __init__(self, lives: Callable[[], Mapping[str, WorkerLife]]) -> None:
        self._lives = lives

    def collect(self) -> Iterator[Metric]:
        running, restarts = d.WORKER_RUNNING.family(), d.WORKER_RESTARTS.family()
        for role, life in self._lives().items():
            running.add_metric([role], float(life.running))
            restarts.add_metric([role], life.restarts)
        yield running
        yield restarts
