"""The metrics of several workers in one scrape, each series with the name of its worker."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

import xclip_stream.metrics.definitions as d

WORKER = "worker"
"""The label that tells the series of the workers apart."""


class WorkersCollector(Collector):
    """What each worker shows, as it is at the scrape. One that does not answer is not ready, and shows nothing else.

    Args:
        ask: gives the text of the scrape of each worker by its name, None of one that does not answer.
    """

    def __init__(self, ask: Callable[[], Mapping[str, str | None]]) -> None:
        self._ask = ask

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, text in self._ask().items():
            for family in _not_ready(worker) if text is None else text_string_to_metric_families(text):
                # Prometheus wants all series of a name in one piece.
                of_all = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    of_all.add_sample(sample.name, {**sample.labels, WORKER: worker}, sample.value)
        yield from families.values()


def _not_ready(worker: str) -> Iterator[Metric]:
    family = d.WORKER_READY.family()
    family.add_metric([worker], 0)
    yield family
