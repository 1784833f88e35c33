"""A system at work on some films, with all that is needed to disturb it and to judge what it told."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from redis.exceptions import RedisError

from tests.faults.site import SINKS, Films, Receiver, Site, oracle, write_site
from tests.faults.storm import Figure, Scale
from tests.faults.system import System, wait_until
from tests.faults.told import Expected, Told, compare, jsonl_events, public_events
from tests.faults.work import WorkInHand
from xclip_stream.queues.redis_connection import RedisKeys

CLAIM_IDLE_S = 3
KEYS = RedisKeys("main")
PATIENT = {"claim_idle_s": CLAIM_IDLE_S, "max_deliveries": 100}
"""A storm kills and freezes on purpose: no window shall die of it."""


class RedisPlace(Protocol):
    """A Redis, or several of which one is the master."""

    @property
    def url(self) -> str: ...

    def client(self) -> Any: ...


@dataclass(slots=True)
class Stage:
    """What a storm has before it. `redis` goes to the server itself, whatever way the workers take."""

    films: Films
    expected: Expected
    site: Site
    system: System
    receiver: Receiver
    work: WorkInHand
    redis: Any
    camera_ids: Sequence[str] = ()

    def commits(self) -> int | None:
        """Return how often rule state was committed; None while the server does not answer."""
        try:
            return int(self.redis.hget(KEYS.alert, "commits") or 0)
        except RedisError:
            return None

    def seconds_to_next_commit(self, *, after: int, limit_s: float) -> float:
        """Return how long it takes until there are more commits than `after`, at most `limit_s`."""
        started_at = time.monotonic()
        wait_until(lambda: (self.commits() or 0) > after, limit_s, every_s=0.02)
        return time.monotonic() - started_at

    def finish(self, timeout_s: float, *, written_once: bool = True) -> list[Figure]:
        """Let the work flow out; return what every storm has to show: all was told, once, in order, and nobody died.

        Args:
            written_once: False where Redis may forget that the JSONL sink has had a message.
        """
        started_at = time.monotonic()
        drained = self.system.wait_until_drained(timeout_s)
        took_s = time.monotonic() - started_at
        public, archive = public_events(self.system.queue), jsonl_events(self.site.archive)
        return [
            Figure("all work was done, seconds after the storm", round(took_s), "done", ok=drained),
            Figure.exactly("workers that ended by themselves", len(self.system.crashes)),
            Figure.exactly("dead letters", self.system.queue.depths(SINKS).dead),
            Figure.told("messages expected", sum(map(len, self.expected.values()))),
            *compare(self.expected, self._of_films(public)).figures("public stream", once=True),
            *compare(self.expected, self._of_films(archive)).figures("JSONL", once=written_once),
            *compare(self.expected, self._of_films(self.receiver.told)).figures("webhook", once=False),
        ]

    def _of_films(self, told: Sequence[Told]) -> list[Told]:
        """Leave out what cameras have told: nobody can say what that must be."""
        return [one for one in told if one.source_id not in self.camera_ids]


@contextmanager
def on_stage(
    scale: Scale,
    films: Films,
    *,
    server: RedisPlace,
    workers: Mapping[str, int],
    redis_url: str | None = None,
    name: str = "",
    realtime: bool = True,
    queue: Mapping[str, Any] | None = None,
    more_sources: Sequence[Mapping[str, Any]] = (),
    commands: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Stage]:
    """Start workers on these films, and end them.

    Args:
        redis_url: the way that the workers take to `server`; None: the straight one.
        name: tells this stage from others of the same storm.
        queue, more_sources: as `write_site` takes them; more sources are cameras.
        commands: as `System` takes them.
    """
    expected = oracle(films)
    folder = scale.folder / name
    with Receiver() as receiver, closing(server.client()) as redis:
        site = write_site(
            films,
            folder,
            webhook_url=receiver.url,
            realtime=realtime,
            queue=PATIENT if queue is None else queue,
            more_sources=more_sources,
        )
        url = server.url if redis_url is None else redis_url
        logs = folder / "logs"
        with System(site.config, redis_url=url, workers=workers, folder=logs, commands=commands) as system:
            work = WorkInHand(system, redis_url=server.url, source_ids=films.ids, sink_ids=list(SINKS))
            with closing(work):
                camera_ids = [source["id"] for source in more_sources]
                yield Stage(films, expected, site, system, receiver, work, redis, camera_ids)
