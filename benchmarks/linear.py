"""`linear_64_sources`: what a window costs from 1 to 64 sources, and what each further source needs of memory.

The real workers read small videos at their own speed, each in a process of its own, past a model of a fixed cost. The
sources are added step by step while all of it runs. The figure is how far the processor time of a window strays from
the mean over all steps: nothing else may grow with the number of sources than the windows themselves.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.footage import described, write_looped, write_small
from benchmarks.processes import Use, spent
from benchmarks.ratios import Spread, largest_deviation, slope, spread_of
from benchmarks.results import Figure
from benchmarks.scale import Scale
from benchmarks.site import TURNS, Site, shape_only
from benchmarks.system import Workers

KEY = "linear_64_sources"
AT_MOST = 0.10
COST_MS = 5.0
"""Of a window in the model: little, so that the rest shows, and 64 sources fit two cores."""
PLAYS_S = 1800.0
WITHIN_S = 300.0
BEGIN_WITHIN_S = 8.0
"""How long after the first scores of its sources a step is not looked at: they start together, and then settle."""


def measure(scale: Scale) -> Sequence[Figure]:
    steps = scale.pick(quick=(1, 4, 12), full=(1, 4, 16, 64))
    small = write_small(scale.folder / "small.mp4", seconds=20.0)
    video = write_looped(scale.folder / "long.mp4", small, seconds=PLAYS_S)
    site = Site(scale.folder, checkpoint=shape_only(scale.folder / "shape"), rule=TURNS)
    found: dict[int, list[dict[str, float]]] = {}
    memory: dict[int, dict[str, Use]] = {}
    started = time.monotonic()
    with Workers(site, scale.folder, cost_ms=COST_MS) as workers:
        ids: list[str] = []
        for step in steps:
            new = [f"source-{number}" for number in range(len(ids), step)]
            workers.follow([{"id": name, "url": str(video), "realtime": True} for name in new])
            ids += new
            wait_until_watched(workers, ids)
            ready_s = time.monotonic() - started
            time.sleep(scale.pick(quick=2.0, full=BEGIN_WITHIN_S))
            slice_s = scale.pick(quick=3.0, full=6.0)
            found[step] = [one_slice(workers, ids, seconds=slice_s) for _ in range(scale.rounds)]
            memory[step] = workers.use()
            scale.say(f"{step} sources, ready after {ready_s:.0f} s: " + said(found[step]))
    cost_each = {step: median(one["all"] for one in slices) for step, slices in found.items()}
    return [
        Figure(
            key=KEY,
            value=largest_deviation(cost_each),
            unit="share",
            rival="the mean cost of a window over all numbers of sources",
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
                "mib_for_each_further_source": {
                    role: round(slope({step: uses[role].pss_mib for step, uses in memory.items()}), 2)
                    for role in memory[steps[-1]]
                    if all(role in uses for uses in memory.values())
                },
                "memory": {str(step): plain(uses) for step, uses in memory.items()},
                "video": described(video),
                "ready_s": round(ready_s, 1),
            },
        )
    ]


def wait_until_watched(workers: Workers, ids: Sequence[str]) -> None:
    workers.wait_until(
        lambda: all(workers.judged([name]) > 0 for name in ids),
        within_s=WITHIN_S,
        what=f"not all of {len(ids)} sources are watched",
    )


def one_slice(workers: Workers, ids: Sequence[str], *, seconds: float) -> dict[str, float]:
    """Return the processor milliseconds of a window, by role and in all, and how many windows a second there were."""
    windows_before, before, start = workers.judged(ids), workers.use(memory=False), time.monotonic()
    time.sleep(seconds)
    windows, used = workers.judged(ids) - windows_before, spent(before, workers.use(memory=False))
    took_s = time.monotonic() - start
    if windows <= 0:
        raise RuntimeError(f"no window of {len(ids)} sources was judged in {seconds:.0f} s")
    by_role = {role: 1000 * value / windows for role, value in used.items()}
    return {**by_role, "all": sum(by_role.values()), "windows_per_s": windows / took_s}


def deviation_spread(found: Mapping[int, Sequence[Mapping[str, float]]]) -> Spread:
    """Return the spread of the deviation, as each round of slices alone would give it."""
    rounds = min(len(slices) for slices in found.values())
    return spread_of(
        [largest_deviation({step: slices[number]["all"] for step, slices in found.items()}) for number in range(rounds)]
    )


def plain(uses: Mapping[str, Use]) -> dict[str, Any]:
    return {role: asdict(use) for role, use in uses.items()}


def said(slices: Sequence[Mapping[str, float]]) -> str:
    return (
        f"{median(one['all'] for one in slices):.1f} ms a window, "
        f"{median(one['windows_per_s'] for one in slices):.1f} windows a second"
    )
