"""How much a part measures, and where it may write."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Amount = TypeVar("Amount")


@dataclass(frozen=True, slots=True)
class Scale:
    """What a part is told.

    Args:
        quick: measure only so much that it is seen to work.
        folder: its own; taken away after it.
        say: shows the person at the terminal how far it is.
    """

    quick: bool
    folder: Path
    say: Callable[[str], None]

    def pick(self, *, quick: Amount, full: Amount) -> Amount:
        """Return one of the two."""
        return quick if self.quick else full

    @property
    def rounds(self) -> int:
        """How many rounds a median is of: never fewer than seven in a run that counts."""
        return self.pick(quick=3, full=7)
