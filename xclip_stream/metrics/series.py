"""Lets go of the series of what has left the configuration."""

from collections.abc import Collection
from typing import TypeAlias

from prometheus_client import Counter, Histogram

from xclip_stream.metrics.definitions import Definition

Metric: TypeAlias = Counter | Histogram


class LabelledSeries:
    """The series of some metrics by one of their labels, such as the source.

    Args:
        metrics: have that label, each with its definition.
    """

    def __init__(self, label: str, *metrics: tuple[Definition, Metric]) -> None:
        self._label = label
        self._metrics = metrics
        self._gone: set[str] = set()

    def keep(self, values: Collection[str]) -> None:
        """Remove the series of all other values."""
        for definition, metric in self._metrics:
            for labels in _series_of(definition, metric):
                value = labels[definition.labels.index(self._label)]
                if value not in values:
                    metric.remove(*labels)
                    self._gone.add(value)
        self._gone.difference_update(values)

    def has_gone(self, value: str) -> bool:
        """Tell whether the series of a value were removed, so that what it left behind does not bring them back."""
        return value in self._gone


def _series_of(definition: Definition, metric: Metric) -> set[tuple[str, ...]]:
    return {
        tuple(sample.labels[label] for label in definition.labels)
        for family in metric.collect()
        for sample in family.samples
    }
