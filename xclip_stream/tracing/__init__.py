"""Traces of windows through the pipeline, for OpenTelemetry. Importing this loads nothing of it."""

from xclip_stream.tracing.opening import open_tracing
from xclip_stream.tracing.spans import Tracing
from xclip_stream.tracing.steps import TracedAlert, TracedScoreQueue, TracedSink

__all__ = ["TracedAlert", "TracedScoreQueue", "TracedSink", "Tracing", "open_tracing"]
