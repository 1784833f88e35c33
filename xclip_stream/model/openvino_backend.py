"""The model on a CPU by OpenVINO: a seventh faster than by torch exactly, and four times as fast in eight bits.

The stages of `stages.py` are exported once and kept on disk; OpenVINO compiles them for the processor at hand. The
tokens of a frame are kept between windows. Importing this needs the extra `openvino`.
"""

import inspect
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import xclip_stream.model.no_telemetry  # noqa: F401 - before OpenVINO
from xclip_stream.errors import CheckpointError
from xclip_stream.model.activations_apart import set_activations_apart
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.stage_files import ExportedStages, settings_digest
from xclip_stream.model.stages import make_stages
from xclip_stream.model.token_cache import KEPT_BYTES, TokenCache
from xclip_stream.model.torch_errors import first_line
from xclip_stream.model.user_cache import user_cache

import openvino  # isort: skip

Precision = Literal["float32", "bfloat16", "float16"]

EXPORT_VERSION = 3
"""Counts the ways in which stages were exported: part of the name under which they are kept."""
CLIPS_AT_ONCE = 4
"""More gains nothing, and the first of them waits for the last."""
_HINTS: Mapping[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVinoBackend:
    """Computes exported stages.

    In float32 it differs from torch by rounding alone; in all precisions a clip's numbers are the same to the last bit
    whatever is computed beside it, and whether or not its frames were known.

    Args:
        threads: of the processor's cores; None takes all.
        form: how the log names what is computed in, where it is not `precision`.
    """

    def __init__(
        self, stages: ExportedStages, *, precision: Precision = "float32", threads: int | None = None, form: str = ""
    ) -> None:
        core = the_core()
        # One stream: two would gain some hundredths with a full queue, and double the wait of a lone window.
        options = {"NUM_STREAMS": 1} | ({} if threads is None else {"INFERENCE_NUM_THREADS": threads})

        def compiled(path: Path, precision: Precision) -> openvino.CompiledModel:
            model = core.read_model(path)
            if precision == "float32":
                set_activations_apart(model)
            return core.compile_model(model, "CPU", options | {"INFERENCE_PRECISION_HINT": _HINTS[precision]})

        try:
            frames, self._clips = (compiled(path, precision) for path in (stages.frames, stages.clips))
            self._prompts = compiled(stages.prompts, "float32")  # as logits are, whatever the rest is in
        except RuntimeError as error:
            raise CheckpointError(
                f"{stages.folder}: OpenVINO cannot read the model there ({first_line(error)}); remove the folder"
            ) from None
        self.summary = f"OpenVINO on the CPU, {form or precision}"
        self.cache = TokenCache(lambda pixels: np.asarray(frames(pixels)[0]), max_bytes=KEPT_BYTES)

    @property
    def clips_at_once(self) -> int:
        return CLIPS_AT_ONCE

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        tokens = self.cache.tokens(clips.reshape(-1, *clips.shape[2:]))
        out = self._clips(tokens)
        # Copies: OpenVINO writes the next results into the same memory.
        return torch.from_numpy(out[0].copy()), torch.from_numpy(out[1].copy())

    def match(self, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
        out = self._prompts((videos.numpy(), patches.numpy(), prompts.numpy()))
        return torch.from_numpy(out[0].copy())

    def release(self) -> None:
        self.cache.clear()


def exported_stages(model: XCLIPModel, rules: FrameRules, *, sha256: str, cache: Path | None = None) -> ExportedStages:
    """Return the stages of a model as files, exporting them where they are not kept from an earlier start.

    What other versions have exported of the same goes then: it is half a gigabyte that nobody would miss.

    Args:
        sha256: names the weights.
        cache: the folder that keeps them; None takes that of the user.

    Raises:
        CheckpointError: they cannot be written.
    """
    settings = settings_digest(model.config, rules)
    made_of = f"{sha256[:32]}-{settings[:8]}"
    folder = (cache or user_cache("openvino")) / f"{made_of}-{EXPORT_VERSION}-{openvino.__version__.split('-')[0]}"
    kept = ExportedStages(folder)
    if kept.are_there():
        return kept
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as name:
            part = ExportedStages(Path(name) / "stages")
            export_stages(model, rules, part)
            _keep(part.folder, folder)
        for older in folder.parent.glob(f"{made_of}-*"):
            if older != folder:
                shutil.rmtree(older, ignore_errors=True)
    except OSError as error:
        raise CheckpointError(
            f"{folder.parent}: the model for OpenVINO cannot be kept there ({error.strerror}); set XDG_CACHE_HOME to a "
            "folder that can be written, or model.backend to torch"
        ) from None
    return kept


def export_stages(model: XCLIPModel, rules: FrameRules, stages: ExportedStages) -> None:
    """Write the stages of a model, in single precision."""
    side, count = rules.image_px, model.config.vision_config.num_frames
    made = make_stages(model.float(), rules)
    frames = torch.zeros(count, side, side, 3, dtype=torch.uint8)
    with torch.inference_mode():
        tokens = made.frames(frames)
        videos, patches = made.clips(tokens)
    _export(made.frames, (frames,), stages.frames)
    _export(made.clips, (tokens,), stages.clips)
    _export(made.prompts, (videos, patches, videos), stages.prompts)  # text features have the shape of videos


@cache
def the_core() -> openvino.Core:
    """Return the one core of this process, which stays to its end.

    On a processor with AMX each core has a stack of its own for signals, and puts back the one before when it goes.
    With several that go in another order than that in which they came, the next signal finds a stack that is gone, and
    the process dies.
    """
    return openvino.Core()


def _export(stage: nn.Module, example: tuple[Tensor, ...], path: Path) -> None:
    names = inspect.signature(stage.forward).parameters
    # By name: shapes without one are not known while OpenVINO converts, and how sizes are computed stays in the model.
    shapes = [(name, openvino.PartialShape([-1, *each.shape[1:]])) for name, each in zip(names, example, strict=True)]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would have its newer exporter used
        # Traced here, since OpenVINO would have torch trace it a second time and compare.
        traced = torch.jit.trace(stage, example, check_trace=False)  # type: ignore[no-untyped-call]  # torch's
        exported = openvino.convert_model(traced, input=shapes)
    openvino.save_model(exported, path, compress_to_fp16=False)


def _keep(part: Path, folder: Path) -> None:
    """Give a finished folder its name. Where another process was faster, its own will do."""
    try:
        part.rename(folder)
    except OSError:
        if not ExportedStages(folder).are_there():
            raise
