"""Run storms and print their figures: `python -m tests.faults [NAME…] [--long] [--seed N]`.

The exit code is 1 when a figure is not what it has to be, or a storm could not be run.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.storm import Figure, Scale, Storm, all_storms

console = Console(highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    storms = chosen(options.names)
    if options.list:
        console.print(listed(storms))
        return 0
    kept = Path(tempfile.mkdtemp(prefix="storms-")) if options.keep is None else options.keep
    results = {storm.name: blow(storm, options, kept / storm.name) for storm in storms}
    console.print(summary(results))
    failed = [name for name, (figures, _) in results.items() if not held(figures)]
    if failed or options.keep is not None:
        console.print(f"logs and configurations: {kept}")
    else:
        shutil.rmtree(kept)
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Storms against a running system.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the storms to run; none: all of them")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--long", action="store_true", help="the long form, as `make soak` runs it")
    form.add_argument("--quick", action="store_true", help="the form that `make test` runs")
    parser.add_argument("--seed", type=int, default=7, help="of everything random (default 7)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep logs and configurations there")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    return parser.parse_args(arguments)


def chosen(names: Sequence[str]) -> list[Storm]:
    storms = {storm.name: storm for storm in all_storms()}
    if unknown := [name for name in names if name not in storms]:
        sys.exit(f"there is no storm {unknown[0]!r}: {', '.join(storms)}")
    return [storms[name] for name in names] if names else list(storms.values())


def blow(storm: Storm, options: argparse.Namespace, folder: Path) -> tuple[list[Figure], float]:
    """Run one storm, print its figures; return them and the seconds that it took."""
    console.rule(f"[bold]{storm.name}")
    console.print(storm.shows)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    scale = Scale(long=options.long, quick=options.quick, seed=options.seed, folder=folder)
    started_at = time.monotonic()
    try:
        figures = list(storm.run(scale))
    except KeyboardInterrupt:
        raise
    # One storm that cannot be run must not keep the others from it. A missing part ends it with a BaseException.
    except BaseException as error:  # noqa: BLE001 - see above
        console.print(traceback.format_exc(), markup=False)
        figures = [Figure("it could not be run", f"{type(error).__name__}: {error}", "", ok=False)]
    took_s = time.monotonic() - started_at
    console.print(table(figures))
    console.print(f"{took_s:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, seed {options.seed}\n")
    return figures, took_s


def held(figures: Sequence[Figure]) -> bool:
    return bool(figures) and all(figure.ok for figure in figures)


def table(figures: Sequence[Figure]) -> Table:
    shown = Table("figure", "", "has to be", "")
    shown.columns[1].justify = "right"
    for figure in figures:
        verdict = "" if not figure.bound and figure.ok else "[green]ok" if figure.ok else "[red]FELL SHORT"
        value = f"{figure.value:g}" if isinstance(figure.value, float) else str(figure.value)
        shown.add_row(figure.name, value, figure.bound, verdict)
    return shown


def summary(results: dict[str, tuple[list[Figure], float]]) -> Table:
    shown = Table("storm", "figures", "", "took", title="All storms")
    for name, (figures, took_s) in results.items():
        short = [figure.name for figure in figures if not figure.ok]
        verdict = "[green]held" if held(figures) else f"[red]fell short: {', '.join(short)}"
        shown.add_row(name, str(len(figures)), verdict, f"{took_s:.0f} s")
    return shown


def listed(storms: Sequence[Storm]) -> Table:
    shown = Table("storm", "shows")
    for storm in storms:
        shown.add_row(storm.name, storm.shows)
    return shown


if __name__ == "__main__":
    sys.exit(main())
