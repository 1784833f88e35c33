"""What a storm is: a fault done to a running system again and again, and the figures that must come out of it."""

import importlib
import pkgutil
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import tests.faults

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Scale:
    """How hard a storm blows.

    Args:
        long: the form of `make soak`; else that of `make storms`.
        quick: the form of `make test`, at most half a minute.
        seed: for everything random. The same seed gives the same films and the same order of faults.
        folder: empty, and the storm's own. Logs that stay there tell why a figure fell short.
    """

    long: bool
    seed: int
    folder: Path
    quick: bool = False

    def pick(self, *, short: Value, long: Value, quick: Value | None = None) -> Value:
        """Return the value for this form; the quick one is the short one where none is given."""
        if self.long:
            return long
        return quick if self.quick and quick is not None else short

    def chance(self) -> random.Random:
        """Return a source of chance that begins anew."""
        return random.Random(self.seed)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a storm measured, what it has to be, and whether it is."""

    name: str
    value: float | str
    bound: str
    ok: bool

    @classmethod
    def exactly(cls, name: str, value: float, wanted: float = 0) -> "Figure":
        return cls(name, value, f"= {wanted:g}", value == wanted)

    @classmethod
    def at_most(cls, name: str, value: float, limit: float, unit: str = "") -> "Figure":
        return cls(name, round(value, 3), f"≤ {limit:g} {unit}".strip(), value <= limit)

    @classmethod
    def at_least(cls, name: str, value: float, limit: float, unit: str = "") -> "Figure":
        return cls(name, round(value, 3), f"≥ {limit:g} {unit}".strip(), value >= limit)

    @classmethod
    def told(cls, name: str, value: float | str) -> "Figure":
        """A number that is only told: it says how hard the storm was, and is neither good nor bad."""
        return cls(name, round(value, 3) if isinstance(value, float) else value, "", ok=True)


@dataclass(frozen=True, slots=True)
class Storm:
    """A storm. Its module in this package holds it as `STORM`.

    Args:
        shows: what the figures prove, in one line.
        in_tests: its quick form is part of `make test`.
    """

    name: str
    shows: str
    run: Callable[[Scale], Sequence[Figure]] = field(repr=False)
    in_tests: bool = False


def all_storms() -> list[Storm]:
    """Return the storms of this package, in the order of their modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.faults.__path__))
    modules = [importlib.import_module(f"tests.faults.{name}") for name in names if name != "__main__"]
    return [module.STORM for module in modules if hasattr(module, "STORM")]
