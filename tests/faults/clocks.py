"""Clocks that are set forward and back an hour, and sources whose time stamps jump.

The clock of Redis stays true: its allocator and libfaketime do not go together.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.conftest import FOOTAGE
from tests.faults.jumping_camera import jumping_camera, write_jumping_file, write_segments
from tests.faults.live_site import SeenEvent, seen_events, write_clip, write_live_site
from tests.faults.storm import Figure, Scale, Storm
from tests.faults.system import ROLES, System, wait_until
from tests.faults.wall_clock import WallClock
from tests.redis_servers import RedisServer
from tests.rtsp import Camera, need_server
from xclip_stream.queues.redis import open_queue

HOUR_S = 3600
STEPS_S = (HOUR_S, 0, -HOUR_S, 0)
"""Forward an hour, back to the truth, an hour further back, and forward again."""
SETTLES_WITHIN_S = 30.0
CAMERAS = ("yard", "jumps")
ODD = ("made_ptswrap.ts", "made_vfr_gap5s.mkv", "decord_unordered.mov", "made_bitflips.ts", "decord_corrupted.mp4")
GIVE_UP_S = 240.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out while the clock of some processes was set."""

    events: Sequence[SeenEvent]
    silent: Sequence[str]
    """Cameras of which nothing was scored after a step, with the step."""
    files_read: bool
    crashes: int


def run(scale: Scale) -> Sequence[Figure]:
    need_server()
    whole, ingest = {"all workers": ROLES}, {"the ingest worker": ("ingest",)}
    others = {"the score worker": ("score",), "the alert worker": ("alert",)}
    scenes: Mapping[str, Sequence[str]] = scale.pick(short={**whole, **ingest}, long={**whole, **ingest, **others})
    figures = list[Figure]()
    for name, faked in scenes.items():
        folder = scale.folder / name.replace(" ", "-")
        folder.mkdir()
        figures += _figures(name, _blow(folder, faked, phase_s=scale.pick(short=4.0, long=20.0)))
    return figures


def _blow(folder: Path, faked: Sequence[str], *, phase_s: float) -> Outcome:
    """Set the clock of these processes, and look whether windows of the cameras go on being scored after each step."""
    clock = WallClock(folder / "clock")
    with ExitStack() as stack:
        config = write_live_site(folder, _sources(stack, folder))
        server = stack.enter_context(RedisServer("7", "--appendonly", "no"))
        commands = {role: (*clock.at, sys.executable, "-m", f"workers.{role}") for role in faked}
        workers = dict.fromkeys(("ingest", "score", "alert"), 1)
        system = stack.enter_context(
            System(config, redis_url=server.url, workers=workers, folder=folder / "logs", commands=commands)
        )
        unseen = set(CAMERAS)
        assert wait_until(lambda: not _still_silent(server.url, unseen), GIVE_UP_S), "not every camera was scored"
        silent = list[str]()
        for step_s in STEPS_S:
            clock.set(step_s)
            waiting = set(CAMERAS)
            wait_until(lambda waiting=waiting: not _still_silent(server.url, waiting), SETTLES_WITHIN_S)
            silent += [f"{name} after {step_s:+d} s" for name in sorted(waiting)]
            time.sleep(phase_s)
        files = [source["id"] for source in _file_sources(folder)]
        read = wait_until(lambda: all(system.queue.epoch_ended(name) for name in files), GIVE_UP_S)
        return Outcome(seen_events(server.url), silent, read, len(system.crashes))


def _sources(stack: ExitStack, folder: Path) -> list[dict[str, Any]]:
    camera = Camera(write_clip(folder / "clip.mp4"))
    stack.callback(camera.kill)
    camera.start()
    jumping = stack.enter_context(jumping_camera(write_segments(folder)))
    write_jumping_file(folder)
    return [{"id": "yard", "url": camera.url()}, {"id": "jumps", "url": jumping}, *_file_sources(folder)]


def _file_sources(folder: Path) -> list[dict[str, Any]]:
    odd = [path for name in ODD if (path := FOOTAGE / "odd" / name).is_file()]
    return [{"id": f"file-{path.stem}", "url": str(path)} for path in (folder / "jumps.ts", *odd)]


def _still_silent(redis_url: str, waiting: set[str]) -> set[str]:
    """Take those cameras out of `waiting` of which windows are scored now."""
    waiting -= _grows(redis_url, waiting, 2.0)
    return waiting


def _grows(redis_url: str, names: Sequence[str] | set[str], within_s: float) -> set[str]:
    """Return the sources of which a window was scored in a short time, within one epoch."""
    with closing(open_queue(redis_url)) as queue:

        def scored() -> dict[str, int]:
            return {
                name: status.windows - status.dropped - status.expired - status.failed
                for name, status in queue.rule_statuses().items()
            }

        before = scored()
        time.sleep(within_s)
        after = scored()
    return {name for name in names if name in before and after[name] > before[name]}


def _figures(who: str, outcome: Outcome) -> list[Figure]:
    ended = [event for event in outcome.events if event.phase == "ended" and event.end_time is not None]
    ids = [event.message_id for event in outcome.events]
    started = [event.event_id for event in outcome.events if event.phase == "started"]
    return [
        Figure.told(f"{who}: events, of them ended", f"{len(started)}, {len(ended)}"),
        Figure(
            f"{who}: cameras with nothing scored after a step", ", ".join(outcome.silent), "none", not outcome.silent
        ),
        Figure.exactly(f"{who}: negative durations", sum(_duration_s(event) < 0 for event in ended)),
        Figure.exactly(
            f"{who}: negative latencies", sum(min(event.latencies_ms, default=0) < 0 for event in outcome.events)
        ),
        Figure.exactly(f"{who}: messages with an id that was there before", len(ids) - len(set(ids))),
        Figure.exactly(f"{who}: events that started twice", len(started) - len(set(started))),
        Figure.exactly(f"{who}: events that ended without a start", len({e.event_id for e in ended} - set(started))),
        Figure(f"{who}: files with jumps read to their end", "", "done", ok=outcome.files_read),
        Figure.exactly(f"{who}: ends of workers", outcome.crashes),
    ]


def _duration_s(event: SeenEvent) -> float:
    assert event.end_time is not None
    return (datetime.fromisoformat(event.end_time) - datetime.fromisoformat(event.start_time)).total_seconds()


STORM = Storm(
    name="clocks",
    shows="clocks set forward and back an hour, time stamps that jump: no negative duration, no id twice, work goes on",
    run=run,
)
