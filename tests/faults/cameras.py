"""Cameras that are killed, freeze, get another password and lose their cable, all at a time, again and again."""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from tests.faults.growth import Growth
from tests.faults.live_site import seen_events, write_clip, write_live_site
from tests.faults.network import Network
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import System, wait_until
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, need_server
from xclip_stream.protocols import SourceState
from xclip_stream.queues.redis import RedisQueue, open_queue

TOLD_WITHIN_S = 12.0
BACK_WITHIN_S = 15.0
GIVE_UP_S = 60.0
MORE_AWAY_S = 6.0
"""A camera stays away for up to so much longer, so that it comes back at any point of a try."""
PASSWORD, OTHER_PASSWORD = "right-horse", "wrong-horse"
READERS = 4
KIB_A_ROUND = {"short": 256.0, "long": 64.0}
"""How much a reader may grow with each loss of its camera. Over few losses, the allocator's wandering is most of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to one camera, and how it is undone."""

    source_id: str
    do: Callable[[], None]
    undo: Callable[[], None]
    told_as: SourceState = SourceState.STALLED


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss of a camera: how long until it was told, until its event had ended, and until it was seen again."""

    source_id: str
    told_s: float
    ended_s: float
    back_s: float
    ended_as: str | None


def run(scale: Scale) -> Sequence[Figure]:
    rounds = scale.pick(short=3, long=20)
    need_server()
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        server = stack.enter_context(RedisServer("7", "--appendonly", "no"))
        faults, config = _prepare(stack, network, scale.folder)
        system = stack.enter_context(
            System(
                config,
                redis_url=server.url,
                workers=dict.fromkeys(("ingest", "score", "alert"), 1),
                folder=scale.folder / "logs",
                commands={"ingest": (*network.at_site, sys.executable, "-m", "workers.ingest")},
            )
        )
        assert wait_until(lambda: _all_open(server.url, faults), GIVE_UP_S), "not every camera was seen"
        losses, growth = _blow(system, server.url, faults, rounds, scale)
        restarts = system.count_logged("reader_restarts")
    return [
        *(
            figure
            for fault in faults
            for figure in _figures([one for one in losses if one.source_id == fault.source_id])
        ),
        Figure.exactly("readers that died", restarts),
        Figure.exactly("other ends of workers", len(system.crashes)),
        *growth.figures(
            "all readers, and their worker", a_step="a round", kib_a_step=READERS * scale.pick(**KIB_A_ROUND), since=1
        ),
    ]


def _prepare(stack: ExitStack, network: Network, folder: Path) -> tuple[list[Fault], Path]:
    """Start the cameras; return what will happen to them, and the configuration that watches them."""
    clip = write_clip(folder / "clip.mp4")

    def camera(address: str = "127.0.0.1", *, at: Sequence[str], user: str = "", password: str = "") -> Camera:
        started = Camera(clip, user=user, password=password, address=address, at=at)
        stack.callback(started.kill)
        started.start()
        return started

    here = network.at_site
    killed, frozen = camera(at=here), camera(at=here)
    locked = camera(at=here, user="viewer", password=PASSWORD)
    far = camera(network.cameras_address, at=network.at_cameras)
    faults = [
        Fault("killed", killed.kill, killed.start),
        Fault("frozen", frozen.freeze, frozen.thaw),
        Fault(
            "password changed",
            lambda: _restart(locked, OTHER_PASSWORD),
            lambda: _restart(locked, PASSWORD),
            told_as=SourceState.FAILED,
        ),
        Fault("cable pulled", network.pull_cable, network.plug_cable),
    ]
    urls = [killed.url(), frozen.url(), locked.url(f"viewer:{PASSWORD}"), far.url()]
    sources = [{"id": _id(fault.source_id), "url": url} for fault, url in zip(faults, urls, strict=True)]
    return faults, write_live_site(folder, sources)


def _restart(camera: Camera, password: str) -> None:
    camera.kill()
    camera.password = password
    camera.start()


def _blow(
    system: System, redis_url: str, faults: Sequence[Fault], rounds: int, scale: Scale
) -> tuple[list[Loss], Growth]:
    """Do every fault once in each round, all at the same time; look at the readers when all cameras are back."""
    chance = scale.chance()
    losses, growth = list[Loss](), Growth()
    with ThreadPoolExecutor(len(faults)) as pool:
        for _ in range(rounds):
            more_s = [chance.uniform(0, MORE_AWAY_S) for _ in faults]
            losses += pool.map(lambda fault, away_s: _lose(redis_url, fault, away_s), faults, more_s)
            assert wait_until(lambda: _all_open(redis_url, faults), GIVE_UP_S), "an event did not begin again"
            growth.look(system.of("ingest")[0].pid)
    return losses, growth


def _lose(redis_url: str, fault: Fault, more_s: float) -> Loss:
    """Do a fault, wait until it is told and its event has ended, undo it, and wait for frames."""
    with closing(open_queue(redis_url)) as queue:
        before = len(_endings(redis_url, fault))
        told_s, ended_s = _measure_loss(queue, redis_url, fault, before)
        time.sleep(more_s)
        fault.undo()
        back_at = time.time()
        back_s = _seconds_until(lambda: _state(queue, fault, since=back_at) is SourceState.RUNNING)
        endings = _endings(redis_url, fault)
        return Loss(fault.source_id, told_s, ended_s, back_s, endings[before] if len(endings) > before else None)


def _measure_loss(queue: RedisQueue, redis_url: str, fault: Fault, before: int) -> tuple[float, float]:
    began_at = time.time()
    fault.do()
    done_at = time.time()
    told_s = _seconds_until(lambda: _state(queue, fault, since=began_at) is fault.told_as)
    _seconds_until(lambda: len(_endings(redis_url, fault)) > before)
    return told_s, time.time() - done_at


def _state(queue: RedisQueue, fault: Fault, *, since: float) -> SourceState | None:
    status = queue.source_statuses().get(_id(fault.source_id))
    return status.state if status is not None and status.updated_at >= since else None


def _endings(redis_url: str, fault: Fault) -> list[str | None]:
    """Return why the events of a camera have ended so far."""
    mine = [event for event in seen_events(redis_url) if event.source_id == _id(fault.source_id)]
    return [event.end_reason for event in mine if event.phase == "ended"]


def _all_open(redis_url: str, faults: Sequence[Fault]) -> bool:
    """Return whether every camera has an open event."""
    last = {event.source_id: event.phase for event in seen_events(redis_url)}
    return all(last.get(_id(fault.source_id)) in {"started", "updated"} for fault in faults)


def _seconds_until(holds: Callable[[], bool]) -> float:
    began_at = time.monotonic()
    return time.monotonic() - began_at if wait_until(holds, GIVE_UP_S, every_s=0.05) else float("inf")


def _figures(losses: Sequence[Loss]) -> list[Figure]:
    name = losses[0].source_id
    return [
        Figure.told(f"{name}: times", len(losses)),
        Figure.at_most(f"{name}: told after, the longest", max(loss.told_s for loss in losses), TOLD_WITHIN_S, "s"),
        Figure.at_most(f"{name}: frames again after", max(loss.back_s for loss in losses), BACK_WITHIN_S, "s"),
        Figure.exactly(
            f"{name}: events that ended with source_lost",
            sum(loss.ended_as == "source_lost" for loss in losses),
            len(losses),
        ),
        Figure.told(f"{name}: ended after, the longest, s", max(loss.ended_s for loss in losses)),
    ]


def _id(name: str) -> str:
    return name.replace(" ", "-")


STORM = Storm(
    name="cameras",
    shows="cameras killed, frozen, locked and unplugged: told, their events ended, found again, and no reader grows",
    run=run,
)
