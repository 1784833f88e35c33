"""What the configuration says, as far as the dashboard shows it: plain values, and no secret among them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xclip_stream.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSource:
    """A source as it may be shown."""

    id: str
    live: bool
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One configuration. `gap_s` has for each source the hole in its time that ends what is open."""

    config_hash: str
    yaml: str
    sources: tuple[ShownSource, ...]
    rules: tuple[Rule, ...]
    sinks: Mapping[str, str]
    """The type of each sink, by its id."""
    gap_s: Mapping[str, float]
    history_hours: float
    evidence_url: str = ""
    """What the addresses of pictures and clips begin with."""
    evidence_dir: Path | None = None
    """The folder of this machine where they are; None where they are elsewhere, or none are kept."""


ReadCopy = Callable[[str], Site]
"""Reads an edited copy of the configuration; raises ConfigError with every problem, one a line."""
COPY_NAME = "copy"
"""How the lines of that error begin."""


def plain_site(site: Site) -> dict[str, Any]:
    """Return what the pages need to know of a configuration to begin with."""
    return {
        "config_hash": site.config_hash,
        "history_hours": site.history_hours,
        "sources": [{"id": each.id, "live": each.live, "url": each.url} for each in site.sources],
        "rules": [
            {
                "id": rule.rule_id,
                "severity": rule.severity,
                "enter": rule.enter,
                "exit": rule.exit,
                "prompts": list(rule.prompts),
                "regions": list(rule.regions),
            }
            for rule in site.rules
        ],
        "sinks": [{"id": name, "type": kind} for name, kind in site.sinks.items()],
    }
