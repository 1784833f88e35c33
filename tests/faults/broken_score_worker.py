"""The score worker with a model that fails on purpose: `python -m tests.faults.broken_score_worker --config FILE …`.

Everything but the fault is the real worker. A fault hits what torch itself would do: it raises torch's own errors, or
hangs in a call into the C library, or kills the process from inside it.
"""

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from workers.main import worker_main
from workers.score import run
from xclip_stream.config import Config
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.model.scorer import ClipFeatures, Scorer

POISON_FROM = 250
"""A clip is poisonous when no byte of it is below this: a stretch of film that is white."""


def hang() -> None:
    """Wait for ever inside a native call, as a driver does that has lost its device."""
    ctypes.CDLL(None).pause()


def hang_with_lock() -> None:
    """The same without giving up Python's lock."""
    ctypes.PyDLL(None).pause()


def crash() -> None:
    """Read memory that is not there."""
    ctypes.string_at(0)


def be_killed() -> None:
    """End as the kernel ends a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.00 GiB free.\nMore.")


def take_all_memory() -> None:
    torch.empty(1 << 60, dtype=torch.uint8)


def lose_device() -> None:
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nMore.")


def fail() -> None:
    raise RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")


FAULTS: dict[str, Callable[[], None]] = {
    "hang": hang,
    "hang-with-lock": hang_with_lock,
    "crash": crash,
    "be-killed": be_killed,
    "run-out-of-memory": run_out_of_memory,
    "take-all-memory": take_all_memory,
    "lose-device": lose_device,
    "fail": fail,
}


@dataclass(slots=True)
class Faults:
    """What goes wrong, and when.

    Args:
        at_call: with the so-manieth batch, and from then on.
        above: with every batch of more clips than this.
        on_poison: with every batch that holds a poisonous clip.
        once: a file that the first process which is hit writes its number into: no other one is hit.
        slow_s: how long a clip takes longer than it has to.
    """

    fault: Callable[[], None] = fail
    at_call: int | None = None
    above: int | None = None
    on_poison: bool = False
    once: Path | None = None
    slow_s: float = 0.0
    calls: int = 0

    def strike(self, clips: NDArray[np.uint8]) -> None:
        self.calls += 1
        if self._is_due(clips):
            if self.once is not None:
                self.once.write_text(str(os.getpid()))
            self.fault()

    def _is_due(self, clips: NDArray[np.uint8]) -> bool:
        if self.once is not None and self.once.exists() and self.once.read_text() != str(os.getpid()):
            return False
        return (
            (self.at_call is not None and self.calls >= self.at_call)
            or (self.above is not None and len(clips) > self.above)
            or (self.on_poison and any(clip.min() >= POISON_FROM for clip in clips))
        )


class BrokenModel:
    """The real model, but for the fault."""

    def __init__(self, model: Scorer, faults: Faults) -> None:
        self._model = model
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode_clips(self, clips: NDArray[np.uint8], *, on_progress: Callable[[], None]) -> ClipFeatures:
        def on_clip() -> None:
            on_progress()
            time.sleep(self._faults.slow_s)

        on_progress()
        self._faults.strike(clips)
        return self._model.encode_clips(clips, on_progress=on_clip)


def load(config: Config, *, on_progress: Callable[[], None], faults: Faults) -> BatchScorer:
    torch.set_num_threads(1)
    model = Scorer.from_checkpoint(config.model.checkpoint, device="cpu")
    structlog.get_logger().info("model_loaded", model=model.name)
    return BatchScorer(cast(Scorer, BrokenModel(model, faults)), on_progress=on_progress)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.broken_score_worker")
    parser.add_argument("--fault", choices=list(FAULTS), default="fail")
    parser.add_argument("--at-call", type=int)
    parser.add_argument("--above", type=int)
    parser.add_argument("--on-poison", action="store_true")
    parser.add_argument("--once", type=Path)
    parser.add_argument("--slow-s", type=float, default=0.0)
    options, rest = parser.parse_known_args()
    faults = Faults(
        FAULTS[options.fault],
        at_call=options.at_call,
        above=options.above,
        on_poison=options.on_poison,
        once=options.once,
        slow_s=options.slow_s,
    )
    return worker_main("score", partial(run, load=partial(load, faults=faults)), rest)


if __name__ == "__main__":
    sys.exit(main())
