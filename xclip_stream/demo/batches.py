"""Batches from rendered footage and prompts, each a pure function of seed, stage and step: training can resume."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from xclip_stream.demo.network import to_inputs
from xclip_stream.demo.pool import FRAMES, PATCHES, Pool, window_targets
from xclip_stream.demo.prompts import CANONICAL, training_prompts
from xclip_stream.demo.script import ACTIVITIES

_CLEAR_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Frames (N, 3, 96, 96) with activity (N,), patch cover (N, 36) in 0..1, joints (N, 13, 2) and if there are any."""

    pixels: Tensor
    activity: Tensor
    cover: Tensor
    joints: Tensor
    has_joints: Tensor


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Windows (B, 8, 3, 96, 96), the share of each activity (B, activities), and the same frames one by one."""

    pixels: Tensor
    shares: Tensor
    frames: FrameBatch


class Footage:
    """Draws class-balanced batches from a pool."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        labels = np.asarray(pool.labels)
        self._frames = [np.argwhere(labels == index) for index in range(len(ACTIVITIES))]
        self._shares = window_targets(labels)
        clear = self._shares.max(axis=-1) >= _CLEAR_SHARE
        main = self._shares.argmax(axis=-1)
        self._windows = [np.argwhere((main == index) & clear) for index in range(len(ACTIVITIES))]

    def sample_pictures(self, rng: np.random.Generator, *, scenes: int) -> npt.NDArray[np.uint8]:
        """A few pictures (N, 96, 96, 3) of each of `scenes` random scenes."""
        rows = rng.integers(len(self.pool.labels), size=scenes)
        return np.concatenate([self.pool.pictures[row, ::8] for row in rows])

    def frames(self, rng: np.random.Generator, size: int) -> FrameBatch:
        """`size` frames, every activity equally likely, half of them mirrored."""
        places = _balanced(rng, self._frames, size)
        return self._gather(places[:, 0], places[:, 1], rng.random(size) < 0.5, _tones(rng, size))

    def windows(self, rng: np.random.Generator, size: int) -> WindowBatch:
        """`size` windows, every main activity equally likely, half of them mirrored."""
        places = _balanced(rng, self._windows, size)
        mirrored, tones = rng.random(size) < 0.5, _tones(rng, size)
        rows = places[:, 0].repeat(FRAMES)
        columns = (places[:, 1][:, None] + np.arange(FRAMES)).ravel()
        frames = self._gather(rows, columns, mirrored.repeat(FRAMES), tones.repeat(FRAMES, axis=0))
        shares = torch.from_numpy(self._shares[places[:, 0], places[:, 1]])
        return WindowBatch(frames.pixels.reshape(size, FRAMES, *frames.pixels.shape[1:]), shares, frames)

    def _gather(
        self,
        rows: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        mirrored: npt.NDArray[np.bool_],
        tones: npt.NDArray[np.float32],
    ) -> FrameBatch:
        pictures = np.array(self.pool.pictures[rows, columns])
        cover = self.pool.cover[rows, columns].reshape(-1, PATCHES, PATCHES).astype(np.float32) / 255.0
        joints = self.pool.joints[rows, columns].astype(np.float32)
        pictures[mirrored] = pictures[mirrored, :, ::-1]
        cover[mirrored] = cover[mirrored, :, ::-1]
        joints[mirrored, :, 0] = 1.0 - joints[mirrored, :, 0]
        has_joints = ~np.isnan(joints[:, 0, 0])
        pixels = to_inputs(pictures) * torch.from_numpy(tones[:, :3, None, None])
        return FrameBatch(
            pixels=pixels + torch.from_numpy(tones[:, 3:, None, None]),
            activity=torch.from_numpy(self.pool.labels[rows, columns].astype(np.int64)),
            cover=torch.from_numpy(cover.reshape(-1, PATCHES * PATCHES)),
            joints=torch.from_numpy(np.nan_to_num(joints)),
            has_joints=torch.from_numpy(has_joints),
        )


def _balanced(rng: np.random.Generator, by_activity: list[npt.NDArray[np.int64]], size: int) -> npt.NDArray[np.int64]:
    filled = [places for places in by_activity if len(places)]
    drawn = [filled[index] for index in rng.integers(len(filled), size=size)]
    return np.stack([places[rng.integers(len(places))] for places in drawn])


def _tones(rng: np.random.Generator, size: int) -> npt.NDArray[np.float32]:
    """A gain for each channel and one offset for each picture, after normalisation."""
    gains, offset = rng.uniform(0.9, 1.1, (size, 3)), rng.uniform(-0.15, 0.15, (size, 1))
    return np.concatenate([gains, offset], axis=1).astype(np.float32)


class Prompts:
    """Draws training sentences, one for each activity in the order of ACTIVITIES, as token ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._sentences = [training_prompts(activity) for activity in ACTIVITIES]

    def draw(self, rng: np.random.Generator, *, dropout: float) -> Tensor:
        """Ids (activities, L): canonical prompts one time in eight, each word left out with probability `dropout`."""
        chosen = [
            CANONICAL[activity] if rng.random() < 0.125 else sentences[int(rng.integers(len(sentences)))]
            for activity, sentences in zip(ACTIVITIES, self._sentences, strict=True)
        ]
        return encode(self._tokenizer, [_thin_out(rng, sentence, dropout) for sentence in chosen])


def _thin_out(rng: np.random.Generator, sentence: str, dropout: float) -> str:
    words = sentence.split()
    kept = [word for word in words if rng.random() >= dropout]
    return " ".join(kept if len(kept) >= 2 else words)


def encode(tokenizer: Tokenizer, sentences: list[str]) -> Tensor:
    """Token ids (K, L), padded behind the end token with itself, which a causal reader never sees."""
    encoded = [tokenizer.encode(sentence).ids for sentence in sentences]
    longest = max(len(ids) for ids in encoded)
    return torch.tensor([ids + [ids[-1]] * (longest - len(ids)) for ids in encoded])
