"""The model by torch, on a CPU and on whatever else is no CUDA device."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.stages import PromptStage, make_stages


class TorchBackend:
    """The stages in torch, on the device and in the type of the model, one clip at a time.

    A CPU is as fast with one as with many, and torch rounds differently for other numbers of rows.
    """

    def __init__(self, model: XCLIPModel, rules: FrameRules) -> None:
        self._frames, self._clips, self._prompts = make_stages(model, rules)
        self._device = model.logit_scale.device

    @property
    def clips_at_once(self) -> int:
        return 1

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def summary(self) -> str:
        return f"torch on {self._device}, {str(self._frames.weight.dtype).removeprefix('torch.')}"

    @torch.inference_mode()
    def encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        is_plain = clips.flags.writeable and clips.flags.c_contiguous  # torch takes no steps backwards
        pixels = torch.from_numpy(clips if is_plain else clips.copy()).to(self._device)
        parts = [self._clips(self._frames(clip)) for clip in pixels]
        videos, patches = zip(*parts, strict=True)
        return torch.cat(videos), torch.cat(patches)

    @torch.inference_mode()
    def match(self, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
        return match_apart(self._prompts, videos, patches, prompts)

    def release(self) -> None:
        """Nothing is kept."""


def match_apart(stage: PromptStage, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
    """Return the logits (B, K) of clips, computed one by one: torch rounds differently for other numbers of rows."""
    parts = zip(torch.split(videos, 1), torch.split(patches, 1), strict=True)
    return torch.cat([stage(*part, prompts) for part in parts])
