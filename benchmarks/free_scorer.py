"""The score worker with a model that costs what it is told: `python -m benchmarks.free_scorer --config FILE --ms 0`.

Everything but the model is the real worker. What is found changes from window to window by a fixed draw, so that rules
have something to tell: `WANTED` is seen in about half of them.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np

from workers.main import worker_main
from workers.score import run
from xclip_stream.config import Config
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.protocols import ClipRequest
from xclip_stream.types import Logits

WANTED = "a person falling down"
CERTAIN = 8.0


class FreeScorer:
    """Scores without looking.

    Args:
        cost_s: the processor time of each window.
    """

    name = "free"
    sha256 = "0" * 64
    usual_batch_size = 1

    def __init__(self, *, cost_s: float) -> None:
        self._cost_s = cost_s
        self._draw = random.Random(0)

    def prepare(self, prompt_lists: Iterable[tuple[str, ...]]) -> None:
        """There is nothing to encode."""

    def memory_bytes(self) -> Mapping[str, int]:
        return {}

    def score(self, requests: Sequence[ClipRequest]) -> list[Logits]:
        return [self._score(request) for request in requests]

    def _score(self, request: ClipRequest) -> Logits:
        until = time.thread_time() + self._cost_s
        while time.thread_time() < until:
            pass
        logits = np.zeros((len(request.frames), len(request.prompts)), np.float32)
        if WANTED in request.prompts:
            logits[:, request.prompts.index(WANTED)] = self._draw.choice((-CERTAIN, CERTAIN))
        return logits


def load(_config: Config, *, on_progress: Callable[[], None], cost_s: float) -> BatchScorer:  # noqa: ARG001 - protocol
    return cast(BatchScorer, FreeScorer(cost_s=cost_s))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.free_scorer", description=__doc__)
    parser.add_argument("--ms", type=float, default=0.0, help="what a window costs")
    options, rest = parser.parse_known_args()
    return worker_main("score", partial(run, load=partial(load, cost_s=options.ms / 1000)), rest)


if __name__ == "__main__":
    sys.exit(main())
