"""What the steps need of a tracer."""

from collections.abc import Mapping
from typing import Protocol

Attributes = Mapping[str, str | int | float]


class Begun(Protocol):
    """A span that has begun. One that is not ended is not told."""

    @property
    def traceparent(self) -> str:
        """Names the span for those that follow from it, as https://www.w3.org/TR/trace-context/ says."""

    def end(self, at: float, attributes: Attributes) -> None: ...


class Tracing(Protocol):
    """Makes spans of what has happened. All times are Unix seconds."""

    def begin(self, name: str, *, at: float, after: str = "", attributes: Attributes) -> Begun:
        """Begin a span that follows from what `after` names; empty: a new trace."""

    def close(self) -> None:
        """Send what was not sent yet, for some seconds at most."""
