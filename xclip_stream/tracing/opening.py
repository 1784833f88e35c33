"""Whether there is a tracer."""

import os

from structlog.typing import FilteringBoundLogger

from xclip_stream.tracing.spans import Tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Where spans are sent. Without one of these variables there is no tracing."""
EXTRA = "pip install 'xclip-stream[otel]'"


def open_tracing(role: str, *, version: str, log: FilteringBoundLogger) -> Tracing | None:
    """Return a tracer when the environment names where to send spans, as OpenTelemetry specifies it; else None."""
    endpoint = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if endpoint is None or is_off or os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    try:
        from xclip_stream.tracing.otel import OtelTracing  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        log.warning("tracing_unavailable", reason=f"{endpoint} is set, but {error.name} is not installed: {EXTRA}")
        return None
    return OtelTracing(role, version=version)
