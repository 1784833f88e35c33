"""The parts of the benchmarks, and the process that measures one: `python -m benchmarks.parts NAME --out FILE`.

A part is a module with `measure(scale: Scale) -> Sequence[Figure]`, which gives the figures of its keys. What it raises
is the reason of all of them. Each part has a process of its own, so that none finds the memory or the threads of
another.
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.results import Figure, PartReport, figure_of, missing
from benchmarks.scale import Scale


@dataclass(frozen=True, slots=True)
class Part:
    """One module and what it gives.

    Args:
        limit_s: after so long it is ended, and has failed.
    """

    name: str
    keys: tuple[str, ...]
    shows: str
    limit_s: float = 900.0

    @property
    def module(self) -> str:
        return f"benchmarks.{self.name}"


PARTS = (
    Part(
        "score",
        ("score_exact_vs_cached", "score_reuse_vs_cached", "score_int8_vs_cached"),
        "the model alone against transformers with its text features kept",
    ),
    Part("overhead", ("pipeline_overhead_share",), "everything but decoding and the model, as a share of the model"),
    Part("queue_latency", ("queue_latency_p95_ms",), "from a complete window to its published event"),
    Part("linear", ("linear_64_sources",), "processor time of a window from 1 to 64 sources"),
    Part("idle", ("idle_cameras_vs_full_decode",), "cameras in which nothing moves against decoding all of them"),
    Part(
        "end_to_end",
        ("end_to_end_exact_vs_naive", "end_to_end_int8_vs_naive"),
        "a 1080p file to its events against a script after the documentation of transformers",
        limit_s=1500.0,
    ),
)


def part_of(name: str) -> Part:
    return next(part for part in PARTS if part.name == name)


def measure(part: Part, *, quick: bool, folder: Path) -> PartReport:
    """Measure a part here and now."""
    started, load_before, error = time.monotonic(), os.getloadavg(), ""
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")

    def say(text: str) -> None:
        print(f"  {part.name} {time.monotonic() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    found: list[Figure] = []
    try:
        if importlib.util.find_spec(part.module) is None:
            raise LookupError(f"there is no benchmarks/{part.name}.py")
        module = importlib.import_module(part.module)
        if not hasattr(module, "measure"):
            raise LookupError(f"benchmarks/{part.name}.py has no measure(scale)")
        found = list(module.measure(Scale(quick=quick, folder=folder, say=say)))
    # The top of a part: whatever went wrong is the reason of its keys, and the other parts go on.
    except Exception as failure:  # noqa: BLE001 - see above
        error = f"{type(failure).__name__}: {failure}".splitlines()[0]
        if not isinstance(failure, LookupError):
            sys.excepthook(type(failure), failure, failure.__traceback__)
    return PartReport(
        name=part.name,
        figures=complete(part, found, error=error),
        measured_at=measured_at,
        took_s=round(time.monotonic() - started, 1),
        load_before=load_before,
        load_after=os.getloadavg(),
        error=error,
    )


def complete(part: Part, found: Sequence[Figure], *, error: str) -> tuple[Figure, ...]:
    """Return a figure for each key of a part: what was found, and a reason for each that was not."""
    measured = {figure.key for figure in found}
    reason = error or "the part has not given it"
    return (*found, *(missing(key, reason) for key in part.keys if key not in measured))


def write_report(report: PartReport, path: Path) -> None:
    path.write_text(json.dumps(asdict(report), allow_nan=False))


def read_report(path: Path) -> PartReport:
    plain: dict[str, Any] = json.loads(path.read_text())
    figures = tuple(figure_of(values) for values in plain.pop("figures"))
    return PartReport(figures=figures, **{name: _tupled(value) for name, value in plain.items()})


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts", description=__doc__)
    parser.add_argument("name", choices=[part.name for part in PARTS])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        write_report(measure(part_of(options.name), quick=options.quick, folder=Path(folder)), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
