"""What computes a model, and how it is chosen."""

from importlib.util import find_spec
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.errors import ConfigError
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.configuration import XCLIPVisionConfig
from xclip_stream.model.cuda_graphs import CudaRecorder
from xclip_stream.model.gpu_backend import GpuBackend, sizes_for
from xclip_stream.model.matrix_unit import matrix_unit_is_usable, matrix_unit_suits
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.stage_files import ExportedStages
from xclip_stream.model.stages import make_stages
from xclip_stream.model.torch_backend import TorchBackend

BackendKind = Literal["torch", "openvino", "amx"]
BackendName = Literal["auto"] | BackendKind
Dtype = Literal["auto", "float32", "float16", "bfloat16"]

_WORTH_PREPARING = 20_000_000
"""Weights of a vision tower below which torch is ready sooner than the others, and fast enough."""


class Backend(Protocol):
    """What computes a model: makes of a clip what prompts are held against, and holds prompts against it."""

    @property
    def clips_at_once(self) -> int:
        """How many clips are best computed together."""

    @property
    def device(self) -> torch.device:
        """Where the results are."""

    @property
    def summary(self) -> str:
        """What computes, where and how, for the log."""

    def encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Turn clips (B, T, S, S, 3) into one vector (B, E) and the mean over time of their patches (B, P, E).

        No bit of a result depends on the clips beside it, where the device is a CPU.
        """

    def match(self, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
        """Return the logits (B, K) of what `encode` made of clips and of text features (K, E) of prompts.

        As of `encode`, no bit depends on the clips beside one.
        """

    def release(self) -> None:
        """Give back what is only kept to be fast, and make do with less from now on: memory has not sufficed."""


def choose_backend(
    backend: BackendName,
    device: torch.device,
    vision: XCLIPVisionConfig,
    *,
    dtype: Dtype = "auto",
    quantised: bool = False,
) -> BackendKind:
    """Return what `auto` stands for: on a CPU, for a model of the published sizes, the fastest that is installed.

    That is the matrix unit where the processor has one and float32 is wanted, else OpenVINO. An eight-bit form is
    OpenVINO's, whatever `auto` would be without it.

    Raises:
        ConfigError: what was asked for is not installed, or cannot be used here; says why.
    """
    if quantised and backend not in ("auto", "openvino"):
        raise ConfigError(f"model.quantized needs model.backend openvino or auto, not {backend}")
    if backend == "openvino" or quantised:
        asked = "model.quantized" if quantised else "model.backend openvino"
        if (reason := _why_no_openvino(device)) is not None:
            raise ConfigError(f"{asked} {reason}")
        return "openvino"
    if backend == "amx":
        if (reason := _why_no_amx(device, vision, dtype)) is not None:
            raise ConfigError(f"model.backend amx {reason}")
        return "amx"
    # Of each block: four matrices of the attention, eight of the MLP, five of the messages, all of this width.
    weights = 17 * vision.num_hidden_layers * vision.hidden_size**2
    if backend == "torch" or weights < _WORTH_PREPARING:
        return "torch"
    if _why_no_amx(device, vision, dtype) is None:
        return "amx"
    return "openvino" if _why_no_openvino(device) is None else "torch"


def _why_no_openvino(device: torch.device) -> str | None:
    if device.type != "cpu":
        return f"is for the CPU, not for {device}; set model.device to cpu"
    if find_spec("openvino") is None:
        return "needs its extra: pip install 'xclip-stream[openvino]'"
    return None


def _why_no_amx(device: torch.device, vision: XCLIPVisionConfig, dtype: Dtype) -> str | None:
    if device.type != "cpu":
        return f"is for the CPU, not for {device}; set model.device to cpu"
    if dtype not in ("auto", "float32"):
        return f"computes in float32, not in {dtype}; set model.dtype to float32, or model.backend to openvino"
    if not matrix_unit_suits(vision):
        return "is for models of the published kind, not for this checkpoint; set model.backend to auto"
    if not matrix_unit_is_usable():
        return "needs a processor with AMX (amx_bf16 in /proc/cpuinfo), on Linux; set model.backend to auto"
    if find_spec("numba") is None:
        return "needs its extra: pip install 'xclip-stream[amx]'"
    return None


def make_backend(
    model: XCLIPModel,
    rules: FrameRules,
    *,
    backend: BackendKind,
    dtype: Dtype,
    sha256: str,
    quantised: ExportedStages | None = None,
) -> Backend:
    """Return what computes a model for each window.

    Args:
        dtype: what OpenVINO computes in; torch computes in the type of the model.
        sha256: names the weights.
        quantised: their eight-bit form, to be taken instead.

    Raises:
        CheckpointError: the exported model cannot be kept or read.
        torch.OutOfMemoryError: the memory of the GPU does not suffice for one clip.
    """
    if backend == "torch":
        by_torch = torch_backend_for(model, rules)
        if isinstance(by_torch, GpuBackend):
            by_torch.prepare()
        return by_torch
    if backend == "amx":
        from xclip_stream.model.amx_backend import AmxBackend  # noqa: PLC0415 - an extra

        by_unit = AmxBackend(model, rules, threads=torch.get_num_threads())
        by_unit.prepare()
        return by_unit
    from xclip_stream.model.openvino_backend import OpenVinoBackend, exported_stages  # noqa: PLC0415 - an extra

    return OpenVinoBackend(
        quantised or exported_stages(model, rules, sha256=sha256),
        precision="float32" if dtype == "auto" else dtype,
        threads=torch.get_num_threads(),
        form="eight bits" if quantised else "",
    )


def torch_backend_for(model: XCLIPModel, rules: FrameRules) -> Backend:
    """Return torch's way for the device that the model is on."""
    device = model.logit_scale.device
    if device.type != "cuda":
        return TorchBackend(model, rules)
    vision = model.config.vision_config
    return GpuBackend(
        make_stages(model, rules),
        device=device,
        clip_shape=(vision.num_frames, rules.image_px, rules.image_px, 3),
        sizes=sizes_for(vision.num_frames * (vision.grid_size**2 + 1)),
        recorder=CudaRecorder,
    )


def require_quantiser() -> None:
    """Check that eight-bit forms can be made here.

    Raises:
        ConfigError: a library is missing; names what to install.
    """
    if any(find_spec(name) is None for name in ("openvino", "nncf")):
        raise ConfigError("quantizing needs its extra: pip install 'xclip-stream[quantize]'")
