"""The backend for GPUs on a CPU, where no stream is needed and a recording is a function that is called again.

No GPU has run any of this. What only a GPU can do, recording CUDA graphs, is checked at the end against stand-ins for
torch.cuda: that shows the calls and their order, and nothing of what a driver makes of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from tests.model.lazy_device import AT_LAST, LazyDevice
from tests.model.reference import make_pair
from tests.model.test_stages import rules_of
from xclip_stream.model import XCLIPModel, XCLIPVisionConfig
from xclip_stream.model.cuda_graphs import Compute, CudaRecorder, Recorded
from xclip_stream.model.gpu_backend import GpuBackend, size_for, sizes_for
from xclip_stream.model.stages import make_stages
from xclip_stream.model.torch_backend import TorchBackend

CPU = torch.device("cpu")
SHAPE = (4, 32, 32, 3)


@pytest.fixture(scope="module")
def model() -> XCLIPModel:
    return make_pair("deep integration").ours


def clips(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


class HostRecorder:
    """Records like a CUDA graph: each replay reads and writes at the same places, which all its recordings share."""

    def __init__(self, *, fails_above: int | None = None, error: Exception | None = None) -> None:
        self.fails_above = fails_above
        self.error = error
        self.rows: list[int] = []

    def record(self, compute: Compute) -> Recorded:
        outputs = compute()
        rows = len(outputs[0])
        if self.error is not None and (self.fails_above is None or rows > self.fails_above):
            raise self.error
        self.rows.append(rows)

        def replay() -> None:
            for place, output in zip(outputs, compute(), strict=True):
                place.copy_(output)

        return Recorded(replay, outputs)


def backend(model: XCLIPModel, recorder: Any = HostRecorder, **options: Any) -> GpuBackend:
    values = {"device": CPU, "clip_shape": SHAPE, "sizes": (1, 2, 4), "recorder": recorder}
    return GpuBackend(make_stages(model, rules_of(model)), **(values | options))


def assert_same(model: XCLIPModel, found: tuple[torch.Tensor, ...], batch: np.ndarray) -> None:
    for whole, expected in zip(found, TorchBackend(model, rules_of(model)).encode(batch), strict=True):
        torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recorder", [HostRecorder, None], ids=["recorded", "each kernel by itself"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 11])
def test_any_number_of_clips_gives_what_torch_gives(model, recorder, count):
    one = backend(model, recorder)
    one.encode(clips(4, seed=9))  # what a smaller batch is filled up with

    assert_same(model, one.encode(clips(count)), clips(count))


def test_results_stay_what_they_were_when_others_are_computed(model):
    one = backend(model)
    first = one.encode(clips(2))

    one.encode(clips(2, seed=1))

    assert_same(model, first, clips(2))


@pytest.mark.parametrize("seed", [AT_LAST, *range(1, 11)])
def test_results_are_right_however_late_a_device_is(model, seed):
    device = LazyDevice(seed=seed)
    batches = [clips(1 + number % 4, seed=number) for number in range(8)]
    with torch.inference_mode(), device:
        one = backend(model, lambda: device, api=device)
        found = [one.encode(batch) for batch in batches]
        device.synchronize()

    for batch, results in zip(batches, found, strict=True):
        assert_same(model, results, batch)


def test_a_size_is_recorded_once(model):
    recorder = HostRecorder()
    one = backend(model, lambda: recorder)
    for count in (3, 4, 1, 3):
        one.encode(clips(count))

    assert recorder.rows == [4, 1]


def test_all_sizes_are_recorded_beforehand_and_the_largest_first(model):
    recorder = HostRecorder()
    one = backend(model, lambda: recorder)

    one.prepare()

    assert recorder.rows == [4, 2, 1]
    assert one.clips_at_once == 4


def over(first: Exception, message: str) -> Exception:
    """The error that the end of a recording raises over the one that made it fail."""
    error = RuntimeError(message)
    error.__context__ = first
    return error


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore")


@pytest.mark.parametrize(
    "error",
    [
        OUT_OF_MEMORY,
        over(OUT_OF_MEMORY, "CUDA error: operation failed due to a previous error during capture"),
        torch.AcceleratorError("CUDA error: out of memory\nmore"),  # as the driver says it
    ],
    ids=["at the allocation", "at the end of the recording", "in the driver"],
)
def test_sizes_for_which_memory_does_not_suffice_are_left_out(model, error):
    one = backend(model, lambda: HostRecorder(fails_above=1, error=error))

    with capture_logs() as logs:
        one.prepare()

    assert one.clips_at_once == 1
    assert [(entry["event"], entry["clips"]) for entry in logs] == [("gpu_batch_cut", 4), ("gpu_batch_cut", 2)]
    assert_same(model, one.encode(clips(3)), clips(3))


def test_memory_that_does_not_suffice_for_one_clip_is_the_end(model):
    one = backend(model, lambda: HostRecorder(error=torch.OutOfMemoryError("CUDA out of memory")))

    with capture_logs(), pytest.raises(torch.OutOfMemoryError, match="recording 1 clips: CUDA out of memory"):
        one.prepare()


def test_where_recording_is_not_possible_kernels_start_by_themselves_and_the_log_says_so(model):
    error = RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
    one = backend(model, lambda: HostRecorder(error=error))

    with capture_logs() as logs:
        one.prepare()

    assert_same(model, one.encode(clips(3)), clips(3))
    assert [entry["event"] for entry in logs] == ["cuda_graphs_off"]
    assert logs[0]["error"] == "CUDA error: operation not permitted when stream is capturing"
    assert one.summary == "torch on cpu, float32, 4 at once"


def test_the_log_is_told_what_computes(model):
    assert backend(model).summary == "CUDA graphs on cpu, float32, 4 at once"


def test_what_is_released_is_recorded_anew_for_half_as_many(model):
    recorders: list[HostRecorder] = []

    def make() -> HostRecorder:
        recorders.append(HostRecorder())
        return recorders[-1]

    one = backend(model, make)
    one.prepare()

    one.release()

    assert one.clips_at_once == 2
    assert_same(model, one.encode(clips(4)), clips(4))
    assert [recorder.rows for recorder in recorders] == [[4, 2, 1], [2]]
    for _ in range(3):
        one.release()
    assert one.clips_at_once == 1


def test_an_allocator_that_gives_nothing_back_after_a_failed_recording_ends_nothing(model, monkeypatch):
    def no_release() -> None:
        raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    monkeypatch.setattr(torch.cuda, "device", lambda _device: nullcontext())
    monkeypatch.setattr(torch.cuda, "empty_cache", no_release)
    one = backend(model, device=torch.device("cuda", 0), api=torch.cpu)

    one.release()

    assert one.clips_at_once == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_a_result_is_near_to_that_in_single(model, dtype):
    one = backend(deepcopy(model).to(dtype))

    found = one.encode(clips(3))

    expected = TorchBackend(model, rules_of(model)).encode(clips(3))
    assert [part.dtype for part in found] == [dtype, dtype]
    for part, whole in zip(found, expected, strict=True):
        assert torch.nn.functional.cosine_similarity(part.float().flatten(1), whole.flatten(1)).min() > 0.999


def test_a_gpu_is_kept_busy_by_few_clips_of_a_large_model_and_by_many_of_a_small_one():
    def largest(vision: XCLIPVisionConfig) -> int:
        return sizes_for(vision.num_frames * (vision.grid_size**2 + 1))[-1]

    assert largest(XCLIPVisionConfig(patch_size=32)) == 16
    assert largest(XCLIPVisionConfig(patch_size=16)) == 4
    assert largest(XCLIPVisionConfig(patch_size=14)) == 3
    assert largest(XCLIPVisionConfig(patch_size=14, image_size=336, num_frames=16)) == 1
    assert largest(XCLIPVisionConfig(patch_size=16, image_size=32)) == 64


def test_a_batch_goes_to_the_next_size():
    sizes = sizes_for(100)

    assert [size_for(count, sizes) for count in (1, 5, 9, 64)] == [1, 6, 12, 64]
    assert all(size_for(count, sizes) <= 1.5 * count for count in range(1, 65))


# From here on torch.cuda is a stand-in: no GPU has recorded this.


class CallsOfCuda:
    """Notes what is asked of torch.cuda, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def note(self, call: str) -> None:
        self.calls.append(call)

    def put_in(self, patch: pytest.MonkeyPatch) -> None:
        calls = self

        class Stream:
            def __init__(self, name: str = "side") -> None:
                self.name = name

            def wait_stream(self, other: "Stream") -> None:
                calls.note(f"{self.name} waits for {other.name}")

        class Graph:
            def replay(self) -> None:
                calls.note("replay")

        @contextmanager
        def stream(chosen: Stream) -> Iterator[None]:
            calls.note(f"on {chosen.name}")
            yield

        @contextmanager
        def graph(_graph: Graph, *, pool: str, stream: Stream, capture_error_mode: str) -> Iterator[None]:
            calls.note(f"recording in {pool} on {stream.name}, {capture_error_mode}")
            yield
            calls.note("recorded")

        patch.setattr(torch.cuda, "Stream", Stream)
        patch.setattr(torch.cuda, "current_stream", lambda: Stream("current"))
        patch.setattr(torch.cuda, "stream", stream)
        patch.setattr(torch.cuda, "CUDAGraph", Graph)
        patch.setattr(torch.cuda, "graph", graph)
        patch.setattr(torch.cuda, "graph_pool_handle", lambda: "the pool")


def test_a_recording_is_warmed_up_and_made_on_one_side_stream_and_in_one_pool(monkeypatch):
    cuda = CallsOfCuda()
    cuda.put_in(monkeypatch)
    recorder = CudaRecorder()

    def compute() -> tuple[torch.Tensor, ...]:
        cuda.note("compute")
        return (torch.zeros(1),)

    recorder.record(compute).replay()
    first, cuda.calls = cuda.calls, []
    recorder.record(compute)

    assert first == [
        "on current",
        "side waits for current",
        *["on side", "compute", "compute", "compute"],
        *["recording in the pool on side, thread_local", "compute", "recorded"],
        "current waits for side",
        "replay",
    ]
    assert cuda.calls == first[:-1]
