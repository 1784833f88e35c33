"""What a process shows to Prometheus."""

from xclip_stream.metrics.definitions import ALL, PREFIX, Definition, Kind
from xclip_stream.metrics.exposition import expose, process_registry
from xclip_stream.metrics.loops import DeliveryMetrics, GpuCollector, PrometheusAlert, PrometheusScore, ReadersCollector
from xclip_stream.metrics.queue import Expected, QueueCollector

__all__ = [
    "ALL",
    "PREFIX",
    "Definition",
    "DeliveryMetrics",
    "Expected",
    "GpuCollector",
    "Kind",
    "PrometheusAlert",
    "PrometheusScore",
    "QueueCollector",
    "ReadersCollector",
    "expose",
    "process_registry",
]
