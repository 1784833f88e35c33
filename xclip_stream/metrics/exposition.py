"""The registry of a process, and its text for a scrape."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from xclip_stream.metrics.definitions import BUILD_INFO, WORKER_READY


def process_registry(role: str, *, version: str, is_ready: Callable[[], bool]) -> CollectorRegistry:
    """Return a registry with what every process shows; `is_ready` is asked at each scrape, from any thread."""
    # They would double the series, and a restart shows without them.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the client's
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    BUILD_INFO.gauge(registry).labels(version).set(1)
    WORKER_READY.gauge(registry).labels(role).set_function(lambda: float(is_ready()))
    return registry


def expose(registry: CollectorRegistry) -> tuple[str, bytes]:
    """Return the content type and the text of a scrape."""
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)
