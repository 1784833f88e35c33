"""What a GPU scores: windows a second by size of batch, type, and way, beside transformers and the peak of the GPU.

    python -m benchmarks.gpu [--device cuda:0] [--model b32|b16|l14] [--dtypes float16 bfloat16] [--json FILE]
    python -m benchmarks.gpu --device cpu --quick        shows that it works; its figures say nothing

A network of a published shape with random weights. All ways run one after the other in each round, in this process.

- `windows/s`: windows of bytes in the memory of the host to what prompts are held against, uploads and all.
- `of the peak`: the arithmetic of the network in that time, as a share of what square products of the same type reach
  here. Only what the network asks for counts, not what a batch is filled up with. It is not the MFU, which takes the
  peak of the data sheet: that is windows/s × GFLOP a window ÷ that peak. A multiplication with its addition is two
  operations, where papers about networks mostly say one.
- `whole`: windows with a list of prompts of their own each, to their logits: what `workers/score.py` does between two
  calls of Redis. A camera with the usual stride gives one window a second.
- `MiB`: what torch held at most meanwhile, the weights and recordings of all ways among it.

Needs transformers for the rival. Exit code: 1 where there is no such GPU.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from transformers import XCLIPConfig as ReferenceConfig
from transformers import XCLIPModel as ReferenceModel

from benchmarks.reference import make_processor, reference_logits
from xclip_stream.errors import ConfigError
from xclip_stream.model import Scorer, XCLIPConfig, XCLIPModel, XCLIPProcessor, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.model.cuda_graphs import CudaRecorder
from xclip_stream.model.devices import choose_device
from xclip_stream.model.gpu_backend import GpuBackend, sizes_for
from xclip_stream.model.processor import normalise_frames
from xclip_stream.model.stages import make_stages
from xclip_stream.protocols import ClipRequest

Clips = NDArray[np.uint8]
Work = Callable[[], object]

GRAPHS, EAGER, RIVAL, WHOLE = "graphs", "eager", "transformers", "whole"
PROMPTS = 20
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
NO_GPU = "no GPU here: torch finds none. To see that this works: python -m benchmarks.gpu --device cpu --quick"


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is measured."""

    rounds: int
    calls: int
    """Of one way in a round, before the device is waited for."""
    peak_side: int


FULL, QUICK = Amounts(rounds=9, calls=10, peak_side=8192), Amounts(rounds=2, calls=1, peak_side=256)


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured of one way.

    Args:
        memory_mib: what torch held on the GPU at most, weights and all; None on a CPU.
    """

    dtype: str
    way: str
    batch: int
    windows_per_s: float
    of_the_peak: float
    memory_mib: float | None


def published(name: str) -> XCLIPConfig:
    """Return the shape of a published checkpoint with 8 frames, or of a tiny one."""
    match name:
        case "b32":
            return XCLIPConfig()
        case "b16":
            return XCLIPConfig(vision_config=XCLIPVisionConfig(patch_size=16))
        case "l14":
            text = XCLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12)
            vision = XCLIPVisionConfig(
                hidden_size=1024,
                intermediate_size=4096,
                num_hidden_layers=24,
                num_attention_heads=16,
                patch_size=14,
                mit_hidden_size=768,
                mit_intermediate_size=3072,
            )
            return XCLIPConfig(text_config=text, vision_config=vision, projection_dim=768)
    text = XCLIPTextConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2)
    vision = XCLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        mit_hidden_size=64,
        mit_intermediate_size=128,
        mit_num_attention_heads=2,
        image_size=32,
        patch_size=16,
        num_frames=4,
    )
    return XCLIPConfig(text_config=text, vision_config=vision, projection_dim=64, prompt_num_attention_heads=2)


def operations_per_window(config: XCLIPConfig) -> int:
    """Return the multiplications and additions of the vision side for one window, counted without computing it."""
    vision = config.vision_config
    with torch.device("meta"):
        model = XCLIPModel(config).eval()
        frames = torch.empty(1, vision.num_frames, 3, vision.image_size, vision.image_size)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        found = model.vision_model(frames)
        model.integrate(found.pooler_output)
        model.project_patches(found.last_hidden_state)
    return counted.get_total_flops()


class Bench:
    """One network of one type on one device, and the ways to compute it."""

    def __init__(self, config: XCLIPConfig, *, device: torch.device, dtype: str, amounts: Amounts) -> None:
        torch.manual_seed(0)
        self.config, self.device, self.dtype, self.amounts = config, device, dtype, amounts
        vision = config.vision_config
        self.clip_shape = (vision.num_frames, vision.image_size, vision.image_size, 3)
        self.sizes = sizes_for(vision.num_frames * (vision.grid_size**2 + 1))
        network = XCLIPModel(config).eval()
        scale = network.logit_scale.detach().clone()
        self.model = network.to(device, DTYPES[dtype])
        self.model.logit_scale.data = scale.to(device)  # as a checkpoint is read
        self.processor: XCLIPProcessor = make_processor(image_px=vision.image_size)
        self.operations = operations_per_window(config)
        self.peak = self._peak()

    def measure(self, batches: list[int]) -> list[Line]:
        backends = {EAGER: self._backend(graphs=False)}
        if self.device.type == "cuda":
            backends[GRAPHS] = self._backend(graphs=True)
        rival = self._rival()
        lines = []
        for batch in batches:
            clips = np.random.default_rng(0).integers(0, 256, (batch, *self.clip_shape), dtype=np.uint8)
            ways: dict[str, Work] = {name: _encoding(backend, clips) for name, backend in backends.items()}
            best = backends.get(GRAPHS, backends[EAGER])
            ways |= {RIVAL: lambda clips=clips: rival(clips), WHOLE: self._whole(best, clips)}
            lines += self._measure(ways, batch)
        return lines

    def _measure(self, ways: Mapping[str, Work], batch: int) -> list[Line]:
        taken: dict[str, list[float]] = {name: [] for name in ways}
        memory: dict[str, float | None] = {}
        for round_ in range(self.amounts.rounds + 1):  # the first one warms up
            for name, work in ways.items():
                if self.device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(self.device)
                seconds = self._timed(work) / self.amounts.calls
                memory[name] = self._memory_mib()
                if round_:
                    taken[name].append(seconds)
        lines = []
        for name, times in taken.items():
            windows_per_s = batch / statistics.median(times)
            share = windows_per_s * self.operations / self.peak
            lines.append(Line(self.dtype, name, batch, round(windows_per_s, 2), round(share, 4), memory[name]))
        return lines

    def _timed(self, work: Work) -> float:
        self._wait()
        start = time.perf_counter()
        for _ in range(self.amounts.calls):
            work()
        self._wait()
        return time.perf_counter() - start

    def _backend(self, *, graphs: bool) -> GpuBackend:
        backend = GpuBackend(
            make_stages(self.model, self.processor.rules),
            device=self.device,
            clip_shape=self.clip_shape,
            sizes=self.sizes,
            recorder=CudaRecorder if graphs else None,
        )
        backend.prepare()
        return backend

    def _whole(self, backend: GpuBackend, clips: Clips) -> Work:
        scorer = Scorer(self.model, self.processor, "random", "", backend)
        batch = BatchScorer(scorer)
        requests = [
            ClipRequest(frames=clip[None], prompts=tuple(f"{row} {number}" for number in range(PROMPTS)))
            for row, clip in enumerate(clips)
        ]
        batch.prepare(request.prompts for request in requests)
        return lambda: batch.score(requests)

    def _rival(self) -> Callable[[Clips], object]:
        """The model of transformers with its text features kept, the same uploads of bytes and one list of prompts."""
        reference = ReferenceModel(ReferenceConfig.from_dict(self.config.to_dict())).eval()
        reference.load_state_dict(self.model.state_dict())
        reference = reference.to(self.device, DTYPES[self.dtype])
        ids, mask = self.processor.encode_text([f"prompt {number}" for number in range(PROMPTS)])
        with torch.inference_mode():
            text = reference.get_text_features(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            ).pooler_output

        @torch.inference_mode()
        def score(clips: Clips) -> object:
            pixels = torch.from_numpy(clips).to(self.device).permute(0, 1, 4, 2, 3)
            videos = normalise_frames(pixels, self.processor.rules).to(text.dtype)
            return reference_logits(reference, videos, text)

        return score

    def _peak(self) -> float:
        """Return the operations a second of square products, the best of the rounds."""
        side = self.amounts.peak_side
        left, right = (torch.randn(side, side, device=self.device, dtype=DTYPES[self.dtype]) for _ in range(2))
        seconds = min(self._timed(lambda: left @ right) for _ in range(self.amounts.rounds + 1))
        return 2 * side**3 * self.amounts.calls / seconds

    def _memory_mib(self) -> float | None:
        if self.device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)

    def _wait(self) -> None:
        torch.get_device_module(self.device).synchronize(self.device)


def _encoding(backend: GpuBackend, clips: Clips) -> Work:
    return lambda: backend.encode(clips)


def table(lines: list[Line], *, title: str) -> Table:
    shown = Table("type", "way", "batch", "windows/s", "of the peak", "× rival", "MiB", title=title)
    for column in shown.columns[2:]:
        column.justify = "right"
    rival = {(line.dtype, line.batch): line.windows_per_s for line in lines if line.way == RIVAL}
    for line in lines:
        shown.add_row(
            line.dtype,
            line.way,
            str(line.batch),
            f"{line.windows_per_s:.1f}",
            f"{line.of_the_peak:.1%}",
            f"{line.windows_per_s / rival[line.dtype, line.batch]:.2f}",
            "" if line.memory_mib is None else f"{line.memory_mib:.0f}",
        )
    return shown


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError
    return count


def _new_file(text: str) -> Path:
    """Return the path, if a file can be there: that is to be known before anything is measured."""
    if not (path := Path(text)).parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--model", choices=["b32", "b16", "l14"], default="b32")
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=["float16", "bfloat16"])
    parser.add_argument(
        "--batches", nargs="+", type=_count, help="windows at a time; by default 1 to twice what fills it"
    )
    parser.add_argument("--quick", action="store_true", help="a tiny network, just to see that it works")
    parser.add_argument("--json", type=_new_file, help="where the figures go too")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(NO_GPU, file=sys.stderr)
        return 1
    try:
        device = choose_device(options.device)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    name = "tiny" if options.quick else options.model
    lines: list[Line] = []
    peaks: dict[str, float] = {}
    operations = 0
    for dtype in options.dtypes:
        bench = Bench(published(name), device=device, dtype=dtype, amounts=QUICK if options.quick else FULL)
        peaks[dtype], operations = bench.peak, bench.operations
        usual = [1, 2] if options.quick else sorted({1, 4, *bench.sizes[-2:], 2 * bench.sizes[-1]})
        lines += bench.measure(options.batches or usual)
    facts = about(device, name=name, operations=operations, peaks=peaks)
    best = max((line for line in lines if line.way == WHOLE), key=lambda line: line.windows_per_s)
    console = Console()
    console.print(
        table(lines, title=f"{name}, 8 frames, {PROMPTS} prompts" if name != "tiny" else "tiny: says nothing")
    )
    console.print(", ".join(f"{key}: {value}" for key, value in facts.items()))
    console.print(
        f"cameras on this GPU, a window a second each: {best.windows_per_s:.0f} at most (batches of {best.batch}, "
        f"{best.dtype}), without Redis"
    )
    if options.json:
        options.json.write_text(json.dumps({"about": facts, "lines": [asdict(line) for line in lines]}, indent=2))
    return 0


def about(device: torch.device, *, name: str, operations: int, peaks: Mapping[str, float]) -> dict[str, Any]:
    """Return what has to be reported with the figures."""
    facts: dict[str, Any] = {"model": name, "device": str(device), "torch": torch.__version__}
    facts["GFLOP a window"] = round(operations / 1e9, 2)
    facts |= {f"peak of {dtype}, TFLOP/s": round(peak / 1e12, 2) for dtype, peak in peaks.items()}
    if device.type == "cuda":
        facts |= {
            "gpu": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            "flash": torch.backends.cuda.flash_sdp_enabled(),
            "memory_mib": torch.cuda.get_device_properties(device).total_memory // 2**20,
        }
    return facts


if __name__ == "__main__":
    sys.exit(main())
