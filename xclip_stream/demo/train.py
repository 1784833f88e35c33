"""Train the demo checkpoint: `python -m xclip_stream.demo.train --hours 0.8 --out runs/demo`.

Renders the footage, trains in three stages, and writes `OUT/checkpoint`. Stopped at any time it goes on from the last
saved state when started again with the same arguments.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.multiprocessing.spawn import spawn

from xclip_stream.demo.batches import Footage, encode
from xclip_stream.demo.export import export_checkpoint
from xclip_stream.demo.learner import Learner
from xclip_stream.demo.plan import TrainingPlan, plan_for, refinement_for
from xclip_stream.demo.pool import open_pool, render_pool
from xclip_stream.demo.prompts import CANONICAL, corpus
from xclip_stream.demo.script import ACTIVITIES, SHIFTED, USUAL
from xclip_stream.demo.team import Team, join, leave
from xclip_stream.demo.tokenizer import train_tokenizer
from xclip_stream.model.network import XCLIPModel

TRAINING_SEED, REFINING_SEED, CONTINUING_SEED, CHECKING_SEED = 100_000, 200_000, 300_000, 900_000
CHECKING_SCENES = 60
VOCABULARY = 900
_WORLDS = (USUAL,) * 5 + (SHIFTED,)
_SAVE_EVERY_S = 120.0


def demo_tokenizer() -> Tokenizer:
    """The demo's tokenizer, learnt from its training sentences; always the same."""
    return train_tokenizer(corpus(), vocabulary=VOCABULARY)


@torch.no_grad()
def window_accuracy(model: XCLIPModel, tokenizer: Tokenizer, footage: Footage, *, windows: int = 416) -> float:
    """The share of class-balanced windows whose main activity has the highest canonical prompt."""
    model.eval()
    ids = encode(tokenizer, [CANONICAL[activity] for activity in ACTIVITIES])
    right = []
    for part in range(windows // 32):
        batch = footage.windows(np.random.default_rng((5, part)), 32)
        scored = model(ids, batch.pixels).logits_per_video
        right.append(scored.argmax(dim=1) == batch.shares.argmax(dim=1))
    return float(torch.cat(right).float().mean())


@torch.no_grad()
def frame_accuracy(learner: Learner, footage: Footage, *, frames: int = 520) -> float:
    """The share of class-balanced single frames whose activity the frame head names."""
    vision = learner.averaged_model().vision_model
    batch = footage.frames(np.random.default_rng(6), frames)
    tokens = vision.encoder(vision.pre_layernorm(vision.embeddings(batch.pixels)), 1)
    named = learner.heads.activity(vision.post_layernorm(tokens[:, 0])).argmax(dim=1)
    return float((named == batch.activity).float().mean())


def save_state(learner: Learner, path: Path) -> None:
    """Write the learner's state so that a reader sees the old file or the new one, never half of one."""
    partial = path.with_suffix(".part")
    torch.save(learner.state_dict(), partial)
    partial.replace(path)


def train(plan: TrainingPlan, out: Path, team: Team, console: Console, *, start: Path | None = None) -> None:
    """Run the plan to its end, going on from `out/state.pt` where there is one; the first of the team writes files.

    `start` is what this run begins with: the finished state of another one, or the folder of a checkpoint.
    """
    tokenizer = demo_tokenizer()
    learner = Learner(plan, Footage(open_pool(out / "footage", mode="r")), tokenizer, team=team)
    checks = Footage(open_pool(out / "checking", mode="r"))
    state = out / "state.pt"
    if state.exists():
        learner.load_state_dict(torch.load(state, weights_only=True))
    elif start is not None and start.is_dir():
        learner.start_from_weights(load_file(start / "model.safetensors"))
    elif start is not None:
        learner.start_from(torch.load(start, weights_only=True))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=team.rank > 0) as progress:
        bar = progress.add_task("training", total=plan.steps, completed=learner.step)
        saved = time.monotonic()
        while learner.step < plan.steps:
            stage, loss = learner.advance()
            progress.update(bar, completed=learner.step, description=f"{stage} loss {loss:.2f}")
            if time.monotonic() - saved > _SAVE_EVERY_S and team.rank == 0:
                save_state(learner, state)
                console.log(_report(learner, stage, loss, tokenizer, checks))
                saved = time.monotonic()
    if team.rank == 0:
        save_state(learner, state)
        export_checkpoint(learner.averaged_model(), tokenizer, out / "checkpoint")
        console.print(_report(learner, "windows", 0.0, tokenizer, checks))


def _report(learner: Learner, stage: str, loss: float, tokenizer: Tokenizer, checks: Footage) -> str:
    if stage == "windows":
        share = window_accuracy(learner.averaged_model(), tokenizer, checks)
        return f"step {learner.step} {stage} loss {loss:.3f} windows right {share:.3f}"
    return f"step {learner.step} {stage} loss {loss:.3f} frames right {frame_accuracy(learner, checks):.3f}"


def _work(rank: int, size: int, plan: TrainingPlan, out: Path, meeting: Path, start: Path | None) -> None:
    team = join(rank, size, meeting)
    train(plan, out, team, Console(), start=start)
    leave()


def run_team(plan: TrainingPlan, out: Path, *, processes: int, start: Path | None = None) -> None:
    """Train in `processes` processes of one thread each."""
    meeting = (out / "meeting").absolute()
    meeting.unlink(missing_ok=True)
    spawn(_work, (processes, plan, out, meeting, start), nprocs=processes)  # type: ignore[no-untyped-call]  # torch's


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the demo checkpoint, from nothing or from what another run has made."""
    parser = argparse.ArgumentParser(description="Train the demo checkpoint.")
    parser.add_argument("--hours", type=float, required=True, help="about how long, on two cores; decides the steps")
    parser.add_argument("--out", type=Path, required=True, help="where footage, state and the checkpoint go")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each; part of what decides the result")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--refine", type=Path, help="the state.pt of a finished run: only windows, on other footage")
    begin.add_argument("--start", type=Path, help="the folder of a checkpoint: all stages again, on other footage")
    options = parser.parse_args(arguments)
    plan, first = _plan_of(options)
    out, start = options.out, options.refine or options.start
    seeds = range(first, first + plan.scenes)
    checking = range(CHECKING_SEED, CHECKING_SEED + CHECKING_SCENES)
    render_pool(out / "checking", checking, processes=options.processes)
    render_pool(out / "footage", seeds, worlds=_WORLDS, processes=options.processes)
    run_team(plan, out, processes=options.processes, start=start)
    Console().print(f"wrote {out / 'checkpoint'}")
    return 0


def _plan_of(options: argparse.Namespace) -> tuple[TrainingPlan, int]:
    """The plan, and the first seed of its footage."""
    if options.refine is not None:
        return refinement_for(options.hours), REFINING_SEED
    if options.start is not None:
        return replace(plan_for(options.hours), seed=20_262), CONTINUING_SEED
    return plan_for(options.hours), TRAINING_SEED


if __name__ == "__main__":
    sys.exit(main())
