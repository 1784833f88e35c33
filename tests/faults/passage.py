"""Whether all that was produced of a source has passed the rules."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from tests.redis_servers import RedisServer
from xclip_stream.queues.redis_connection import RedisKeys
from xclip_stream.rule_state import RuleState


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of the windows of one source: `given` seqs were taken, `had` of them have passed the rules."""

    source_id: str
    epochs: int
    given: int
    had: int
    tombstones: int
    lost: int


def passages(server: RedisServer, source_ids: Sequence[str]) -> Iterator[Passed]:
    """Yield what became of the current epoch of each of these sources that any scores came of."""
    keys = RedisKeys("main")
    with closing(server.client()) as client:
        states = client.hgetall(keys.state)
        for name in source_ids:
            if (body := states.get(name.encode())) is None:
                continue
            epochs, given = client.hmget(keys.source(name), "generation", "next")
            state = RuleState.decode(body)
            counts = state.counts
            tombstones = counts.dropped + counts.expired + counts.failed
            yield Passed(name, int(epochs), int(given), state.position.next_seq, tombstones, counts.lost)
