"""Which sinks need a library that is not installed with the package, told without importing it."""

from collections.abc import Mapping
from importlib.util import find_spec

from xclip_stream.errors import ConfigError

EXTRAS: Mapping[str, tuple[str, str]] = {
    "mqtt": ("paho", "mqtt"),
    "kafka": ("confluent_kafka", "kafka"),
    "nats": ("nats", "nats"),
    "apprise": ("apprise", "notify"),
}
"""For a type of sink the module that it imports, and the extra of this package that brings it."""


def missing_extra(sink_type: str) -> str | None:
    """Return what to install before a sink of this type can be used, in one line; None where nothing is missing."""
    module, extra = EXTRAS.get(sink_type, ("", ""))
    if not module or find_spec(module) is not None:
        return None
    return f"type {sink_type} needs a library that is not installed: pip install 'xclip-stream[{extra}]'"


def require_extras(sinks: Mapping[str, str]) -> None:
    """Check the sinks of a configuration, a type for each id, before anything is started.

    Raises:
        ConfigError: libraries are missing; names each sink and what to install.
    """
    missing = [f"sink {sink_id}: {problem}" for sink_id, kind in sinks.items() if (problem := missing_extra(kind))]
    if missing:
        raise ConfigError("\n".join(missing))
