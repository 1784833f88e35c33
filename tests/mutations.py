"""Real source without one of its guards, to show that the tests of a property can fail."""

from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings

HUNT = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    # The first failure is enough, and nobody reads it.
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
"""How a mutant is looked for: the same way each time, so that one that was found once is found always."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One place of a source file, and what stands there instead."""

    file: str
    guard: str
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.guard}"

    def of(self, source: str) -> str:
        if source.count(self.guard) != 1:  # no AssertionError: that is what a test of a mutant waits for
            raise ValueError(f"{self.file} has not one {self.guard!r}: adapt the mutation")
        return source.replace(self.guard, self.instead)
