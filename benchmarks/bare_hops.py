"""The least that the way of a window can take: its bytes through a bare Redis, from process to process.

A window goes to one process, which says a word to another, which says a word to us: the three hops of the pipeline,
from reader to scorer, to the rules, to whoever listens, with nothing in between.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis

ROOT = Path(__file__).resolve().parents[1]
WINDOW_BYTES = 8 * 224 * 224 * 3
WORD = b"." * 500
HOPS = ("bench:hop-1", "bench:hop-2", "bench:hop-3")


@dataclass(frozen=True, slots=True)
class BareHops:
    """The other two processes, waiting."""

    client: Any

    def times_ms(self, *, times: int) -> list[float]:
        """Return how long each of some windows takes."""
        window, found = os.urandom(WINDOW_BYTES), []
        newest = self.client.xrevrange(HOPS[-1], count=1)
        last = newest[0][0] if newest else "0"
        for _ in range(times):
            started = time.perf_counter()
            self.client.xadd(HOPS[0], {"body": window}, maxlen=2, approximate=False)
            answered = self.client.xread({HOPS[-1]: last}, block=5000)
            if not answered:
                raise RuntimeError("the bare hops do not answer")
            last = answered[0][1][-1][0]
            found.append(1000 * (time.perf_counter() - started))
        return found


@contextmanager
def bare_hops(url: str) -> Iterator[BareHops]:
    """Start the two processes on a Redis."""
    relays = [
        subprocess.Popen([sys.executable, "-m", "benchmarks.bare_hops", url, taken, given], cwd=ROOT)
        for taken, given in pairwise(HOPS)
    ]
    client = redis.Redis.from_url(url, protocol=2)
    try:
        while not all(client.exists(f"{name}:ready") for name in HOPS[:-1]):
            time.sleep(0.02)
        yield BareHops(client)
    finally:
        for relay in relays:
            relay.kill()
            relay.wait()
        client.delete(*HOPS, *(f"{name}:ready" for name in HOPS))
        client.close()


def relay(url: str, taken: str, given: str) -> None:
    """Say a word for each entry that comes."""
    client: Any = redis.Redis.from_url(url, protocol=2)
    last: Any = "0"
    client.set(f"{taken}:ready", 1)
    while True:
        for _, entries in client.xread({taken: last}, block=1000) or ():
            for entry_id, _ in entries:
                last = entry_id
                client.xadd(given, {"body": WORD}, maxlen=100)


if __name__ == "__main__":
    relay(*sys.argv[1:4])
