"""The vision side of the model as the scorer sees it, and how torch computes it; OpenVINO's way is in its own file."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.stages import make_stages

_GPU_CLIPS = 64


class ClipEncoder(Protocol):
    """Makes of a clip what prompts are held against."""

    @property
    def clips_at_once(self) -> int:
        """How many clips are best computed together."""

    @property
    def device(self) -> torch.device:
        """Where the results are."""

    def encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Turn clips (B, T, S, S, 3) into one vector (B, E) and the mean over time of their patches (B, P, E).

        No bit of a result depends on the clips beside it, where the device is a CPU.
        """


class TorchEncoder:
    """Both stages in torch, on the device and in the type of the model.

    A GPU wants many clips. A CPU is as fast with one, and torch rounds differently for other numbers of rows.
    """

    def __init__(self, model: XCLIPModel, rules: FrameRules) -> None:
        self._frames, self._clips = make_stages(model, rules)
        self._device = model.logit_scale.device

    @property
    def clips_at_once(self) -> int:
        return _GPU_CLIPS if self._device.type == "cuda" else 1

    @property
    def device(self) -> torch.device:
        return self._device

    @torch.inference_mode()
    def encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        batches = torch.split(self._on_device(clips), self.clips_at_once)
        parts = [self._clips(self._frames(batch.flatten(0, 1))) for batch in batches]
        videos, patches = zip(*parts, strict=True)
        return torch.cat(videos), torch.cat(patches)

    def _on_device(self, clips: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(clips if clips.flags.writeable else clips.copy())
        if self._device.type == "cuda":
            return pixels.pin_memory().to(self._device, non_blocking=True)
        return pixels.to(self._device)
