"""The rival of the model: X-CLIP of transformers, with its text features kept as any user would keep them."""

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import XCLIPConfig as ReferenceConfig
from transformers import XCLIPModel as ReferenceModel

from xclip_stream.model import XCLIPModel, XCLIPProcessor
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.processor import normalise_frames
from xclip_stream.model.tokenizer import END, START, PromptTokenizer, clip_tokenizer


def make_processor(*, image_px: int) -> XCLIPProcessor:
    """A processor whose tokens are single bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), START, END]
    tokenizer = PromptTokenizer(clip_tokenizer({token: i for i, token in enumerate(tokens)}, []), max_tokens=77)
    rules = FrameRules(image_px=image_px, fit="crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    return XCLIPProcessor(tokenizer=tokenizer, rules=rules)


class Rival:
    """X-CLIP of transformers, eager, with our weights.

    Pixels are made by our own normalisation, which costs less than that of its processor: that is left out for both.
    """

    def __init__(self, model: XCLIPModel, processor: XCLIPProcessor, prompts: list[str]) -> None:
        self._model = ReferenceModel(ReferenceConfig.from_dict(model.config.to_dict())).eval()
        self._model.load_state_dict(model.state_dict())
        self._rules = processor.rules
        self._ids, self._mask = processor.encode_text(prompts)
        with torch.inference_mode():
            self._text = self._model.get_text_features(input_ids=self._ids, attention_mask=self._mask).pooler_output

    @torch.inference_mode()
    def score(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (B, K) of windows (B, T, S, S, 3), with the text features kept."""
        logits: NDArray[np.float32] = reference_logits(self._model, self._pixels(windows), self._text).numpy()
        return logits

    @torch.inference_mode()
    def score_as_documented(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same by its whole forward, which encodes the prompts each time."""
        out = self._model(input_ids=self._ids, attention_mask=self._mask, pixel_values=self._pixels(windows))
        logits: NDArray[np.float32] = out.logits_per_video.numpy()
        return logits

    def _pixels(self, windows: NDArray[np.uint8]) -> Tensor:
        return normalise_frames(torch.from_numpy(windows).permute(0, 1, 4, 2, 3), self._rules)


def reference_logits(model: ReferenceModel, videos: Tensor, text: Tensor) -> Tensor:
    """The reference's forward, from its own parts, around text features (K, E) that were kept."""
    count, frames = videos.shape[:2]
    vision = model.vision_model(pixel_values=videos.flatten(0, 1))
    video = model.mit(model.visual_projection(vision.pooler_output).view(count, frames, -1)).pooler_output
    patches = model.prompts_visual_layernorm(vision.last_hidden_state[:, 1:]) @ model.prompts_visual_projection
    patches = patches.view(count, frames, *patches.shape[1:]).mean(dim=1)
    prompted = text.unsqueeze(0).expand(count, -1, -1)
    prompted = prompted + model.prompts_generator(prompted, patches)
    video = video / video.norm(dim=-1, keepdim=True)
    prompted = prompted / prompted.norm(dim=-1, keepdim=True)
    return torch.einsum("bd,bkd->bk", video, model.logit_scale.exp() * prompted)
