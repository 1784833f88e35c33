"""`queue_latency_p95_ms`: from a complete window to its published event, on an idle machine, without the model.

Cameras over HTTP are read as they come, their windows go through the real workers and a real Redis past a model that
costs nothing, and a reader that waits on the public stream notes when each event is there. What it takes away is
`produced_at`, when the last frame of the window was decoded and the window complete. All clocks are of this machine.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from benchmarks.bare_hops import bare_hops
from benchmarks.camera import camera
from benchmarks.footage import described, write_looped, write_small
from benchmarks.ratios import quantile, spread_of
from benchmarks.results import Figure
from benchmarks.scale import Scale
from benchmarks.site import TURNS, Site, shape_only
from benchmarks.system import Workers
from xclip_stream.events import parse_event

KEY = "queue_latency_p95_ms"
AT_MOST_MS = 50.0
CAMERAS = 2
WINDOW = {"span_s": 2.0, "stride_s": 0.25}
"""Four windows a second of each camera, of which half tell something: enough events in a minute or so."""
WITHIN_S = 300.0
PLAYS_S = 1200.0


@dataclass(frozen=True, slots=True)
class Way:
    """How long the parts of the way of one event took, in milliseconds."""

    to_scored: float
    to_committing: float
    to_reader: float

    @property
    def whole(self) -> float:
        return self.to_scored + self.to_committing + self.to_reader


def measure(scale: Scale) -> Sequence[Figure]:
    per_round = scale.pick(quick=10, full=40)
    video = write_small(scale.folder / "small.mp4", seconds=20.0)
    stream = write_looped(scale.folder / "camera.ts", video, seconds=PLAYS_S)
    site = Site(scale.folder, checkpoint=shape_only(scale.folder / "shape"), rule=TURNS)
    rounds: list[list[Way]] = []
    floors: list[list[float]] = []
    with ExitStack() as stack:
        urls = [stack.enter_context(camera(stream, seconds=PLAYS_S)) for _ in range(CAMERAS)]
        sources = [{"id": f"camera-{number}", "url": url, "window": WINDOW} for number, url in enumerate(urls)]
        started = time.monotonic()
        workers = stack.enter_context(Workers(site, scale.folder, cost_ms=0.0, sources=sources))
        ids = [str(source["id"]) for source in sources]
        workers.wait_until(
            lambda: all(workers.judged([source_id]) > 10 for source_id in ids),
            within_s=WITHIN_S,
            what="not every camera is watched",
        )
        ready_s = time.monotonic() - started
        hops = stack.enter_context(bare_hops(workers.url))
        for number in range(scale.rounds):
            floors.append(hops.times_ms(times=per_round))
            rounds.append(list(ways(workers, count=per_round)))
            scale.say(f"round {number + 1} of {scale.rounds}: p95 {p95(rounds[-1]):.1f} ms")
        memory = {role: asdict(use) for role, use in workers.use().items()}
    events, bare = [way for one in rounds for way in one], [time_ms for one in floors for time_ms in one]
    return [
        Figure(
            key=KEY,
            value=p95(events),
            unit="ms",
            rival="the same bytes over three bare hops of the same Redis",
            spread=spread_of([p95(one) for one in rounds]),
            at_most=AT_MOST_MS,
            times_the_floor=median_of(events) / statistics.median(bare),
            floor="the median of three bare hops, beside the median of the way of an event",
            details={
                "events": len(events),
                "median_ms": round(median_of(events), 2),
                "p99_ms": round(quantile([way.whole for way in events], 0.99), 2),
                "longest_ms": round(max(way.whole for way in events), 2),
                "median_ms_of_each_part": {
                    "window complete, to its scores published": part(events, "to_scored"),
                    "to the rules that commit": part(events, "to_committing"),
                    "to the reader of the public stream": part(events, "to_reader"),
                },
                "bare_hops": {"median_ms": statistics.median(bare), "p95_ms": quantile(bare, 0.95)},
                "windows_per_s": CAMERAS / WINDOW["stride_s"],
                "video": described(stream),
                "memory": memory,
                "ready_s": round(ready_s, 1),
            },
        )
    ]


def ways(workers: Workers, *, count: int) -> Iterator[Way]:
    """Wait for so many events of windows, and yield the way of each."""
    last, found, until = workers.queue.last_event_id(), 0, time.monotonic() + WITHIN_S
    while found < count:
        if time.monotonic() > until:
            raise RuntimeError(f"only {found} events in {WITHIN_S:.0f} s")
        for entry_id, body in workers.queue.read_events(after_id=last, max_count=1, block_s=2.0):
            read_at, last = time.time(), entry_id
            event = parse_event(body)
            if event.latency is None or found == count:
                continue
            found += 1
            captured_at, latency = event.window.captured_at, event.latency
            yield Way(
                to_scored=latency.scored_ms - latency.produced_ms,
                to_committing=latency.committed_ms - latency.scored_ms,
                to_reader=1000 * (read_at - captured_at) - latency.committed_ms,
            )


def p95(events: Sequence[Way]) -> float:
    return quantile([way.whole for way in events], 0.95)


def median_of(events: Sequence[Way]) -> float:
    return statistics.median(way.whole for way in events)


def part(events: Sequence[Way], name: str) -> float:
    return round(statistics.median(float(getattr(way, name)) for way in events), 2)
