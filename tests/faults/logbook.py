"""What the workers of a system have logged, as values."""

import json
from collections.abc import Iterator
from typing import Any

from tests.faults.system import System


def logged(system: System, event: str) -> Iterator[dict[str, Any]]:
    """Yield each line of this event, worker by worker. A line that a kill cut short is left out."""
    for line in system.log_lines:
        if event in line:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("event") == event:
                yield entry


def count(system: System, event: str) -> int:
    return sum(1 for _ in logged(system, event))
