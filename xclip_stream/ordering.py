"""Puts the scores of one source into the order of its windows, however many scorers have mixed them up."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from math import ceil

from xclip_stream.protocols import TakenScores
from xclip_stream.types import Scores, ScoreStatus

PATIENCE_S = 5.0
"""The shortest time that a live source waits for a missing window."""
PATIENCE_CAP_S = 60.0
"""The longest: a clock that was set must not make a source wait for hours."""
_LATENCIES = 256
_GAPS_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Position:
    """How far a source has come: all before `next_seq` of `generation` has had its turn, and all older generations."""

    generation: int = -1
    epoch: str = ""
    next_seq: int = 0
    ended: bool = True
    """Nothing more follows in this generation; true before the first one."""

    def after(self, scores: Scores) -> "Position":
        """Return the position once `scores` have had their turn."""
        return Position(scores.generation, scores.id.epoch, scores.id.seq + 1, scores.status.ends_epoch)


START = Position()
"""Before the first window of a source."""


class Arrival(Enum):
    """What `Ordering.add` did with a taken entry."""

    WAITING = auto()
    """It is kept until its turn, and must stay unacknowledged until then."""
    DUPLICATE = auto()
    """Its `seq` has had its turn, or another entry waits for it: acknowledge it."""
    LATE = auto()
    """Its `seq` was given up before it came: count and acknowledge it."""


class Ordering:
    """Releases the scores of one source by generation, then by contiguous `seq`.

    A file source waits for a missing `seq` as long as it takes. A live source gives it up after `patience_s`: the next
    scores released leave a hole in the `seq`, and what arrives for the hole later is late. A newer generation begins
    when the older one has ended, for a live source also when the patience is over. Time is an argument.

    Patience begins with scores that have overtaken the missing ones in the queue. Where only tombstones wait that did
    not go through it, the scorers may just be behind: they load their model. Then a missing `seq` is given up when its
    window, if it still waits in the queue, has become too old to be scored.

    Args:
        max_age_s: how old a live window may become in the queue.
    """

    def __init__(self, position: Position, *, max_age_s: float = 10.0) -> None:
        self._position = position
        self._max_age_s = max_age_s
        self._waiting: dict[tuple[int, int], _Waiting] = {}
        self._given_up: deque[tuple[int, int]] = deque(maxlen=_GAPS_REMEMBERED)
        self._latencies_s: deque[float] = deque(maxlen=_LATENCIES)

    @property
    def position(self) -> Position:
        """What the next scores to be released are measured against."""
        return self._position

    @property
    def waiting(self) -> int:
        """How many scores wait for an earlier one."""
        return len(self._waiting)

    @property
    def patience_s(self) -> float:
        """Three times the 99th percentile of the time from window to score, from `PATIENCE_S` to `PATIENCE_CAP_S`."""
        if not self._latencies_s:
            return PATIENCE_S
        ranked = sorted(self._latencies_s)
        return min(max(PATIENCE_S, 3.0 * ranked[ceil(0.99 * len(ranked)) - 1]), PATIENCE_CAP_S)

    def add(self, taken: TakenScores, *, now_s: float) -> Arrival:
        """Take in an entry; only one that is `WAITING` will be released. `now_s` is a clock that never goes back."""
        scores = taken.scores
        key = (scores.generation, scores.id.seq)
        if self._has_passed(key):
            return Arrival.LATE if key in self._given_up else Arrival.DUPLICATE
        held = self._waiting.setdefault(key, _Waiting(taken, now_s))
        # The same entry may be handed out again while it waits. To acknowledge it now would lose it in a crash.
        if held.taken.entry_id != taken.entry_id:
            return Arrival.DUPLICATE
        if scores.status is ScoreStatus.SCORED:
            self._latencies_s.append(scores.scored_at - scores.produced_at)
        return Arrival.WAITING

    def release(self, *, now_s: float) -> list[TakenScores]:
        """Return the entries whose turn has come, in order."""
        released = list(self._contiguous())
        while self._is_patience_over(now_s) and self._give_up():
            released += self._contiguous()
        return released

    def _has_passed(self, key: tuple[int, int]) -> bool:
        generation, seq = key
        here = self._position
        if generation != here.generation:
            return generation < here.generation
        return here.ended or seq < here.next_seq

    def _contiguous(self) -> Iterator[TakenScores]:
        while (key := self._next_key()) is not None:
            taken = self._waiting.pop(key).taken
            self._position = self._position.after(taken.scores)
            yield taken

    def _next_key(self) -> tuple[int, int] | None:
        here = self._position
        if not here.ended:
            following = [(here.generation, here.next_seq)]
        elif here.generation >= 0:
            following = [(here.generation + 1, 0)]
        else:
            following = [(0, 0), (1, 0)]
        return next((key for key in following if key in self._waiting), None)

    def _is_patience_over(self, now_s: float) -> bool:
        if not self._waiting:
            return False
        patience_s = self.patience_s
        return any(
            now_s - waiting.since_s >= (patience_s if waiting.has_overtaken else self._max_age_s + patience_s)
            for waiting in self._waiting.values()
        )

    def _give_up(self) -> bool:
        """Go on with the oldest entry that waits; False when what is missing must be waited for."""
        key = min((key for key in self._waiting if not self._has_passed(key)), default=None)
        if key is None:
            return False
        generation, seq = key
        scores = self._waiting[key].taken.scores
        here = self._position
        # A file misses nothing, but its numbering of generations may go on from before it was forgotten. An older one
        # that was not forgotten would be there with its end: the queue ends it in the step that begins the next.
        if not scores.live and not (here.ended and seq == 0):
            return False
        first_missing = here.next_seq if generation == here.generation else 0
        missing = range(max(first_missing, seq - _GAPS_REMEMBERED), seq)
        self._given_up.extend((generation, missing_seq) for missing_seq in missing)
        self._position = Position(generation, scores.id.epoch, seq, ended=False)
        return True


@dataclass(frozen=True, slots=True)
class _Waiting:
    taken: TakenScores
    since_s: float

    @property
    def has_overtaken(self) -> bool:
        return self.taken.scores.status.has_been_queued
