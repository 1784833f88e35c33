"""An account of what could not be read, bounded however bad the file is."""

from dataclasses import dataclass


@dataclass(slots=True)
class _Tally:
    count: int = 0
    first_at_s: float = 0.0


class Damage:
    """Counts kinds of damage and says each in one line: how often, and where first."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    def note(self, what: str, *, at_s: float) -> None:
        """Count one `what`: a constant phrase, such as "packet that cannot be decoded"."""
        tally = self._tallies.setdefault(what, _Tally(first_at_s=at_s))
        tally.count += 1

    def lines(self) -> list[str]:
        return [f"{tally.count} × {what}, first at {tally.first_at_s:.1f} s" for what, tally in self._tallies.items()]
