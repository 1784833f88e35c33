"""What a system has told, on the public stream and through its sinks, and how it differs from what it should tell."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.faults.storm import Figure
from xclip_stream.queues.redis import RedisQueue

_DIFFERS_ANYWAY = ("latency_ms", "config_hash")
"""Latencies are measured; the hash of the configuration knows the port of the webhook's receiver."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message as somebody saw it. `body` is the event without what differs between any two runs."""

    source_id: str
    message_id: str
    body: str


Expected = Mapping[str, Sequence[Told]]
"""What each source has to tell, in its order."""


def read_told(body: bytes) -> Told:
    event = json.loads(body)
    for name in _DIFFERS_ANYWAY:
        event["data"].pop(name, None)
    return Told(str(event["data"]["source_id"]), str(event["id"]), json.dumps(event, sort_keys=True))


def public_events(queue: RedisQueue) -> list[Told]:
    """Return what the public stream holds."""
    found = list[Told]()
    after_id = "0"
    while entries := queue.read_events(after_id=after_id, max_count=1000, block_s=0.0):
        found += [read_told(body) for _, body in entries]
        after_id = entries[-1][0]
    return found


def jsonl_events(path: Path) -> list[Told]:
    """Return what a JSONL sink has written; a line that is no event is an error."""
    return [read_told(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def by_source(told: Iterable[Told]) -> dict[str, list[Told]]:
    found: dict[str, list[Told]] = {}
    for one in told:
        found.setdefault(one.source_id, []).append(one)
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """How what was told differs from what was expected, in messages."""

    lost: int
    extra: int
    """Messages whose id was not expected."""
    changed: int
    """Messages whose id was expected, with another body."""
    repeated: int
    misplaced: int
    """First sights of a message before one that should precede it, within one source."""

    def figures(self, where: str, *, once: bool) -> list[Figure]:
        """Return the figures of one place; `once` where a message may not come again."""
        wrong = (self.lost, self.extra, self.changed, self.misplaced)
        repeated = f"{where}: told again"
        return [
            Figure(
                f"{where}: lost / extra / changed / out of order",
                " / ".join(map(str, wrong)),
                "all 0",
                ok=not any(wrong),
            ),
            Figure.exactly(repeated, self.repeated) if once else Figure.told(repeated, self.repeated),
        ]


def compare(expected: Expected, told: Sequence[Told]) -> Difference:
    wanted = {one.message_id: one for ones in expected.values() for one in ones}
    first = {one.message_id: one for one in reversed(told)}
    misplaced = 0
    for source_id, ones in by_source(told).items():
        seen = list(dict.fromkeys(one.message_id for one in ones))
        place = {one.message_id: number for number, one in enumerate(expected.get(source_id, ()))}
        places = [place[message_id] for message_id in seen if message_id in place]
        misplaced += sum(after < before for before, after in pairwise(places))
    return Difference(
        lost=len(wanted.keys() - first.keys()),
        extra=len(first.keys() - wanted.keys()),
        changed=sum(one.body != wanted[one.message_id].body for one in told if one.message_id in wanted),
        repeated=len(told) - len(first),
        misplaced=misplaced,
    )
