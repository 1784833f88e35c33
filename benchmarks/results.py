"""What a run of the benchmarks says, as a file for machines and a table for people. Nothing here measures."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.ratios import Spread

SCHEMA = 1
KEYS = (
    "score_exact_vs_cached",
    "score_reuse_vs_cached",
    "score_int8_vs_cached",
    "end_to_end_exact_vs_naive",
    "end_to_end_int8_vs_naive",
    "idle_cameras_vs_full_decode",
    "pipeline_overhead_share",
    "queue_latency_p95_ms",
    "linear_64_sources",
)
"""What each results file has at its top: a number, or null and the reason under `reasons`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a part.

    Args:
        key: its name at the top of the results.
        value: the figure itself; None where it could not be measured, and then `reason` says why.
        unit: "×" for how many times the rival's cost is ours, "share", or "ms".
        rival: what it is measured against, in the same run.
        spread: of the rounds behind it.
        at_least, at_most: what is wanted of it.
        times_the_floor: how many times what this machine cannot go below; `floor` says what that is.
        details: whatever explains it: stages in processor ms, memory, times, prompts.
    """

    key: str
    value: float | None
    unit: str = "×"
    rival: str = ""
    spread: Spread | None = None
    at_least: float | None = None
    at_most: float | None = None
    times_the_floor: float | None = None
    floor: str = ""
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether it is what is wanted of it; None where nothing is wanted, or nothing was measured."""
        if self.value is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def missing(key: str, reason: str) -> Figure:
    """Return the figure that was not measured."""
    return Figure(key=key, value=None, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """What one part has measured, and when and beside what; `commit` names the code, empty outside of a repository."""

    name: str
    figures: tuple[Figure, ...]
    measured_at: str
    took_s: float
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float]
    error: str = ""
    commit: str = ""


def document(
    reports: Iterable[PartReport],
    *,
    machine: Mapping[str, Any],
    run: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the whole results file.

    Args:
        machine: what it ran on, with its peaks.
        run: what is to be said of the run itself.
        before: an older file, whose parts stay where they were not measured again.
    """
    parts, figures = dict((before or {}).get("parts", {})), dict((before or {}).get("figures", {}))
    for report in reports:
        plain = asdict(report)
        plain.pop("figures")
        plain["keys"] = [figure.key for figure in report.figures]
        parts[plain.pop("name")] = plain
        figures |= {figure.key: _plain(figure) for figure in report.figures}
    for key in KEYS:
        figures.setdefault(key, _plain(missing(key, "was not measured yet: no run had this part")))
    ordered = [*KEYS, *sorted(figures.keys() - set(KEYS))]
    return {
        "schema": SCHEMA,
        **run,
        **{key: figures[key]["value"] for key in ordered},
        "reasons": {key: figures[key]["reason"] for key in ordered if figures[key]["value"] is None},
        "machine": dict(machine),
        "parts": parts,
        "figures": {key: figures[key] for key in ordered},
    }


def _plain(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "met": figure.met}


def figure_of(plain: Mapping[str, Any]) -> Figure:
    """Return the figure that was written as plain values."""
    values = {name: value for name, value in plain.items() if name != "met"}
    return Figure(**{**values, "spread": Spread(**values["spread"]) if values["spread"] else None})


def figures_of(results: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of a results file."""
    return [figure_of(plain) for plain in results["figures"].values()]


def write(results: Mapping[str, Any], path: Path) -> None:
    """Write the file; a run that is cut off leaves the one before."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    draft.replace(path)


def table(figures: Sequence[Figure]) -> Group:
    """Return what a person reads: the figures, and below what each is held against, or why it is not there."""
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    shown.add_column("figure", no_wrap=True)
    for heading in ("", "rounds", "half between", "wanted", "× floor"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for figure in figures:
        shown.add_row(
            figure.key,
            "—" if figure.value is None else shown_value(figure.value, figure.unit),
            "" if figure.spread is None else str(figure.spread.rounds),
            "" if figure.spread is None else f"{figure.spread.low:.3g}–{figure.spread.high:.3g}",
            _wanted(figure),
            "" if figure.times_the_floor is None else f"{figure.times_the_floor:.3g}",
            style="red" if figure.value is None or figure.met is False else "",
        )
    said = [f"{figure.key}: {figure.reason or f'against {figure.rival}'}" for figure in figures]
    return Group(shown, *(Text(line) for line in said))


def shown_value(value: float, unit: str) -> str:
    """Return a value as a person reads it."""
    return {"×": f"{value:.2f}×", "share": f"{100 * value:.2f} %"}.get(unit, f"{value:.3g} {unit}")


def _wanted(figure: Figure) -> str:
    bounds = [("≥", figure.at_least), ("≤", figure.at_most)]
    return " ".join(f"{sign} {shown_value(bound, figure.unit)}" for sign, bound in bounds if bound is not None)
