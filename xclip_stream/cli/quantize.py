"""`xclip-stream quantize`: the eight-bit form of a model, made and judged on the user's own recordings."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from xclip_stream.cli.output import emit, table_console
from xclip_stream.cli.recorded import Answers, Recording, recordings_of
from xclip_stream.config import Config, load_config
from xclip_stream.errors import ConfigError, SourceRejected
from xclip_stream.exits import FAILED, print_error
from xclip_stream.fidelity import Bounds, Fidelity, compare, shortfalls
from xclip_stream.model.backends import require_quantiser
from xclip_stream.model.quantised import write_manifest
from xclip_stream.model.scorer import Scorer
from xclip_stream.model.stage_files import ExportedStages, settings_digest
from xclip_stream.types import Window

CALIBRATE_ON = 128
"""Windows to calibrate on at most; more change little."""
JUDGE_ON = 600
"""Windows to judge at most."""
MOST_CLIPS = 256
"""Clips to calibrate on at most: a window has one for each region."""
LEAST = 30
"""Windows below which nothing can be said, of either kind."""
SAME_EVENT_S = 2.0


def quantize(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration file.")],
    footage: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE=FILE", help="Recordings of the sources; without any, those that are files."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the model goes.")] = Path("quantized"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Make the model several times faster on a CPU, in eight bits, if it says the same about your own recordings.

    The first half of each recording calibrates it. The second half is scored with both forms of the model; where their
    scores, their best prompts or the events of your rules differ too much, nothing is written, and the exit code is 1.
    The recordings should show what the cameras see: by day and by night, and some of the events.

    [bold]Examples[/bold]

      xclip-stream quantize site.yaml yard=day.mp4 yard=night.mp4 gate=gate.mp4
      xclip-stream quantize site.yaml --json | jq .fidelity
    """
    loaded = load_config(config)
    require_quantiser()
    _check_target(out)
    recordings = recordings_of(loaded, footage or [])
    counts = {recording: recording.count_windows(loaded) for recording in recordings}
    if sum(counts.values()) < 2 * LEAST:
        raise SourceRejected(
            f"the recordings have about {sum(counts.values())} windows, and {2 * LEAST} are needed: name longer ones"
        )
    exact = Scorer.from_checkpoint(
        loaded.model.checkpoint, revision=loaded.model.revision, device="cpu", dtype="float32", backend="openvino"
    )
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.absolute().parent))
    try:
        stages = _calibrate(exact, loaded, counts, part / "model")
        found = _judge(exact, stages, loaded, counts)
        problems = shortfalls(found, Bounds())
        if not problems:
            settings = settings_digest(exact.model.config, exact.processor.rules)
            write_manifest(
                stages, weights_sha256=exact.sha256, settings=settings, model=exact.name, report=asdict(found)
            )
            stages.folder.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _show(found, problems, out=out, as_json=as_json)
    if problems:
        raise typer.Exit(FAILED)


def _calibrate(exact: Scorer, config: Config, counts: Mapping[Recording, int], folder: Path) -> ExportedStages:
    """Return the eight-bit form, calibrated on the first halves."""
    from xclip_stream.model import quantise  # noqa: PLC0415 - an extra, and slow to import
    from xclip_stream.model.openvino_backend import exported_stages  # noqa: PLC0415 - an extra

    clips = []
    with _progress() as progress:
        task = progress.add_task("reading the first halves", total=None)
        for window in _picked(exact, config, counts, first=True, most=CALIBRATE_ON):
            clips += list(window.frames)
            progress.advance(task)
    files = exported_stages(exact.model, exact.processor.rules, sha256=exact.sha256)
    return quantise.quantise_stages(files, clips[:MOST_CLIPS], folder)


def _judge(exact: Scorer, stages: ExportedStages, config: Config, counts: Mapping[Recording, int]) -> Fidelity:
    """Hold both forms of the model against each other on the second halves."""
    from xclip_stream.model.openvino_backend import OpenVinoBackend  # noqa: PLC0415 - an extra

    quick = Scorer(exact.model, exact.processor, exact.name, exact.sha256, OpenVinoBackend(stages))
    answers = Answers(exact, config), Answers(quick, config)
    total = sum(min(count - count // 2, JUDGE_ON // len(counts)) for count in counts.values())
    with _progress() as progress:
        task = progress.add_task("comparing on the second halves", total=total)
        for window in _picked(exact, config, counts, first=False, most=JUDGE_ON):
            for each in answers:
                each.hear(window)
            progress.advance(task)
    return _fidelity(*answers)


def _picked(
    scorer: Scorer, config: Config, counts: Mapping[Recording, int], *, first: bool, most: int
) -> Iterator[Window]:
    """Yield windows of the first or second half of each recording.

    Those of the first are spread evenly, so that they show as much as they can; those of the second follow each other,
    so that rules can judge them.
    """
    share = most // len(counts) or 1
    for recording, count in counts.items():
        windows = recording.windows(config, scorer.geometry)
        if first:
            yield from islice(windows, 0, count // 2, max(1, ceil(count / 2 / share)))
        else:
            yield from islice(windows, count // 2, count // 2 + share)


def _fidelity(exact: Answers, quick: Answers) -> Fidelity:
    return compare(
        (np.array(exact.vectors), np.array(quick.vectors)),
        (exact.best, quick.best),
        (np.array(exact.scores), np.array(quick.scores)),
        (exact.starts, quick.starts),
        within_s=SAME_EVENT_S,
    )


def _check_target(out: Path) -> None:
    """Find out before the work that the result can be kept."""
    if out.exists():
        raise ConfigError(f"{out}: is there already; name another folder, or remove it")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.absolute().parent}")


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _show(found: Fidelity, problems: Sequence[str], *, out: Path, as_json: bool) -> None:
    if as_json:
        plain = {"written": None if problems else str(out), "fidelity": asdict(found), "problems": list(problems)}
        emit(json.dumps(plain, indent=2))
    else:
        table_console().print(_table(found))
    for problem in problems:
        print_error(problem)
    if problems:
        print_error("not faithful enough: nothing was written; calibrate on more of what the cameras see")
    elif not as_json:
        emit(f"{out}: written; for workers to take it, set model.quantized to this folder")


def _table(found: Fidelity) -> Table:
    bounds = Bounds()
    table = Table("eight bits against exact", "", "wanted", title=f"{found.windows} windows", title_justify="left")
    table.add_row("agreement of vectors, 1st percentile", f"{found.cosine_p1:.3f}", f"≥ {bounds.cosine_p1:g}")
    table.add_row("difference of scores, 99th percentile", f"{found.score_p99:.3f}", f"≤ {bounds.score_p99:g}")
    table.add_row("difference of scores, largest", f"{found.score_max:.3f}", "")
    table.add_row("same best prompt", f"{100 * found.best_prompt:.1f} %", f"≥ {100 * bounds.best_prompt:g} %")
    events = f"{found.events - found.missed} of {found.events}, {found.extra} new"
    table.add_row("same events", events, "all, none new")
    return table
