"""kill -9 of the master while films are watched: a replica takes over, chosen by Sentinels or by a cluster.

Replication is asynchronous. Half of the times the replica is held behind first, so that the new master has forgotten
what the old one had answered for; then files are wound back, and a sink may hear a message again.
"""

import signal
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Protocol

from tests.faults.logbook import count
from tests.faults.site import Films
from tests.faults.stage import KEYS, RedisPlace, Stage, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.redis_cluster import ReplicatedCluster
from tests.redis_groups import SentinelGroup
from tests.redis_servers import RedisServer

WORKERS = {"ingest": 1, "score": 2, "alert": 1, "deliver": 1}
RECOVER_WITHIN_S = 10.0
"""The servers need some 3 s to choose the new master, and a worker that waits then looks again within 5."""
BEHIND_S = 0.5
NODE_TIMEOUT_MS = 1000
WORK_S = 3.0
"""Between two kills."""


class Group(RedisPlace, Protocol):
    """A master with a replica that takes over when it is gone."""

    @property
    def master(self) -> RedisServer: ...

    @property
    def replica(self) -> RedisServer: ...

    def wait_for_another_master(self, than: RedisServer) -> RedisServer: ...

    def come_back(self, server: RedisServer) -> None:
        """Start a server that was killed as the replica of the one that took over."""

    def wait_until_whole(self) -> None: ...


def run(scale: Scale) -> Sequence[Figure]:
    films = Films(number=scale.pick(short=4, long=6), seconds=scale.pick(short=20.0, long=300.0), seed=scale.seed)
    with SentinelGroup() as group:
        sentinels = watch(scale, films, group, name="sentinels", kills=scale.pick(short=2, long=20))
    with ReplicatedCluster(KEYS.counters, node_timeout_ms=NODE_TIMEOUT_MS) as cluster:
        nodes = watch(scale, films, cluster, name="cluster", kills=scale.pick(short=1, long=20))
    return [*sentinels, *nodes]


def watch(scale: Scale, films: Films, group: Group, *, name: str, kills: int) -> list[Figure]:
    with on_stage(scale, films, server=group, workers=WORKERS, name=name) as stage:
        assert stage.system.wait_until_busy(timeout_s=180), "the work did not begin"
        recovered_s = [kill_master(stage, group, is_behind=number % 2 == 0) for number in range(kills)]
        figures = stage.finish(300, written_once=False)
        rewound = count(stage.system, "source_rewound")
    figures = [
        Figure.told("masters killed", kills),
        Figure.at_most("slowest recovery", max(recovered_s), RECOVER_WITHIN_S, "s"),
        Figure.at_least("sources that were rewound", rewound, 1),
        *figures,
    ]
    return [Figure(f"{name}: {figure.name}", figure.value, figure.bound, figure.ok) for figure in figures]


def kill_master(stage: Stage, group: Group, *, is_behind: bool) -> float:
    """Kill the master, let it come back as a replica; return the seconds until there was a commit more than before."""
    old, replica = group.master, group.replica
    if is_behind:
        hold_behind(replica, master=old)
    commits = stage.commits() or 0
    old.kill()
    replica.signal(signal.SIGCONT)
    recovered_s = stage.seconds_to_next_commit(after=commits, limit_s=60)
    group.wait_for_another_master(than=old)
    group.come_back(old)
    group.wait_until_whole()
    time.sleep(WORK_S)
    return recovered_s


def hold_behind(replica: RedisServer, *, master: RedisServer) -> None:
    """Stop a replica, and let the master work on without it. What is on the way to it is lost with the connection."""
    replica.signal(signal.SIGSTOP)
    with closing(master.client()) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")
    time.sleep(BEHIND_S)


STORM = Storm(
    name="failover",
    shows="kill -9 of the master behind Sentinels and in a cluster: nothing lost, each event once on the public stream",
    run=run,
)
