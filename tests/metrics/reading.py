"""Reads the text of a scrape, with the parser of the client library."""

from collections.abc import Mapping, Set

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from xclip_stream.metrics import PREFIX, expose

Labels = tuple[tuple[str, str], ...]


def samples(text: str) -> dict[str, dict[Labels, float]]:
    """Return the value of each series, by name and by its labels in order, without what every name begins with."""
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            found.setdefault(sample.name.removeprefix(PREFIX), {})[labels] = sample.value
    return found


def shown(registry: CollectorRegistry) -> "Shown":
    return Shown(samples(expose(registry)[1].decode()))


class Shown:
    """A scrape, asked by name and labels."""

    def __init__(self, found: Mapping[str, Mapping[Labels, float]]) -> None:
        self._found = found

    def __call__(self, name: str, **labels: str) -> float:
        return self._found[name][tuple(sorted(labels.items()))]

    @property
    def names(self) -> Set[str]:
        return self._found.keys()

    def series(self, name: str) -> Mapping[Labels, float]:
        """Return all series of a name; none where there is none."""
        return self._found.get(name, {})
