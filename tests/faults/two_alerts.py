"""Two alert workers. The one that decides is frozen until the other has taken over, and woken again.

Half of the time it is frozen while a commit of its own is on the way: the relay keeps that back, and lets it reach
Redis only when the other worker has committed. So a stale commit does arrive, and not by luck.
"""

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path

import xclip_stream.queues.redis as redis_queue
from tests.faults.link import Link, Wire
from tests.faults.logbook import count
from tests.faults.site import Films
from tests.faults.stage import KEYS, Stage, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import Worker, wait_until
from tests.redis_servers import RedisServer

TAKEN_OVER_WITHIN_S = 30.0
TRAPPED_WITHIN_S = 15.0
REALLY_WAIT_EVERY = 5
"""One freeze in so many waits for the lease to run out; the others let it run out at once."""


class CommitTrap:
    """Stops a worker whose commit comes through the relay, and keeps the commit until it is told to let it go."""

    def __init__(self) -> None:
        self._commit = _commit_name()
        self._armed_for = 0
        self._lock = threading.Lock()
        self._caught = threading.Event()
        self._let_go = threading.Event()
        self.wire: Wire | None = None

    def arm(self, pid: int) -> None:
        with self._lock:
            self._armed_for = pid
            self.wire = None
            self._caught.clear()
            self._let_go.clear()

    def disarm(self) -> None:
        with self._lock:
            self._armed_for = 0
        self._let_go.set()

    def wait_until_caught(self, timeout_s: float) -> bool:
        return self._caught.wait(timeout_s)

    def hear(self, wire: Wire, piece: bytes) -> None:
        with self._lock:
            if wire.pid != self._armed_for or self._commit not in piece:
                return
            self._armed_for = 0
            self.wire = wire
            wire.heard = []
        # The worker is stopped by who armed the trap; it waits for the reply meanwhile.
        self._caught.set()
        self._let_go.wait(TAKEN_OVER_WITHIN_S + TRAPPED_WITHIN_S)

    def let_go(self) -> None:
        """Let the commit reach Redis, all of it that the worker has sent before it was frozen."""
        assert self.wire is not None
        heard = self.wire.heard
        self._let_go.set()
        wait_until(lambda: bool(heard), 1.0, every_s=0.005)

    def answer(self) -> bytes:
        """Return what Redis answered to the commit; to be asked when the worker can send the rest of it."""
        assert self.wire is not None
        heard = self.wire.heard
        wait_until(lambda: bool(heard), 5.0, every_s=0.005)
        self.wire.heard = None
        return b"".join(heard).partition(b"\r\n")[0]


@dataclass(slots=True)
class Freezes:
    taken_over: int = 0
    waited_for: int = 0
    """How many of them waited until the lease had run out by itself."""
    answers: list[bytes] = field(default_factory=list)
    """What Redis answered to the stale commits."""


def run(scale: Scale) -> Sequence[Figure]:
    wanted = scale.pick(short=24, long=300, quick=3)
    films = Films(
        number=scale.pick(short=6, long=10, quick=3), seconds=scale.pick(short=60, long=600, quick=20), seed=scale.seed
    )
    workers = {"ingest": 1, "score": 1, "alert": 2, "deliver": 1}
    trap = CommitTrap()
    with (
        RedisServer("7", "--appendonly", "no") as server,
        Link(server.socket, on_request=trap.hear) as link,
        on_stage(scale, films, server=server, workers=workers, redis_url=link.url) as stage,
    ):
        assert stage.system.wait_until_busy(timeout_s=180), "the work did not begin"
        freezes = freeze_alert_workers(stage, trap, wanted)
        figures = stage.finish(300)
        noticed = count(stage.system, "alert_taken_over")
    accepted = [answer for answer in freezes.answers if answer != b":-1"]
    return [
        Figure.at_least("workers frozen until the other had taken over", freezes.taken_over, wanted / 2),
        Figure.told("of them until the lease had run out by itself", freezes.waited_for),
        Figure.at_least("stale commits that reached Redis", len(freezes.answers), wanted / 4),
        Figure.exactly("stale commits accepted", len(accepted)),
        Figure.told("their answers", ", ".join(repr(answer) for answer in accepted) or "none"),
        Figure.at_least("workers that noticed that they had been replaced", noticed, freezes.taken_over),
        *figures,
    ]


def freeze_alert_workers(stage: Stage, trap: CommitTrap, wanted: int) -> Freezes:
    freezes = Freezes()
    for number in range(wanted):
        if stage.system.is_drained():
            break
        owner = wait_for_owner(stage)
        if owner is None:
            continue
        is_trap = number % 2 == 0
        if is_trap:
            trap.arm(owner.pid)
            caught = trap.wait_until_caught(TRAPPED_WITHIN_S)
            if not caught:
                trap.disarm()
                continue
        owner.signal(signal.SIGSTOP)
        taken_over = wait_for_successor(stage, owner, at_once=number % REALLY_WAIT_EVERY != 0)
        if is_trap:
            trap.let_go()
        owner.signal(signal.SIGCONT)
        if is_trap:
            answer = trap.answer()
            if taken_over:
                freezes.answers.append(answer)
        freezes.taken_over += taken_over
        freezes.waited_for += taken_over and number % REALLY_WAIT_EVERY == 0
    return freezes


def wait_for_owner(stage: Stage) -> Worker | None:
    """Return the alert worker that decides."""
    found: list[Worker] = []

    def look() -> bool:
        lease = stage.redis.get(KEYS.lease("alert")) or b""
        found[:] = [worker for worker in stage.system.of("alert") if f"-{worker.pid}-".encode() in lease]
        return bool(found)

    wait_until(look, TAKEN_OVER_WITHIN_S, every_s=0.02)
    return found[0] if found else None


def wait_for_successor(stage: Stage, owner: Worker, *, at_once: bool) -> bool:
    """Wait until another worker has taken the lease and committed; False when there was nothing to commit."""
    if at_once:
        stage.redis.pexpire(KEYS.lease("alert"), 1)
    mark = f"-{owner.pid}-".encode()

    def taken() -> bool:
        lease = stage.redis.get(KEYS.lease("alert"))
        return lease is not None and mark not in lease

    if not wait_until(taken, TAKEN_OVER_WITHIN_S, every_s=0.02):
        return False
    before = stage.commits() or 0
    return wait_until(lambda: (stage.commits() or 0) > before, 10.0, every_s=0.02)


def _commit_name() -> bytes:
    """Return the name by which Redis knows the script that commits, as it stands in a request."""
    folder = Path(redis_queue.__file__).parent
    text = (folder / "functions.lua").read_text() + (folder / "commit.lua").read_text()
    return sha1(text.encode(), usedforsecurity=False).hexdigest().encode()


STORM = Storm(
    name="two_alerts",
    shows="two alert workers, one frozen past its lease and woken: no stale commit is accepted, each event once",
    run=run,
    in_tests=True,
)
