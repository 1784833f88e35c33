"""What a process shows to Prometheus."""

from xclip_stream.metrics.definitions import ALL, PREFIX, Definition, Kind
from xclip_stream.metrics.exposition import expose, process_registry
from xclip_stream.metrics.gathered import WORKER, WorkersCollector
from xclip_stream.metrics.loops import (
    DeliveryMetrics,
    EvidenceCollector,
    GpuCollector,
    PrometheusAlert,
    PrometheusScore,
    ReadersCollector,
)
from xclip_stream.metrics.queue import Expected, QueueCollector
from xclip_stream.metrics.supervision import SupervisionCollector

__all__ = [
    "ALL",
    "PREFIX",
    "WORKER",
    "Definition",
    "DeliveryMetrics",
    "EvidenceCollector",
    "Expected",
    "GpuCollector",
    "Kind",
    "PrometheusAlert",
    "PrometheusScore",
    "QueueCollector",
    "ReadersCollector",
    "SupervisionCollector",
    "WorkersCollector",
    "expose",
    "process_registry",
]
