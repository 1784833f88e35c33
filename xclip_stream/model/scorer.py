"""Scores clips against prompts: what the pipeline uses of the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.errors import CheckpointError, PromptError, ScoringError
from xclip_stream.model.backends import Backend, BackendName, Dtype, choose_backend, make_backend, torch_backend_for
from xclip_stream.model.checkpoint_files import find_weights
from xclip_stream.model.configuration import XCLIPConfig
from xclip_stream.model.devices import choose_device, choose_dtype
from xclip_stream.model.locate import open_checkpoint
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.processor import XCLIPProcessor
from xclip_stream.model.quantised import open_quantised
from xclip_stream.model.stage_files import settings_digest
from xclip_stream.types import ClipGeometry

# How much is computed together: at the widest (four times the joint width for each pair of clip and prompt) tens of
# megabytes on a CPU, and on a GPU, where fewer calls count, a hundred.
_CLIPS_AT_ONCE = 64
_PROMPTS_AT_ONCE = 128
_PAIRS_AT_ONCE = 4096
_GPU_PAIRS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class PromptFeatures:
    """An explicit list of prompts with what the text tower makes of them, features (K, E)."""

    prompts: tuple[str, ...]
    features: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class ClipFeatures:
    """What the vision side makes of N clips: one vector (N, E), and the mean over time of their patches (N, P, E)."""

    videos: Tensor
    patches: Tensor

    def __len__(self) -> int:
        return len(self.videos)


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """Encodes prompts once, clips as they come, and gives the logit of each pair.

    Clips of different sources go through the vision tower together and then each meet their own prompts:

    >>> scorer = Scorer.from_checkpoint("microsoft/xclip-base-patch32")     # doctest: +SKIP
    >>> yard = scorer.encode_prompts(["a person climbs a fence", "an empty yard"])      # doctest: +SKIP
    >>> clips = scorer.encode_clips(windows)                                # doctest: +SKIP
    >>> scorer.logits(clips, rows=[0, 2], prompts=yard)                     # doctest: +SKIP
    """

    model: XCLIPModel
    processor: XCLIPProcessor
    name: str
    sha256: str
    backend: Backend

    @classmethod
    def of(cls, model: XCLIPModel, processor: XCLIPProcessor, *, name: str, sha256: str = "") -> Self:
        """Return the scorer of a model that is in memory, computed by torch as it is now."""
        return cls(model, processor, name, sha256, torch_backend_for(model, processor.rules))

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | Path,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: Dtype = "auto",
        backend: BackendName = "auto",
        quantised: Path | None = None,
    ) -> Self:
        """Read a checkpoint: a local folder or a hub id.

        `device` `auto` is the GPU where there is one that torch can use. `dtype` `auto` is half precision on a GPU and
        single on a CPU; logits are computed in single precision in any case. `backend` `auto` is the fastest exact one
        that is installed (see `choose_backend`). `quantised` is a folder with the eight-bit form of the same
        checkpoint; name and digest of the scorer say so. Raises CheckpointError, in one line, and ConfigError for a
        device or a backend that is not there.
        """
        opened = open_checkpoint(checkpoint, revision=revision)
        chosen = choose_device(device)
        vision = XCLIPConfig.from_checkpoint(opened).vision_config
        kind = choose_backend(backend, chosen, vision, dtype=dtype, quantised=quantised is not None)
        own = torch.float32 if kind != "torch" else choose_dtype(dtype, chosen)
        model = XCLIPModel.from_pretrained(checkpoint, revision=opened.revision, device=chosen, dtype=own)
        processor = XCLIPProcessor.from_pretrained(checkpoint, revision=opened.revision)
        room = model.config.text_config.vocab_size
        if processor.tokenizer.size > room:
            raise CheckpointError(
                f"{checkpoint}: the tokenizer has {processor.tokenizer.size} tokens, the model takes {room}"
            )
        name, sha256 = opened.name, find_weights(opened).sha256()
        settings = settings_digest(model.config, processor.rules)
        quick = None if quantised is None else open_quantised(quantised, weights_sha256=sha256, settings=settings)
        computed_by = make_backend(
            model,
            processor.rules,
            backend=kind,
            dtype=dtype,
            sha256=sha256,
            quantised=None if quick is None else quick.stages,
        )
        if quick is not None:
            name, sha256 = f"{name}-int8", quick.sha256
        return cls(model=model, processor=processor, name=name, sha256=sha256, backend=computed_by)

    @property
    def geometry(self) -> ClipGeometry:
        """The clips that `encode_clips` takes."""
        rules, vision = self.processor.rules, self.model.config.vision_config
        return ClipGeometry(num_frames=vision.num_frames, image_px=rules.image_px, fit=rules.fit)

    @property
    def device(self) -> torch.device:
        return self.backend.device

    @property
    def clips_at_once(self) -> int:
        """How many clips are computed together."""
        return self.backend.clips_at_once

    @property
    def summary(self) -> str:
        """What computes, where and how, for the log."""
        return self.backend.summary

    def release(self) -> None:
        """Give back what is only kept to be fast, and make do with less from now on: memory has not sufficed."""
        self.backend.release()

    @torch.inference_mode()
    def encode_prompts(self, prompts: Sequence[str]) -> PromptFeatures:
        """Encode prompts; the features are theirs alone and may be kept as long as the scorer lives.

        Raises PromptError naming a prompt that is too long, ScoringError naming one whose features are not finite.
        """
        if not prompts:
            raise PromptError("no prompt was given")
        ids = self.processor.tokenizer.encode(prompts)
        features = torch.empty(len(ids), self.model.config.projection_dim, dtype=self._dtype, device=self.device)
        for rows in _rows_of_equal_length(ids):
            same_length = torch.tensor([ids[row] for row in rows], device=self.device)
            features[rows] = self.model.get_text_features(same_length)
        finite = features.isfinite().all(dim=1)
        if not finite.all():
            bad = prompts[int(finite.int().argmin())]
            raise ScoringError(f"the model gives no finite features for prompt {bad!r}")
        return PromptFeatures(tuple(prompts), features)

    @torch.inference_mode()
    def encode_clips(self, clips: NDArray[np.uint8], *, on_progress: Callable[[], None] | None = None) -> ClipFeatures:
        """Encode clips (N, T, S, S, 3) of RGB bytes, of the shape that `geometry` gives.

        `on_progress` is called before each part that is computed together.
        """
        self._check(clips)
        parts = []
        for start in range(0, len(clips), self.clips_at_once):
            if on_progress is not None:
                on_progress()
            parts.append(self.backend.encode(clips[start : start + self.clips_at_once]))
        videos, patches = zip(*parts, strict=True)
        return ClipFeatures(videos=torch.cat(videos), patches=torch.cat(patches))

    @torch.inference_mode()
    def logits(self, clips: ClipFeatures, rows: Sequence[int] | None, prompts: PromptFeatures) -> NDArray[np.float32]:
        """Return the logits (n, K) of the clips in `rows`, all where None, against all prompts.

        A prompt's logit does not depend on the other prompts. Raises ScoringError naming a pair that is not finite.
        """
        chosen = list(range(len(clips)) if rows is None else rows)
        if not chosen:
            return np.empty((0, len(prompts.prompts)), dtype=np.float32)
        at_once = _CLIPS_AT_ONCE if self.device.type == "cuda" else self.clips_at_once
        videos, patches = torch.split(clips.videos[chosen], at_once), torch.split(clips.patches[chosen], at_once)
        parts = [self._match(*part, prompts.features) for part in zip(videos, patches, strict=True)]
        logits: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        if not np.isfinite(logits).all():
            row, column = np.argwhere(~np.isfinite(logits))[0]
            raise ScoringError(
                f"the model gives no finite logit for clip {chosen[row]} and prompt {prompts.prompts[column]!r}"
            )
        return logits

    def _match(self, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
        """Logits (n, K) in single precision."""
        pairs = _GPU_PAIRS_AT_ONCE if self.device.type == "cuda" else _PAIRS_AT_ONCE
        at_once = max(1, pairs // len(videos))
        parts = [self.backend.match(videos, patches, text) for text in torch.split(prompts, at_once)]
        return torch.cat(parts, dim=1).float()

    def _check(self, clips: NDArray[np.uint8]) -> None:
        geometry = self.geometry
        expected = (geometry.num_frames, geometry.image_px, geometry.image_px, 3)
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[1:] != expected or not len(clips):
            raise ScoringError(f"clips must be (N, {str(expected)[1:]} of uint8, not {clips.shape} of {clips.dtype}")

    @property
    def _dtype(self) -> torch.dtype:
        return self.model.text_projection.weight.dtype


def _rows_of_equal_length(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows to encode together: of one length, so that nothing is padded, and not too many."""
    by_length: dict[int, list[int]] = {}
    for row, tokens in enumerate(ids):
        by_length.setdefault(len(tokens), []).append(row)
    return [
        rows[start : start + _PROMPTS_AT_ONCE]
        for rows in by_length.values()
        for start in range(0, len(rows), _PROMPTS_AT_ONCE)
    ]
