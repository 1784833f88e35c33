"""Runs all benchmarks one after the other: `make bench`, or `python -m benchmarks [--only NAME…] [--quick]`.

Writes benchmarks/results.json and prints a table. With `--only` the other figures of the file stay as they were, each
part with the time at which it was measured. `--quick` measures just enough to show that each part works: its figures
say nothing, and go to benchmarks/results.quick.json.

Exit code: 0 when every figure was measured, 1 when one is null, 2 for wrong usage.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine
from benchmarks.parts import PARTS, Part, complete, read_report
from benchmarks.results import PartReport, document, figures_of, table, write

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent


def run_part(part: Part, *, quick: bool) -> PartReport:
    """Measure a part in a process of its own, which is ended with all that it has started when it takes too long."""
    started, load_before = time.monotonic(), os.getloadavg()
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder, "report.json")
        command = [sys.executable, "-m", "benchmarks.parts", part.name, "--out", str(out)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(
            [*command, *(["--quick"] if quick else [])], cwd=ROOT, env=environ, start_new_session=True
        )
        error = ""
        try:
            child.wait(part.limit_s)
        except subprocess.TimeoutExpired:
            error = f"took longer than {part.limit_s:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if out.exists():
            return read_report(out)
    error = error or f"its process ended with exit code {child.returncode}"
    return PartReport(
        name=part.name,
        figures=complete(part, [], error=error),
        measured_at=measured_at,
        took_s=round(time.monotonic() - started, 1),
        load_before=load_before,
        load_after=os.getloadavg(),
        error=error,
    )


def commit() -> str:
    """Return what names the state of the code; empty outside of a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def run(parts: Sequence[Part], *, quick: bool, out: Path, before: dict[str, Any] | None) -> int:
    started, started_at, load = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()
    console = Console(stderr=True)
    console.print("[bold]machine[/]: its own peaks")
    facts = machine.describe(quick=quick)
    reports = []
    for number, part in enumerate(parts, 1):
        console.print(f"[bold]{part.name}[/] ({number} of {len(parts)}): {part.shows}")
        reports.append(replace(run_part(part, quick=quick), commit=commit()))
        facts["load_average"] = {"start": load, "end": os.getloadavg()}
        about = {
            "quick": quick,
            "commit": commit(),
            "started_at": started_at,
            "took_s": round(time.monotonic() - started, 1),
        }
        results = document(reports, machine=facts, run=about, before=before)
        write(results, out)  # after each part: what is measured stays, whatever comes after it
    figures = figures_of(results)
    Console().print(table(figures))
    Console().print(machine.sentence(facts))
    Console().print(f"{out}  ({results['took_s']:.0f} s)")
    chosen = {key for part in parts for key in part.keys}
    return 1 if any(figure.value is None for figure in figures if figure.key in chosen) else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [part.name for part in PARTS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"these parts: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="show that the parts work, in a few minutes")
    parser.add_argument("--out", type=Path, help="where the results go")
    options = parser.parse_args()
    out = options.out or FOLDER / ("results.quick.json" if options.quick else "results.json")
    parts = [part for part in PARTS if options.only is None or part.name in options.only]
    before = json.loads(out.read_text()) if options.only and out.exists() else None
    return run(parts, quick=options.quick, out=out, before=before)


if __name__ == "__main__":
    sys.exit(main())
