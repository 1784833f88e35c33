"""Records what a GPU does once, and has it done again in one call: CUDA graphs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Outputs = tuple[Tensor, ...]
Compute = Callable[[], Outputs]

_WARM_UPS = 3
"""Before recording, libraries have to be loaded, workspaces there and algorithms chosen; torch's own examples take
three."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A computation with fixed places for what goes in and comes out.

    `replay` puts it on the current stream. What then stands in `outputs` is overwritten by the next replay of any
    recording of the same recorder.
    """

    replay: Callable[[], None]
    outputs: Outputs


class Recorder(Protocol):
    """Makes recordings that are replayed one after the other, on one stream."""

    def record(self, compute: Compute) -> Recorded:
        """Record a computation that reads and writes at the same places each time, and waits for nothing.

        Raises:
            RuntimeError: it cannot be recorded, or memory does not suffice.
        """


class CudaRecorder:
    """Records CUDA graphs that share one pool of memory: it is as large as the largest of them needs.

    They may share it since they run one after the other, and since what comes out of one is copied before the next
    runs. The pool is given back when all its recordings and this recorder are gone. The device has to be the current
    one, and one thread records.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's

    def record(self, compute: Compute) -> Recorded:
        current = torch.cuda.current_stream()
        # The end of a recording that fails leaves its stream the current one: the outer context puts that right.
        with torch.cuda.stream(current):
            recorded = self._record(compute, after=current)
        current.wait_stream(self._stream)
        return recorded

    def _record(self, compute: Compute, *, after: torch.cuda.Stream) -> Recorded:
        self._stream.wait_stream(after)
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                compute()
        graph = torch.cuda.CUDAGraph()
        # thread_local: other threads may go on asking the driver, as that of the metrics does for the memory.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            outputs = compute()
        return Recorded(graph.replay, outputs)
