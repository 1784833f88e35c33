"""Two hosts: one has Redis, the films and the rules, the other one scores; and the cable between them is pulled."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.network import Network
from tests.faults.site import Films
from tests.faults.stage import Stage, on_stage
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import wait_until
from tests.redis_servers import RedisServer
from workers.main import REDIS_URL_VARIABLE

WORKERS = {"ingest": 1, "score": 2, "alert": 1, "deliver": 1}
PASSWORD = "p@ss word"
URL = f"redis://:p%40ss%20word@{Network.site_address}:6379/0"
SHORT_S, LONG_S = 1.5, 8.0
"""A cut that TCP outlasts, and one that is longer than a worker waits for a reply."""
AGAIN_WITHIN_S = 10.0


class RedisOnHost(RedisServer):
    """A Redis that the other host reaches with a password. Who looks from outside comes through its socket."""

    def __init__(self, network: Network) -> None:
        options = ("--bind", network.site_address, "--port", "6379", "--requirepass", PASSWORD, "--appendonly", "no")
        super().__init__("7", *options)
        self.launcher = network.at_site
        self.url = f"unix://:p%40ss%20word@{self.socket}"


@dataclass(slots=True)
class Cuts:
    """How often and how long the cable was out, and how long after it the work took to go on."""

    seconds: list[float] = field(default_factory=list)
    again_after_s: list[float] = field(default_factory=list)


def run(scale: Scale) -> Sequence[Figure]:
    lengths = scale.pick(short=[SHORT_S, LONG_S] * 3, long=[SHORT_S, LONG_S] * 20, quick=[LONG_S])
    films = Films(
        number=scale.pick(short=4, long=4, quick=2),
        seconds=scale.pick(short=60, long=300, quick=15),
        seed=scale.seed,
    )
    with (
        Network() as network,
        RedisOnHost(network) as server,
        on_stage(scale, films, server=server, workers=WORKERS, commands=commands(network)) as stage,
    ):
        assert wait_until(lambda: (stage.commits() or 0) > 0, 120), "the work did not begin"
        wait_until(lambda: count_clients(stage, network.cameras_address) >= WORKERS["score"], 60)
        from_afar = count_clients(stage, network.cameras_address)
        cuts = cut(stage, network, lengths)
        figures = stage.finish(scale.pick(short=90, long=180, quick=60))
    return [
        Figure.at_least("connections from the other host", from_afar, WORKERS["score"]),
        Figure.told("cuts", ", ".join(f"{seconds:g} s" for seconds in cuts.seconds)),
        Figure.at_most("slowest return of the work after a cut", max(cuts.again_after_s), AGAIN_WITHIN_S, "s"),
        *figures,
    ]


def commands(network: Network) -> dict[str, Sequence[str]]:
    """Return how workers are started on their host. Deliver stays outside, where the receiver of the webhook is."""
    hosts = {"ingest": network.at_site, "alert": network.at_site, "score": network.at_cameras}
    return {
        role: (*host, "env", f"{REDIS_URL_VARIABLE}={URL}", sys.executable, "-m", f"workers.{role}")
        for role, host in hosts.items()
    }


def count_clients(stage: Stage, address: str) -> int:
    """Return how many connections Redis has from an address."""
    return sum(client["addr"].startswith(f"{address}:") for client in stage.redis.client_list())


def cut(stage: Stage, network: Network, lengths: Sequence[float]) -> Cuts:
    """Pull the cable for each of these times, with work between them."""
    cuts = Cuts()
    for seconds in lengths:
        network.pull_cable()
        time.sleep(seconds)
        before = stage.commits() or 0
        network.plug_cable()
        cuts.seconds.append(seconds)
        cuts.again_after_s.append(stage.seconds_to_next_commit(after=before, limit_s=30))
        time.sleep(1)
    return cuts


STORM = Storm(
    name="hosts",
    shows="two score workers on another host, and the cable pulled: nothing lost, nothing doubled",
    run=run,
)
