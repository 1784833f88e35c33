"""What is wrong with a configuration, and where."""

from dataclasses import dataclass

Location = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column of a text, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong at a location; `place` only where the location does not tell it."""

    location: Location
    text: str
    of_key: bool = False
    place: Place | None = None


def dotted(location: Location) -> str:
    """Return a location as people write it: `rules[0].enter`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")
