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
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.stage_files import ExportedStages
from xclip_stream.model.stages import make_stages
from xclip_stream.model.torch_backend import TorchBackend

BackendName = Literal["auto", "torch", "openvino"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]

_WORTH_EXPORTING = 20_000_000
"""Weights of a vision tower below which torch is ready sooner than OpenVINO, and fast enough."""


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
    backend: BackendName, device: torch.device, vision: XCLIPVisionConfig, *, quantised: bool = False
) -> Literal["torch", "openvino"]:
    """Return what `auto` stands for: OpenVINO for a model of the published sizes on a CPU, where it is installed.

    An eight-bit form is OpenVINO's, whatever `auto` would be without it.

    Raises:
        ConfigError: OpenVINO was asked for, and is not installed or cannot use the device.
    """
    there = find_spec("openvino") is not None
    if quantised and backend == "torch":
        raise ConfigError("model.quantized needs model.backend openvino or auto, not torch")
    if backend == "openvino" or quantised:
        asked = "model.quantized" if quantised else "model.backend openvino"
        if device.type != "cpu":
            raise ConfigError(f"{asked} is for the CPU, not for {device}; set model.device to cpu")
        if not there:
            raise ConfigError(f"{asked} needs its extra: pip install 'xclip-stream[openvino]'")
        return "openvino"
    if backend == "torch" or device.type != "cpu" or not there:
        return "torch"
    # Of each block: four matrices of the attention, eight of the MLP, five of the messages, all of this width.
    weights = 17 * vision.num_hidden_layers * vision.hidden_size**2
    return "openvino" if weights >= _WORTH_EXPORTING else "torch"


def make_backend(
    model: XCLIPModel,
    rules: FrameRules,
    *,
    backend: Literal["torch", "openvino"],
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
