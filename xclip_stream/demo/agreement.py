"""How far the events that were told agree with the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

from xclip_stream.demo.script import TruthEvent

EARLY_S = 1.0
LATE_S = 4.0
"""An event is true when its rule starts from `EARLY_S` before the action begins to `LATE_S` after it ends: a window
spans four seconds, so the last one that shows the action ends that much later."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event that started: the rule, and the media time of the last frame that it was told from."""

    rule_id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """True events, and for each the told one that answers it; `false` answer none, doubles among them."""

    truth: tuple[TruthEvent, ...]
    answers: tuple[Told | None, ...]
    false: tuple[Told, ...]

    @property
    def hits(self) -> int:
        """How many true events were told."""
        return sum(answer is not None for answer in self.answers)

    @property
    def is_right(self) -> bool:
        """All of the truth, and nothing but."""
        return self.hits == len(self.truth) and not self.false

    @property
    def precision(self) -> float:
        """The share of what was told that is true; 1 when nothing was told."""
        told = self.hits + len(self.false)
        return self.hits / told if told else 1.0

    @property
    def recall(self) -> float:
        """The share of the truth that was told; 1 when there was nothing to tell."""
        return self.hits / len(self.truth) if self.truth else 1.0

    def delay_s(self, index: int) -> float | None:
        """How long after its beginning a true event was told; None when it was not."""
        answer = self.answers[index]
        return None if answer is None else answer.at_s - self.truth[index].start_s

    def match_of(self, told: Told) -> TruthEvent | None:
        """The true event that a told one answers."""
        return next((event for event, answer in zip(self.truth, self.answers, strict=True) if answer is told), None)


def compare(truth: Sequence[TruthEvent], told: Sequence[Told]) -> Agreement:
    """Match told events to true ones of the same action, one to one, in the order of time."""
    answers: dict[int, Told] = {}
    false = []
    for one in sorted(told, key=lambda event: event.at_s):
        index = next((i for i, event in enumerate(truth) if i not in answers and _answers(one, event)), None)
        if index is None:
            false.append(one)
        else:
            answers[index] = one
    return Agreement(tuple(truth), tuple(answers.get(i) for i in range(len(truth))), tuple(false))


def _answers(told: Told, event: TruthEvent) -> bool:
    return told.rule_id == event.action and event.start_s - EARLY_S <= told.at_s <= event.end_s + LATE_S
