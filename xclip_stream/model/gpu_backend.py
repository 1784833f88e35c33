"""The model on a GPU: some sizes of batches, recorded once, and clips sent while others are computed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.model.cuda_graphs import Recorded, Recorder
from xclip_stream.model.stages import Stages
from xclip_stream.model.torch_errors import first_line, is_out_of_memory
from xclip_stream.model.uploads import Uploads

ENOUGH_ROWS = 6400
"""So many tokens keep a GPU busy: their products with matrices as small as 768×768 are 300 tiles of 128×128."""
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""No batch is filled up by more than half of its clips."""


class GpuBackend:
    """The stages in torch on a GPU, in the type of the model.

    - A kernel of a small batch is over sooner than the next one is started from Python. So all that is done to clips is
      recorded for some sizes of batches and replayed; a batch is filled up to the next size, and what comes out beyond
      it is dropped. Where recording is not possible, each kernel is started by itself, and the log says so.
    - Bytes go up, through pinned buffers that are kept, while the clips before them are computed. Nothing here waits
      for the device but for a buffer to be free: errors of the device are raised by a later call.

    For one thread. The weights have to stay where they are: recordings know their addresses.

    Args:
        clip_shape: (T, S, S, 3) of bytes.
        recorder: makes what records, anew after each `release`; None leaves recording out.
        api: torch's functions for the device; None takes those of its kind.
        sizes: how many clips may be computed together, rising from 1.
    """

    def __init__(
        self,
        stages: Stages,
        *,
        device: torch.device,
        clip_shape: tuple[int, ...],
        sizes: tuple[int, ...],
        recorder: Callable[[], Recorder] | None,
        api: Any = None,
    ) -> None:
        self._frames, self._clips, self._prompts = stages
        self._device = device
        self._clip_shape = clip_shape
        self._sizes = sizes
        self._make_recorder = recorder
        self._recorder: Recorder | None = None
        self._recorded: dict[int, Recorded] = {}
        self._input: Tensor | None = None
        self._api: Any = api or torch.get_device_module(device)
        self._uploads = Uploads(device, clip_shape, api=api)

    @property
    def clips_at_once(self) -> int:
        return self._sizes[-1]

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def summary(self) -> str:
        way = "torch" if self._make_recorder is None else "CUDA graphs"
        return f"{way} on {_name(self._device)}, {_dtype_name(self._frames.weight.dtype)}, {self._sizes[-1]} at once"

    @torch.inference_mode()
    def prepare(self) -> None:
        """Record all sizes, the largest first, and leave out those for which memory does not suffice.

        Raises:
            torch.OutOfMemoryError: it does not suffice for one clip.
        """
        while True:
            try:
                with self._on_device():
                    for size in reversed(self._sizes):
                        self._recording(size)
            except torch.OutOfMemoryError as error:
                if len(self._sizes) == 1:
                    raise
                reason = first_line(error)
            else:
                return
            # Outside the handler nothing holds the tensors of the failed attempt any more.
            structlog.get_logger().warning("gpu_batch_cut", clips=self._sizes[-1], error=reason)
            self.release()

    @torch.inference_mode()
    def encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        with self._on_device():
            most = self.clips_at_once
            parts = [self._encode(clips[start : start + most]) for start in range(0, len(clips), most)]
            if len(parts) == 1:
                return parts[0]
            videos, patches = zip(*parts, strict=True)
            return torch.cat(videos), torch.cat(patches)

    @torch.inference_mode()
    def match(self, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
        found: Tensor = self._prompts(videos, patches, prompts)
        return found

    def release(self) -> None:
        with self._on_device():
            self._api.synchronize()
            self._recorded.clear()
            self._recorder = self._input = None
            self._uploads.release()
            self._sizes = tuple(size for size in self._sizes if size == 1 or size <= self._sizes[-1] // 2)
            if self._device.type == "cuda":
                # To the allocator of some versions of torch a recording whose end failed goes on for ever, and then
                # it refuses: https://github.com/pytorch/pytorch/pull/180395. A lost device was told of above.
                with suppress(RuntimeError):
                    torch.cuda.empty_cache()

    def _encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        recording = self._recording(size_for(len(clips), self._sizes))
        if recording is None or self._input is None:
            with self._uploads.sent(clips) as pixels:
                return self._compute(pixels)
        with self._uploads.sent(clips) as pixels:
            self._input[: len(clips)].copy_(pixels)
        recording.replay()
        videos, patches = (_copy(output[: len(clips)]) for output in recording.outputs)
        return videos, patches

    def _recording(self, size: int) -> Recorded | None:
        """Return the recording for a size, made when it is first asked for; None where each kernel starts by itself."""
        if self._make_recorder is None:
            return None
        if size not in self._recorded:
            try:
                self._recorded[size] = self._record(self._make_recorder, size)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise torch.OutOfMemoryError(
                        f"out of memory while recording {size} clips: {first_line(error)}"
                    ) from error
                structlog.get_logger().warning("cuda_graphs_off", clips=size, error=first_line(error))
                self._make_recorder = self._recorder = self._input = None
                self._recorded.clear()
                return None
        return self._recorded[size]

    def _record(self, make_recorder: Callable[[], Recorder], size: int) -> Recorded:
        self._recorder = self._recorder or make_recorder()
        if self._input is None:
            shape = (self.clips_at_once, *self._clip_shape)
            self._input = torch.zeros(shape, dtype=torch.uint8, device=self._device)
        pixels = self._input[:size]
        return self._recorder.record(lambda: self._compute(pixels))

    def _compute(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self._clips(self._frames(pixels.flatten(0, 1)))
        return found

    def _on_device(self) -> AbstractContextManager[object]:
        """Make the device this thread's current one, which streams, events and recordings belong to."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()


def sizes_for(tokens_per_clip: int) -> tuple[int, ...]:
    """Return how many clips are computed together: some numbers up to what keeps a GPU busy."""
    return tuple(size for size in _SIZES if size == 1 or size * tokens_per_clip <= ENOUGH_ROWS)


def size_for(count: int, sizes: tuple[int, ...]) -> int:
    """Return the smallest of rising sizes that takes so many clips."""
    return next(size for size in sizes if size >= count)


def _copy(output: Tensor) -> Tensor:
    return torch.empty_like(output).copy_(output)


def _name(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
