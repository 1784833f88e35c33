"""Which sources an ingest worker takes and gives back: each decides for itself, from what all of them can see."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from xclip_stream.protocols import IngestTeam

HANDED_OVER_AT_ONCE = 4
"""A source that changes hands is not read for some seconds, so no more than a few do it together."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What to do now."""

    take: tuple[str, ...] = ()
    """Sources to try for, in this order, until `at_most` are had: another worker may be faster."""
    at_most: int = 0
    give_back: tuple[str, ...] = ()


class Shares:
    """Keeps the sources spread over the workers without moving them more than it has to.

    A worker takes free sources up to its share, which is that of the whole by the number of workers. One that nobody
    has taken for `patience_s` it takes above its share too, and keeps. It gives back what it holds above its share only
    when nothing is free, since otherwise those who have room need nothing from it, and only to a team that has been the
    same for `patience_s`. After an outage of the queue all leases have run out, and their holders come back for them:
    for `patience_s` it takes only what has been free for so long.

    Args:
        patience_s: as long as a lease.
    """

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._free_since: dict[str, float] = {}
        self._others: frozenset[str] = frozenset()
        self._same_since = 0.0
        self._wary_until = 0.0
        self._kept: set[str] = set()
        self._has_decided = False

    def note_outage(self, now_s: float) -> None:
        """Note that the queue cannot be asked. One that had not answered before has let nothing run out."""
        if self._has_decided:
            self._wary_until = now_s + self._patience_s

    def decide(self, team: IngestTeam, *, wanted: Sequence[str], held: Sequence[str], now_s: float) -> Moves:
        """Return what to do.

        Args:
            wanted: every source that is to be read by somebody.
            held: those that this worker reads, the newest last. One that it is giving back is neither here nor free.
        """
        self._note_team(team, wanted, now_s)
        overdue = [source for source, since_s in self._free_since.items() if now_s - since_s >= self._patience_s]
        share = ceil(len(wanted) / (len(team.others) + 1))
        room = max(0, share - len(held))
        self._kept.update(overdue[room:])
        if now_s < self._wary_until:
            room = 0
        return Moves(
            take=tuple(dict.fromkeys([*overdue, *self._free_since])) if room else tuple(overdue),
            at_most=max(room, len(overdue)),
            give_back=self._surplus(share, wanted, held) if self._may_give_back(now_s) else (),
        )

    def _note_team(self, team: IngestTeam, wanted: Sequence[str], now_s: float) -> None:
        self._free_since = {source: self._free_since.get(source, now_s) for source in wanted if source in team.free}
        if team.others != self._others or not self._has_decided:
            self._others, self._same_since = team.others, now_s
            self._kept.clear()
        self._has_decided = True

    def _may_give_back(self, now_s: float) -> bool:
        is_settled = now_s - self._same_since >= self._patience_s and now_s >= self._wary_until
        return is_settled and bool(self._others) and not self._free_since

    def _surplus(self, share: int, wanted: Sequence[str], held: Sequence[str]) -> tuple[str, ...]:
        spare = [source for source in held if source in wanted and source not in self._kept]
        count = min(len(spare) - share, HANDED_OVER_AT_ONCE)
        return tuple(spare[-count:]) if count > 0 else ()
