"""Makes the model's inputs: prompts to ids, frames to numbers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.errors import PromptError, ScoringError
from xclip_stream.model.checkpoint_files import BILINEAR, FrameRules, read_frame_rules
from xclip_stream.model.configuration import XCLIPConfig
from xclip_stream.model.locate import open_checkpoint
from xclip_stream.model.tokenizer import PromptTokenizer

Frame = NDArray[np.uint8] | Tensor  # (H, W, 3), RGB
Video = Frame | Sequence[Frame]  # (T, H, W, 3), or T frames of any sizes


@dataclass(frozen=True, slots=True, eq=False)
class ModelInputs(Mapping[str, Tensor]):
    """The model's inputs, by attribute or as a mapping: `model(**inputs)`. What was not asked for is None."""

    input_ids: Tensor | None = None  # (K, L)
    attention_mask: Tensor | None = None  # (K, L), 1 where a token counts
    pixel_values: Tensor | None = None  # (B, T, 3, S, S)

    def __getitem__(self, key: str) -> Tensor:
        return self._present()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._present())

    def __len__(self) -> int:
        return len(self._present())

    def _present(self) -> dict[str, Tensor]:
        values = {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "pixel_values": self.pixel_values,
        }
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class XCLIPProcessor:
    """Makes inputs as the model's own training made them.

    >>> processor = XCLIPProcessor.from_pretrained("microsoft/xclip-base-patch32")      # doctest: +SKIP
    >>> inputs = processor(text=["a person falls", "a person walks"], videos=frames)    # doctest: +SKIP
    >>> model(**inputs).logits_per_video.softmax(dim=1)                                 # doctest: +SKIP
    """

    tokenizer: PromptTokenizer
    rules: FrameRules

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        videos: Video | Sequence[Video] | None = None,
        *,
        padding: bool | Literal["longest", "max_length"] = True,
        truncation: bool = False,
        return_tensors: Literal["pt"] = "pt",
    ) -> ModelInputs:
        """Make inputs of prompts, of videos, or of both.

        `text` is one prompt or several. `videos` is one video, an array (T, H, W, 3) or a list of frames (H, W, 3), or
        several; values are RGB bytes. Raises PromptError for a prompt that is too long and ScoringError for frames
        that are not such bytes.
        """
        if return_tensors != "pt":
            raise ValueError(f"return_tensors must be 'pt', not {return_tensors!r}")
        ids, mask = self.encode_text(text, padding=padding, truncation=truncation) if text is not None else (None, None)
        pixels = self.encode_videos(videos) if videos is not None else None
        return ModelInputs(input_ids=ids, attention_mask=mask, pixel_values=pixels)

    def encode_text(
        self,
        text: str | Sequence[str],
        *,
        padding: bool | Literal["longest", "max_length"] = True,
        truncation: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return ids and attention mask (K, L), L the longest prompt's or, with `max_length`, the model's."""
        prompts = [text] if isinstance(text, str) else list(text)
        if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
            raise PromptError("text must be one prompt or a list of prompts that is not empty")
        encoded = self.tokenizer.encode(prompts, truncation=truncation)
        lengths = {len(ids) for ids in encoded}
        if not padding and len(lengths) > 1:
            raise PromptError("prompts of different lengths need padding")
        width = self.tokenizer.max_tokens if padding == "max_length" else max(lengths)
        padded = torch.full((len(encoded), width), self.tokenizer.pad_id)
        mask = torch.zeros_like(padded)
        for row, ids in enumerate(encoded):
            padded[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = 1
        return padded, mask

    def encode_videos(self, videos: Video | Sequence[Video]) -> Tensor:
        """Return pixel values (B, T, 3, S, S), float32."""
        made = [self._encode_video(video) for video in _as_videos(videos)]
        if len({len(video) for video in made}) != 1:
            raise ScoringError(f"videos must have equally many frames, not {sorted({len(video) for video in made})}")
        return torch.stack(made)

    def _encode_video(self, video: Video) -> Tensor:
        if not isinstance(video, np.ndarray | Tensor | Sequence):
            raise ScoringError(f"a video must be frames (H, W, 3), each an array of bytes, not {type(video).__name__}")
        if not len(video):
            raise ScoringError("a video must have at least one frame")
        frames = torch.stack([fit_frame(_as_frame(frame), self.rules) for frame in video])  # (T, 3, S, S), bytes
        return normalise_frames(frames, self.rules)

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path, *, revision: str | None = None) -> Self:
        """Read the tokenizer and the frame rules of a checkpoint: a local folder or a hub id."""
        opened = open_checkpoint(checkpoint, revision=revision)
        config = XCLIPConfig.from_checkpoint(opened)
        return cls(
            tokenizer=PromptTokenizer.from_checkpoint(opened, max_tokens=config.text_config.max_position_embeddings),
            rules=read_frame_rules(opened, image_px=config.vision_config.image_size),
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer's files and `preprocessor_config.json`, beside which the model's own files belong."""
        self.tokenizer.save_pretrained(folder)
        text = json.dumps(preprocessor_config(self.rules), indent=2, sort_keys=True)
        (Path(folder) / "preprocessor_config.json").write_text(text + "\n", encoding="utf-8")


def fit_frame(frame: Tensor, rules: FrameRules) -> Tensor:
    """Make a frame (3, H, W) of bytes square, (3, S, S)."""
    height, width = frame.shape[-2:]
    side = rules.image_px
    if rules.fit == "stretch":
        return resize_frame(frame, side, side)
    short = min(height, width)
    frame = resize_frame(frame, side * height // short, side * width // short)
    top, left = (frame.shape[-2] - side) // 2, (frame.shape[-1] - side) // 2
    return frame[:, top : top + side, left : left + side]


def resize_frame(frame: Tensor, height: int, width: int) -> Tensor:
    """Resize a frame (3, H, W) of bytes, bilinear with antialiasing, within one grey level of Pillow and the reference.

    Like Pillow this goes along the rows, then down the columns, and rounds to bytes after each, in fixed point. The one
    level is left for its versions that turn the order round for some sizes. torch's own `interpolate` is now and then
    two levels off, and up to 175 without antialiasing.
    """
    frame = _resize_rows(frame, width)
    return _resize_rows(frame.transpose(1, 2), height).transpose(1, 2)


def _resize_rows(frame: Tensor, width: int) -> Tensor:
    """Resize (3, H, W) to (3, H, width)."""
    if frame.shape[2] == width:
        return frame
    places, weights = _taps(frame.shape[2], width, frame.device)
    sums = torch.full((*frame.shape[:2], width), _HALF, dtype=torch.int32, device=frame.device)
    for place, weight in zip(places, weights, strict=True):
        sums += frame[:, :, place].int() * weight
    return (sums >> _FRACTION_BITS).clamp_(0, 255).to(torch.uint8)


_FRACTION_BITS = 22  # leaves room for 255 times the weights, whose sum is 1, in 32 bits
_HALF = 1 << (_FRACTION_BITS - 1)


def _taps(length: int, wanted: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which of `length` pixels make each of `wanted`, and with what weights in fixed point: both (taps, wanted)."""
    scale = length / wanted
    reach = max(scale, 1.0)  # a pixel of the result sees a triangle this wide to either side
    centres = (torch.arange(wanted, dtype=torch.float64, device=device) + 0.5) * scale
    first = (centres - reach + 0.5).long().clamp(min=0)
    last = (centres + reach + 0.5).long().clamp(max=length)
    places = first + torch.arange(int((last - first).max()), device=device)[:, None]
    weights = (1 - ((places + 0.5 - centres) / reach).abs()).clamp(min=0) * (places < last)
    fixed = (weights / weights.sum(dim=0) * (1 << _FRACTION_BITS) + 0.5).int()
    return places.clamp(max=length - 1), fixed


def normalise_frames(frames: Tensor, rules: FrameRules) -> Tensor:
    """Turn bytes (…, 3, S, S) into float32: divided by 255, less the mean, over the deviation."""
    mean = torch.tensor(rules.mean, device=frames.device)[:, None, None]
    std = torch.tensor(rules.std, device=frames.device)[:, None, None]
    return frames.float().div_(255).sub_(mean).div_(std)


def preprocessor_config(rules: FrameRules) -> dict[str, object]:
    """Write frame rules with the keys of the published `preprocessor_config.json`."""
    side = rules.image_px
    square = {"height": side, "width": side}
    return {
        "feature_extractor_type": "VideoMAEFeatureExtractor",
        "image_processor_type": "VideoMAEImageProcessor",
        "do_resize": True,
        "do_center_crop": rules.fit == "crop",
        "do_rescale": True,
        "do_normalize": True,
        "size": {"shortest_edge": side} if rules.fit == "crop" else square,
        "crop_size": square,
        "resample": BILINEAR,
        "rescale_factor": 1 / 255,
        "image_mean": list(rules.mean),
        "image_std": list(rules.std),
    }


def _as_videos(videos: Video | Sequence[Video]) -> list[Video]:
    """One video or several as a list: a lone array (T, H, W, 3) or list of frames is one video."""
    if not len(videos):
        raise ScoringError("videos must hold at least one video")
    if isinstance(videos, np.ndarray | Tensor):
        return [videos] if videos.ndim == 4 else list(videos)
    first = videos[0]
    return [videos] if isinstance(first, np.ndarray | Tensor) and first.ndim == 3 else list(videos)  # type: ignore[list-item]  # frames or videos: told apart at run time


def _as_frame(frame: Frame) -> Tensor:
    """A frame as bytes (3, H, W). Floats are refused: whether they end at 1 or at 255 cannot be known."""
    if not isinstance(frame, np.ndarray | Tensor):
        raise ScoringError(f"a frame must be an array (H, W, 3) of bytes, not {type(frame).__name__}")
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape or frame.dtype not in (np.uint8, torch.uint8):
        raise ScoringError(f"a frame must be an array (H, W, 3) of uint8, not {tuple(frame.shape)} of {frame.dtype}")
    # The copy has the order of memory that torch wants: a picture turned from BGR to RGB by `[..., ::-1]` has not.
    tensor = torch.from_numpy(frame.copy()) if isinstance(frame, np.ndarray) else frame
    return tensor.permute(2, 0, 1).contiguous()
