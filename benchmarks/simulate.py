"""From what one window costs here to what many cameras need: arithmetic over benchmarks/results.json.

    python -m benchmarks.simulate [--cameras 10 100 …] [--gpu-windows-per-s N] [--core-month P …] [--write]

Measured: the processor time of each stage and the memory of each source. Told: what the cameras send, how full a
machine may be, and the prices. Everything scales with the windows, which `linear_64_sources` has shown up to 64
sources; that run is also predicted from its own smaller steps, and the difference shown. `--write` puts the tables
into docs/scaling.md.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.ratios import slope, straight_line

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "scaling.md"
BEGIN, END = "<!-- made by benchmarks/simulate.py -->", "<!-- end -->"
CAMERAS = (10, 100, 1_000, 10_000)
_MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured: processor milliseconds of one window by stage, and MiB for each source."""

    decode_ms: float
    read_ms: float
    redis_ms: float
    score_ms: float
    alert_ms: float
    deliver_ms: float
    model_ms: float
    reader_mib: float

    @property
    def ingest_ms(self) -> float:
        return self.decode_ms + self.read_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is told and not measured.

    Args:
        stride_s: a window of each camera comes so often.
        window_bytes: of the pictures of one window.
        camera_mbit_s: what a camera sends.
        fill: how full a core, a link or a Redis may be on average.
        link_gbit_s: the network of the machine on which a Redis runs.
        windows_waiting: of each camera in its Redis, at the most (`queue.live_windows`).
        history_mib: of each camera in its Redis (`history.hours` hours of scores).
        gpu_windows_per_s: what one GPU scores; None lets processors score.
    """

    stride_s: float = 1.0
    window_bytes: int = 8 * 224 * 224 * 3
    camera_mbit_s: float = 4.0
    fill: float = 0.6
    link_gbit_s: float = 10.0
    windows_waiting: int = 2
    history_mib: float = 3.6
    gpu_windows_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Of one month, in any currency; None where it is not known, and then there is no cost."""

    core: float | None = None
    gib: float = 0.0
    gpu: float = 0.0
    tb_sent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What so many cameras need."""

    cameras: int
    windows_per_s: float
    ingest_cores: float
    score_cores: float
    gpus: int
    other_cores: float
    shards: int
    redis_gbit_s: float
    redis_gib: float
    reader_gib: float
    camera_gbit_s: float
    cost: float | None

    @property
    def cores(self) -> int:
        """All cores, rounded up."""
        return math.ceil(self.ingest_cores + self.score_cores + self.other_cores)


def costs_of(results: Mapping[str, Any], *, model: str = "model, float32") -> Costs:
    """Read what was measured from a results file.

    Raises:
        ValueError: a part is missing that is needed; says which.
    """
    overhead, linear = (results["figures"].get(key) for key in ("pipeline_overhead_share", "linear_64_sources"))
    for name, figure in (("overhead", overhead), ("linear", linear)):
        if not figure or figure["value"] is None:
            raise ValueError(f"the part {name} was not measured: python -m benchmarks --only {name}")
    stages: Mapping[str, float] = overhead["details"]["cpu_ms_per_window"]
    if model not in stages:
        known = ", ".join(sorted(name for name in stages if name.startswith("model")))
        raise ValueError(f"{model!r} was not measured; there is {known}")
    each: Mapping[str, float] = linear["details"]["mib_for_each_further_source"]
    return Costs(
        decode_ms=stages["decode, as of a camera"],
        read_ms=stages["read"],
        redis_ms=stages["redis"],
        score_ms=stages["score"],
        alert_ms=stages["alert"],
        deliver_ms=stages["deliver"],
        model_ms=stages[model],
        reader_mib=each["ingest"],
    )


def plan(costs: Costs, site: Site, *, cameras: int, prices: Prices) -> Plan:
    """Return what so many cameras need. Cores are those that may be `fill` full."""
    windows_per_s = cameras / site.stride_s

    def cores(ms_per_window: float) -> float:
        return windows_per_s * ms_per_window / 1000 / site.fill

    by_gpu = site.gpu_windows_per_s is not None
    gpus = math.ceil(windows_per_s / (site.gpu_windows_per_s * site.fill)) if site.gpu_windows_per_s else 0
    # Each window goes in once and out once.
    redis_gbit_s = 2 * windows_per_s * site.window_bytes * 8 / 1e9
    by_processor = cores(costs.redis_ms)  # the server runs its commands in one thread
    by_network = redis_gbit_s / 2 / (site.link_gbit_s * site.fill)  # a link carries as much in as out
    redis_gib = cameras * (site.windows_waiting * site.window_bytes / 2**20 + site.history_mib) / _MIB_PER_GIB
    reader_gib = cameras * costs.reader_mib / _MIB_PER_GIB
    found = Plan(
        cameras=cameras,
        windows_per_s=windows_per_s,
        ingest_cores=cores(costs.ingest_ms),
        score_cores=cores(costs.score_ms + (0.0 if by_gpu else costs.model_ms)),
        gpus=gpus,
        other_cores=cores(costs.redis_ms + costs.alert_ms + costs.deliver_ms),
        shards=max(1, math.ceil(max(by_processor, by_network))),
        redis_gbit_s=redis_gbit_s,
        redis_gib=redis_gib,
        reader_gib=reader_gib,
        camera_gbit_s=cameras * site.camera_mbit_s / 1000,
        cost=None,
    )
    return found if prices.core is None else _priced(found, prices)


def _priced(found: Plan, prices: Prices) -> Plan:
    assert prices.core is not None
    month = (
        found.cores * prices.core
        + found.gpus * prices.gpu
        + (found.redis_gib + found.reader_gib) * prices.gib
        + found.redis_gbit_s / 8 * 1e9 * 30 * 86_400 / 1e12 * prices.tb_sent
    )
    return replace(found, cost=month / found.cameras)


@dataclass(frozen=True, slots=True)
class Check:
    """What a run had, beside what the smaller steps of the same run say that it has."""

    sources: int
    what: str
    predicted: float
    measured: float

    @property
    def off(self) -> float:
        """The difference as a share of what was measured."""
        return (self.predicted - self.measured) / self.measured


def check(linear: Mapping[str, Any]) -> list[Check]:
    """Predict the largest step of the `linear` run from its smaller ones: processors and memory.

    Args:
        linear: the details of `linear_64_sources`.

    Raises:
        ValueError: it has fewer than three steps.
    """
    steps = [int(step) for step in linear["sources"]]
    if len(steps) < 3:
        raise ValueError("a prediction needs two steps and a third one to hold against it")
    *smaller, largest = steps
    each = {step: linear["cpu_ms_per_window"][str(step)] for step in steps}
    pss = {step: sum(use["pss_mib"] for use in linear["memory"][str(step)].values()) for step in steps}
    rate = each[largest]["windows_per_s"]
    busy = {each[step]["windows_per_s"]: each[step]["all"] * each[step]["windows_per_s"] for step in smaller}
    once, more_ms = straight_line(busy)
    more = slope({step: pss[step] for step in smaller})
    return [
        Check(largest, "cores in use", (once + more_ms * rate) / 1000, rate * each[largest]["all"] / 1000),
        Check(largest, "memory, MiB", pss[smaller[-1]] + more * (largest - smaller[-1]), pss[largest]),
    ]


def plan_table(plans: Sequence[Plan]) -> str:
    """Return the plans as a Markdown table."""
    head = [
        *("cameras", "windows/s", "cores: ingest", "scoring", "Redis, rules, sinks", "GPUs", "Redis shards"),
        *("Gbit/s through Redis", "GiB in Redis", "GiB of readers", "Gbit/s from cameras"),
    ]
    rows = [
        [
            f"{one.cameras:,}",
            f"{one.windows_per_s:,.0f}",
            number(one.ingest_cores),
            number(one.score_cores),
            number(one.other_cores),
            str(one.gpus) if one.gpus else "—",
            str(one.shards),
            number(one.redis_gbit_s),
            number(one.redis_gib),
            number(one.reader_gib),
            number(one.camera_gbit_s),
        ]
        for one in plans
    ]
    if all(one.cost is not None for one in plans):
        head.append("a camera and month")
        rows = [[*row, f"{one.cost:,.2f}"] for row, one in zip(rows, plans, strict=True)]
    return markdown(head, rows)


def check_table(checks: Iterable[Check]) -> str:
    """Return the predictions as a Markdown table."""
    rows = [
        [str(one.sources), one.what, number(one.predicted), number(one.measured), f"{100 * one.off:+.0f} %"]
        for one in checks
    ]
    return markdown(["sources", "", "predicted from fewer", "measured", "off by"], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Return a number with the two digits that are known of it."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def written(page: str, made: str) -> str:
    """Return a page with what stands between its marks replaced.

    Raises:
        ValueError: it has no such marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place between {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def report(results: Mapping[str, Any], site: Site, prices: Prices, *, cameras: Sequence[int], model: str) -> str:
    """Return all tables, and what they stand on."""
    costs = costs_of(results, model=model)
    machine = results["machine"]
    ms = ", ".join(
        f"{name} {number(value)}"
        for name, value in (
            ("decoding", costs.decode_ms),
            ("the rest of reading", costs.read_ms),
            ("Redis", costs.redis_ms),
            ("the score worker without its model", costs.score_ms),
            ("the rules", costs.alert_ms),
            ("delivery", costs.deliver_ms),
            (model.replace("model, ", "the model in "), costs.model_ms),
        )
    )
    scoring = (
        "no GPU was measured: processors score"
        if site.gpu_windows_per_s is None
        else f"a GPU that scores {site.gpu_windows_per_s:g} windows a second"
    )
    figures = results["figures"]
    video = figures["pipeline_overhead_share"]["details"]["video"]
    linear = figures["linear_64_sources"]["details"]
    small = linear["video"]
    plans = [plan(costs, site, cameras=number_, prices=prices) for number_ in cameras]
    basis = (
        f"Processor milliseconds of a window on {machine['cores_for_us']} cores of {machine['processor']}: {ms}. "
        f"The cameras send {video['width_px']}×{video['height_px']} at {video['fps']:g} frames a second and "
        f"{site.camera_mbit_s:g} Mbit/s, a window each {site.stride_s:g} s. "
        f"A core, a link or a Redis is {100 * site.fill:.0f} % full; {scoring}. "
        f"A reader takes {number(costs.reader_mib)} MiB with {small['width_px']}×{small['height_px']}; "
        "larger pictures take more ([Sizing](deploy.md#sizing))."
    )
    return "\n\n".join([basis, plan_table(plans), check_table(check(linear))])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = Site()
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--cameras", type=int, nargs="+", default=CAMERAS)
    parser.add_argument("--model", default="model, float32", help="a model of cpu_ms_per_window in the results")
    parser.add_argument("--stride-s", type=float, default=usual.stride_s)
    parser.add_argument("--camera-mbit-s", type=float, default=usual.camera_mbit_s)
    parser.add_argument("--fill", type=float, default=usual.fill, help="how full a core may be on average")
    parser.add_argument("--link-gbit-s", type=float, default=usual.link_gbit_s)
    parser.add_argument("--gpu-windows-per-s", type=float, help="what one GPU scores; without it processors score")
    parser.add_argument("--core-month", type=float, help="the price of a core for a month")
    parser.add_argument("--gib-month", type=float, default=0.0)
    parser.add_argument("--gpu-month", type=float, default=0.0)
    parser.add_argument("--tb-sent", type=float, default=0.0, help="the price of a TB between machines")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    options = parser.parse_args()
    site = Site(
        stride_s=options.stride_s,
        camera_mbit_s=options.camera_mbit_s,
        fill=options.fill,
        link_gbit_s=options.link_gbit_s,
        gpu_windows_per_s=options.gpu_windows_per_s,
    )
    prices = Prices(core=options.core_month, gib=options.gib_month, gpu=options.gpu_month, tb_sent=options.tb_sent)
    try:
        results = json.loads(options.results.read_text())
        made = report(results, site, prices, cameras=options.cameras, model=options.model)
    except OSError as error:
        print(f"error: {options.results}: {error.strerror}; run make bench first", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"error: {options.results}: {error}", file=sys.stderr)
        return 1
    if options.write:
        PAGE.write_text(written(PAGE.read_text(), made))
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
