"""`linear_64_sources`: what a window costs from 1 to 64 sources, and what each further source needs of memory.

The real workers read small videos at their own speed, each in a process of its own, past a model of a fixed cost. The
sources are added step by step while all of it runs, and taken away again in the same steps: a machine that grows slower
meanwhile meets few and many sources alike. The figure is how far the processor time that is used in a second strays
from the straight line over the windows in it: something is there once, and each window adds the same. The processors
are kept awake meanwhile, else what they lose by resting would be measured, and not what sources cost.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.awake import awake
from benchmarks.footage import described, write_looped, write_small
from benchmarks.processes import Use, spent
from benchmarks.ratios import Spread, largest_deviation, largest_residual, slope, spread_of, straight_line
from benchmarks.results import Figure
from benchmarks.scale import Scale
from benchmarks.site import TURNS, Site, shape_only
from benchmarks.system import Workers

KEY = "linear_64_sources"
AT_MOST = 0.10
COST_MS = 5.0
"""Of a window in the model: little, so that the rest shows."""
STRIDE_S, VIDEO_FPS = 2.0, 5
"""How often a window of each source comes, and frames: with a window and ten frames a second, 64 sources would fill two
cores, and a full machine shows how it waits, not what a window costs."""
PLAYS_S = 1800.0
WITHIN_S = 300.0
SETTLES_S = 4.0
"""How long after the first scores of its sources a step is not looked at: they start or stop together."""
AT_PACE, AT_PACE_WITHIN_S = 0.1, 90.0
"""A step is measured once its windows come as often as they are due, within this share: sources that have fallen behind
while others started catch up first."""


def measure(scale: Scale) -> Sequence[Figure]:
    steps = scale.pick(quick=(1, 4, 12), full=(1, 4, 16, 64))
    small = write_small(scale.folder / "small.mp4", seconds=20.0, fps=VIDEO_FPS)
    video = write_looped(scale.folder / "long.mp4", small, seconds=PLAYS_S)
    site = Site(scale.folder, checkpoint=shape_only(scale.folder / "shape"), rule=TURNS)
    found: dict[int, list[dict[str, float]]] = {}
    memory: dict[int, dict[str, Use]] = {}
    ready_s: dict[int, float] = {}

    def source(name: str) -> dict[str, Any]:
        return {"id": name, "url": str(video), "realtime": True, "window": {"stride_s": STRIDE_S}}

    started = time.monotonic()
    with awake(), Workers(site, scale.folder, cost_ms=COST_MS) as workers:
        watched: list[str] = []
        for step, rounds in up_and_down(steps, rounds=scale.rounds):
            wanted = [f"source-{number}" for number in range(step)]
            leave(workers, set(watched) - set(wanted))
            workers.follow([source(name) for name in wanted if name not in watched])
            watched = wanted
            wait_until_watched(workers, watched)
            ready_s.setdefault(step, time.monotonic() - started)
            time.sleep(scale.pick(quick=2.0, full=SETTLES_S))
            if not scale.quick:
                wait_until_at_pace(workers, due_per_s=step / STRIDE_S)
            slice_s = scale.pick(quick=3.0, full=6.0)
            slices = [one_slice(workers, seconds=slice_s - 0.5) for _ in range(rounds)]
            found.setdefault(step, []).extend(slices)
            memory.setdefault(step, workers.use())
            scale.say(f"{step} sources after {time.monotonic() - started:.0f} s: " + said(slices))
    busy = busy_ms(found)
    once, each = straight_line(busy)
    cost_each = {step: median(one["all"] for one in slices) for step, slices in found.items()}
    return [
        Figure(
            key=KEY,
            value=largest_residual(busy),
            unit="share",
            rival="the straight line through the processor time of all numbers of sources",
            spread=deviation_spread(found),
            at_most=AT_MOST,
            times_the_floor=cost_each[steps[-1]] / COST_MS,
            floor=f"the model's {COST_MS:g} ms, beside what a window costs in all with the most sources",
            details={
                "sources": list(steps),
                "cpu_ms_per_window": {
                    str(step): {name: round(median(one[name] for one in slices), 2) for name in slices[0]}
                    for step, slices in found.items()
                },
                "model_ms_per_window": COST_MS,
                "windows_due_per_s": {str(step): step / STRIDE_S for step in steps},
                "cores_in_use_with_the_most_sources": round(max(busy.values()) / 1000, 2),
                "line": {"cpu_ms_per_s_once": round(once, 2), "cpu_ms_for_each_window": round(each, 2)},
                "largest_deviation_of_a_window_from_their_mean": round(largest_deviation(cost_each), 4),
                "mib_for_each_further_source": {
                    role: round(slope({step: uses[role].pss_mib for step, uses in memory.items()}), 2)
                    for role in memory[steps[-1]]
                    if all(role in uses for uses in memory.values())
                },
                "memory": {str(step): plain(uses) for step, uses in memory.items()},
                "video": described(video),
                "ready_s": {str(step): round(seconds, 1) for step, seconds in ready_s.items()},
            },
        )
    ]


def up_and_down(steps: Sequence[int], *, rounds: int) -> list[tuple[int, int]]:
    """Return which numbers of sources are measured one after the other, each with how many rounds of it."""
    *smaller, largest = steps
    first = rounds - rounds // 2
    return [
        *((step, first) for step in smaller),
        (largest, rounds),
        *((step, rounds - first) for step in smaller[::-1]),
    ]


def wait_until_watched(workers: Workers, ids: Sequence[str]) -> None:
    workers.wait_until(
        lambda: all(workers.judged([name]) > 0 for name in ids),
        within_s=WITHIN_S,
        what=f"not all of {len(ids)} sources are watched",
    )


def wait_until_at_pace(workers: Workers, *, due_per_s: float) -> None:
    """Wait until windows come as often as they are due.

    Raises:
        RuntimeError: they did not in time: the machine is too small, or does other things.
    """
    until = time.monotonic() + AT_PACE_WITHIN_S
    while abs((rate := windows_per_s(workers)) / due_per_s - 1) > AT_PACE:
        if time.monotonic() > until:
            raise RuntimeError(f"{rate:.1f} windows a second come where {due_per_s:.1f} are due: too much else runs")


def windows_per_s(workers: Workers) -> float:
    before, start = workers.next_commit(within_s=WITHIN_S), time.monotonic()
    time.sleep(2 * STRIDE_S - 0.1)
    return (workers.next_commit(within_s=WITHIN_S) - before) / (time.monotonic() - start)


def leave(workers: Workers, source_ids: Collection[str]) -> None:
    """Read these sources no more, and wait until the queue knows it."""
    workers.leave(source_ids)
    workers.wait_until(
        lambda: all(workers.queue.epoch_ended(name) for name in source_ids),
        within_s=WITHIN_S,
        what=f"not all of {len(source_ids)} sources that were taken away have ended",
    )


def one_slice(workers: Workers, *, seconds: float) -> dict[str, float]:
    """Return the processor milliseconds of a window, by role and in all, and how many windows a second there were.

    It begins and ends as something is judged, so that there is no part of a window in it.
    """
    windows_before = workers.next_commit(within_s=WITHIN_S)
    before, start = workers.use(memory=False), time.monotonic()
    time.sleep(seconds)
    windows = workers.next_commit(within_s=WITHIN_S) - windows_before
    used, took_s = spent(before, workers.use(memory=False)), time.monotonic() - start
    by_role = {role: 1000 * value / windows for role, value in used.items()}
    return {**by_role, "all": sum(by_role.values()), "windows_per_s": windows / took_s}


def busy_ms(found: Mapping[int, Sequence[Mapping[str, float]]]) -> dict[float, float]:
    """Return the processor milliseconds of a second, for each number of windows in it."""
    return {
        median(one["windows_per_s"] for one in slices): median(one["all"] * one["windows_per_s"] for one in slices)
        for slices in found.values()
    }


def deviation_spread(found: Mapping[int, Sequence[Mapping[str, float]]]) -> Spread:
    """Return the spread of the figure, as each round of slices alone would give it."""
    rounds = min(len(slices) for slices in found.values())
    alone = [{step: [slices[number]] for step, slices in found.items()} for number in range(rounds)]
    return spread_of([largest_residual(busy_ms(one)) for one in alone])


def plain(uses: Mapping[str, Use]) -> dict[str, Any]:
    return {role: asdict(use) for role, use in uses.items()}


def said(slices: Sequence[Mapping[str, float]]) -> str:
    return (
        f"{median(one['all'] for one in slices):.1f} ms a window, "
        f"{median(one['windows_per_s'] for one in slices):.1f} windows a second"
    )
