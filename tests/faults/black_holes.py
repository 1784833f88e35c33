"""Cameras that answer nothing beside five that work."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.live_site import write_clip, write_live_site
from tests.faults.network import Network
from tests.faults.processes import family, own_bytes
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import ROOT, System, wait_until
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, need_server
from xclip_stream.protocols import SourceState, SourceStatus

GOOD = [f"good-{number}" for number in range(5)]
OPEN_ENDS_WITHIN_S = 12.0
SEEN_WITHIN_S = 60.0
KEPT_RATE = 0.95
MIB_A_READER = 40.0


@dataclass(slots=True)
class Watch:
    """What the readers have said of themselves while somebody looked."""

    first: dict[str, SourceStatus] = field(default_factory=dict)
    stalled: dict[str, SourceStatus] = field(default_factory=dict)

    def look(self, statuses: Mapping[str, SourceStatus]) -> None:
        for name, status in statuses.items():
            self.first.setdefault(name, status)
            if status.state is SourceState.STALLED:
                self.stalled.setdefault(name, status)

    def open_took_s(self, name: str) -> float:
        """Return how long the first try took until it was told that it had failed."""
        if name not in self.stalled:
            return float("inf")
        return self.stalled[name].updated_at - self.first[name].updated_at


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the good cameras, with or without the others."""

    watch: Watch
    all_seen_s: float
    windows_a_s: float
    dropped: int
    readers: int
    own_mib: float


def run(scale: Scale) -> Sequence[Figure]:
    silent, swallowing = scale.pick(short=(25, 25), long=(25, 25))
    measured_s = scale.pick(short=20.0, long=120.0)
    need_server()
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        ports = stack.enter_context(_silent_hosts(network, silent))
        clip = write_clip(scale.folder / "clip.mp4")
        camera = Camera(clip, at=network.at_site)
        stack.callback(camera.kill)
        camera.start()
        good = {name: camera.url() for name in GOOD}
        bad = {f"silent-{port}": f"rtsp://127.0.0.1:{port}/live" for port in ports}
        for address in network.swallowing_addresses(swallowing):
            bad[f"swallowing-{address}"] = f"rtsp://{address}:554/live"
        alone = _watch(network, good, scale.folder / "alone", measured_s)
        # The bad ones first: they are started first too.
        beside = _watch(network, {**bad, **good}, scale.folder / "beside", measured_s)
    return [
        Figure.told("bad cameras: accept and say nothing, swallow all packets", f"{silent}, {swallowing}"),
        *_rate_figures(alone, beside),
        Figure.at_most(
            "the longest first open of a bad camera", max(map(beside.watch.open_took_s, bad)), OPEN_ENDS_WITHIN_S, "s"
        ),
        Figure.told("memory of its own of all readers, MiB", beside.own_mib),
        Figure.at_most("the same a reader, MiB", beside.own_mib / beside.readers, MIB_A_READER),
    ]


def _rate_figures(alone: Run, beside: Run) -> list[Figure]:
    return [
        Figure.told("all good cameras seen after, alone, s", alone.all_seen_s),
        Figure.at_most("the same beside the bad ones", beside.all_seen_s, alone.all_seen_s + OPEN_ENDS_WITHIN_S, "s"),
        Figure.told("windows a second of the good ones, alone", alone.windows_a_s),
        Figure.told("the same beside the bad ones", beside.windows_a_s),
        Figure.at_least("rate kept", beside.windows_a_s / alone.windows_a_s, KEPT_RATE),
        Figure.told("windows dropped, alone and beside", f"{alone.dropped}, {beside.dropped}"),
    ]


def _watch(network: Network, urls: Mapping[str, str], folder: Path, measured_s: float) -> Run:
    """Watch these cameras until all good ones are seen, and then for a while."""
    folder.mkdir()
    config = write_live_site(folder, [{"id": name, "url": url} for name, url in urls.items()])
    watch = Watch()
    with (
        RedisServer("7", "--appendonly", "no") as server,
        System(
            config,
            redis_url=server.url,
            workers={"score": 1, "ingest": 1},
            folder=folder / "logs",
            commands={"ingest": (*network.at_site, sys.executable, "-m", "workers.ingest")},
        ) as system,
    ):

        def statuses() -> Mapping[str, SourceStatus]:
            found = system.queue.source_statuses()
            watch.look(found)
            return found

        started_at = time.monotonic()
        is_seen = wait_until(lambda: all(_windows(statuses(), [name]) > 0 for name in GOOD), SEEN_WITHIN_S)
        seen_s = time.monotonic() - started_at if is_seen else float("inf")
        before, began_at = _windows(statuses(), GOOD), time.monotonic()
        while time.monotonic() < began_at + measured_s:
            statuses()
            time.sleep(0.1)
        after, took_s = statuses(), time.monotonic() - began_at
        readers = family(system.of("ingest")[0].pid)[2:]
        return Run(
            watch=watch,
            all_seen_s=seen_s,
            windows_a_s=(_windows(after, GOOD) - before) / took_s,
            dropped=sum(after[name].dropped for name in GOOD),
            readers=len(urls),
            own_mib=sum(map(own_bytes, readers)) / 2**20,
        )


def _windows(statuses: Mapping[str, SourceStatus], names: Sequence[str]) -> int:
    """Return how many windows these sources have produced, those that were dropped among them."""
    found = [statuses[name] for name in names if name in statuses]
    return sum(status.windows + status.dropped for status in found)


@contextmanager
def _silent_hosts(network: Network, number: int) -> Iterator[list[int]]:
    command = [*network.at_site, sys.executable, "-m", "tests.faults.silent_hosts", str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()


STORM = Storm(
    name="black_holes",
    shows="fifty cameras that answer nothing beside five that work: the five keep their rate, and each try ends",
    run=run,
)
