"""Spans by the OpenTelemetry SDK, sent by OTLP over HTTP. The standard variables of the environment set it up."""

import logging
import os
import time
from collections.abc import Sequence
from threading import Thread

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from xclip_stream.tracing.spans import Attributes

CLOSE_WITHIN_S = 3.0
COMPLAIN_EVERY_S = 60.0
_W3C = TraceContextTextMapPropagator()


class OtelTracing:
    """A tracer of one worker. Spans are sent by a thread of the SDK, which drops them where the collector is away."""

    def __init__(self, role: str, *, version: str) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME") or f"xclip-stream-{role}"
        self._provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": version}))
        self._provider.add_span_processor(BatchSpanProcessor(_Told(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("xclip_stream", version)

    def begin(self, name: str, *, at: float, after: str = "", attributes: Attributes) -> "OtelSpan":
        context = _W3C.extract({"traceparent": after}, context=Context()) if after else Context()
        return OtelSpan(self._tracer.start_span(name, context, start_time=_ns(at), attributes=dict(attributes)))

    def close(self) -> None:
        # The SDK may wait for its collector for longer than a worker has to stop.
        closing = Thread(target=self._provider.shutdown, name="close-tracing", daemon=True)
        closing.start()
        closing.join(CLOSE_WITHIN_S)


class OtelSpan:
    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, set_span_in_context(self._span))
        return carrier["traceparent"]

    def end(self, at: float, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))
        self._span.end(end_time=_ns(at))


def _ns(at: float) -> int:
    return round(at * 1e9)


class _Told(SpanExporter):
    """Says once a minute that spans are lost, where the SDK would say several times how, with every batch."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._tell_at = 0.0
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        now = time.monotonic()
        if result is not SpanExportResult.SUCCESS and now >= self._tell_at:
            self._tell_at = now + COMPLAIN_EVERY_S
            structlog.get_logger().warning("spans_lost", count=len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
