"""The model on a CPU with a matrix unit (AMX), in float32: faster than by OpenVINO, and as exact.

The blocks of the vision tower are computed by `amx_kernels.py`, and what is small by torch, clip by clip. The tokens of
a frame are kept between windows. Importing this needs the extra `amx`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.heap import trim_heap
from xclip_stream.model.amx_kernels import (
    ADD,
    PANEL,
    SET,
    Block,
    Product,
    Scratch,
    attend,
    compute_block,
    embed,
    product,
    product_of_panels,
)
from xclip_stream.model.amx_weights import (
    attention_scratch,
    numbers_of_patch,
    packed,
    packed_block,
    panel_memory,
    scratch_for,
)
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.configuration import XCLIPVisionConfig
from xclip_stream.model.network import XCLIPModel
from xclip_stream.model.stages import ClipEnd, FoldedBlock, FrameStage, Messages, PromptStage, vision_blocks
from xclip_stream.model.token_cache import KEPT_BYTES, TokenCache
from xclip_stream.model.torch_backend import match_apart

Numbers = NDArray[np.float32]

CLIPS_AT_ONCE = 4
"""More gains nothing, and the first of them waits for the last."""
_FRAMES_AT_ONCE = 8
"""Of a thread: what it keeps of more would leave the cache of its core between one product and the next."""
_NO_NORM = np.float32(0)


class AmxBackend:
    """Computes the stages of `stages.py` with the products of the matrix unit.

    It differs from torch by rounding alone. A clip's numbers are the same to the last bit whatever is computed beside
    it, by however many threads, and whether or not its frames were known.

    Args:
        threads: of the processor's cores, each of which computes some of the frames.
    """

    def __init__(self, model: XCLIPModel, rules: FrameRules, *, threads: int) -> None:
        vision = model.config.vision_config
        self._tower = _Tower(vision, threads=threads)
        self._clip_shape = (vision.num_frames, rules.image_px, rules.image_px, 3)
        with torch.no_grad():  # one block at a time, since each has its weights three times for a moment
            frames = FrameStage(model, rules).eval()
            self._embedding, self._first = _Embedding(frames, vision), packed_block(frames.block)
            self._layers = [
                (_PackedMessages.of(Messages(block, vision.num_frames)), packed_block(FoldedBlock(block)))
                for block in vision_blocks(model)[1:]
            ]
        self._end, self._prompts = ClipEnd(model).eval(), PromptStage(model).eval()
        self.cache = TokenCache(self._frame_tokens, max_bytes=KEPT_BYTES)
        trim_heap()

    def prepare(self) -> None:
        """Compile the kernels, or load what was compiled before."""
        self.encode(np.zeros((1, *self._clip_shape), np.uint8))
        self.cache.clear()

    @property
    def clips_at_once(self) -> int:
        return CLIPS_AT_ONCE

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def summary(self) -> str:
        return "AMX on the CPU, float32"

    @torch.inference_mode()
    def encode(self, clips: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        tokens = self.cache.tokens(clips.reshape(-1, *clips.shape[2:]))
        x = np.empty((tokens.shape[0], tokens.shape[1] + 1, tokens.shape[2]), np.float32)
        x[:, :-1] = tokens
        for messages, block in self._layers:
            x[:, -1] = self._tower.tell(x[:, 0].copy(), messages)
            self._tower.compute(x, block)
        ends = [self._end(clip) for clip in torch.split(torch.from_numpy(x[:, :-1]), self._clip_shape[0])]
        videos, patches = zip(*ends, strict=True)
        return torch.cat(videos), torch.cat(patches)

    @torch.inference_mode()
    def match(self, videos: Tensor, patches: Tensor, prompts: Tensor) -> Tensor:
        return match_apart(self._prompts, videos, patches, prompts)

    def release(self) -> None:
        self.cache.clear()

    def _frame_tokens(self, frames: NDArray[np.uint8]) -> Numbers:
        """Turn frames (N, S, S, 3) of RGB bytes into their tokens behind the first block, (N, P+1, D)."""
        x = self._embedding.tokens(self._tower.embed(frames, self._embedding))
        self._tower.compute(x, self._first)
        return x[:, :-1]


class _Embedding:
    """What stands before the first block: patches, their places, the class, and the message of that block."""

    def __init__(self, stage: FrameStage, vision: XCLIPVisionConfig) -> None:
        self._norm = stage.norm
        self._class_token, self._positions, self._message = stage.class_token, stage.positions, stage.message
        width, numbers = len(stage.weight), numbers_of_patch(vision)
        filled_up = torch.nn.functional.pad(stage.weight, (0, numbers - stage.weight.shape[1]))
        self.weight = packed(filled_up, None, part=width if numbers % width == 0 else None)
        self.patch = stage.patches.patch
        self.mean: Numbers = stage.patches.mean.detach()[: 3 * self.patch].numpy()  # of a line of a patch

    def positions(self, frames: int) -> Numbers:
        """Return what is added to the products of the patches, (N * P, D)."""
        repeated: Numbers = self._positions.detach().repeat(frames, 1).numpy()
        return repeated

    def tokens(self, embedded: Numbers) -> Numbers:
        """Return the tokens (N, P+2, D) that enter the first block, given the embedded patches (N * P, D)."""
        patches = torch.from_numpy(embedded).reshape(-1, *self._positions.shape)
        class_token = self._class_token.expand(len(patches), 1, -1)
        normed = self._norm(torch.cat([class_token, patches], dim=1))
        tokens: Numbers = torch.cat([normed, self._message.expand(len(patches), -1, -1)], dim=1).numpy()
        return tokens


class _PackedMessages(NamedTuple):
    """The weights of what the frames of a clip tell each other."""

    fc: Product
    qkv: Product
    out: Product

    @classmethod
    def of(cls, messages: Messages) -> "_PackedMessages":
        attention = messages.attention
        layers = messages.fc, attention.qkv, attention.out_proj
        return cls(*(packed(layer.weight, layer.bias) for layer in layers))


class _Tower:
    """Shares the work of the vision tower among threads, each with scratch memory of its own."""

    def __init__(self, vision: XCLIPVisionConfig, *, threads: int) -> None:
        self._heads, self._num_frames = vision.num_attention_heads, vision.num_frames
        self._epsilon = np.float32(vision.layer_norm_eps)
        self._scratches = [scratch_for(_FRAMES_AT_ONCE, vision) for _ in range(threads)]
        self._among_frames = attention_scratch(self._num_frames, vision.hidden_size // self._heads)
        self._others = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="amx")

    def compute(self, x: Numbers, block: Block) -> None:
        """Compute a block for the tokens (N, P+2, D) of frames, in place; thereafter the messages mean nothing."""
        flat, tokens = x.reshape(-1, x.shape[-1]), x.shape[1]

        def some(first: int, last: int, scratch: Scratch) -> None:
            for start in range(first, last, _FRAMES_AT_ONCE):
                frames = min(_FRAMES_AT_ONCE, last - start)
                compute_block(flat, start * tokens, frames, tokens, self._heads, block, self._epsilon, scratch)

        self._share(len(x), some)

    def tell(self, classes: Numbers, weights: _PackedMessages) -> Numbers:
        """Return the messages (N, D) of frames, made from their class tokens (N, D)."""
        count, width = classes.shape
        messages, qkv = np.empty((count, width), np.float32), np.empty((count, 3 * width), np.float32)
        self._multiply(classes, weights.fc, messages)
        self._multiply(messages, weights.qkv, qkv, epsilon=self._epsilon)
        seen = panel_memory(count, width)
        for clip in range(0, count, self._num_frames):
            attend(qkv, clip, self._num_frames, self._heads, self._among_frames, seen)

        def some(first: int, last: int, _scratch: Scratch) -> None:
            product_of_panels(seen, count, weights.out, (first, last), ADD, messages)

        self._share(width // PANEL, some)
        return messages

    def embed(self, frames: NDArray[np.uint8], embedding: _Embedding) -> Numbers:
        """Return the patches of frames (N, S, S, 3) as tokens (N * P, D)."""
        out = embedding.positions(len(frames))
        lines = frames.reshape(*frames.shape[:2], -1)

        def some(first: int, last: int, scratch: Scratch) -> None:
            embed(lines, embedding.patch, (first, last), embedding.mean, embedding.weight, scratch, out)

        self._share(len(out), some)
        return out

    def _multiply(self, x: Numbers, weights: Product, out: Numbers, *, epsilon: np.float32 = _NO_NORM) -> None:
        """Multiply few rows: each thread reads some of the weights."""

        def some(first: int, last: int, scratch: Scratch) -> None:
            product(x, 0, len(x), epsilon, weights, (first, last), SET, scratch.left, out, 0)

        self._share(out.shape[1] // PANEL, some)

    def _share(self, count: int, task: Callable[[int, int, Scratch], None]) -> None:
        """Have each thread do a part, from one number to before another."""
        ends = [count * number // len(self._scratches) for number in range(len(self._scratches) + 1)]
        parts = list(zip(ends, ends[1:], self._scratches, strict=False))
        others = [self._others.submit(task, *part) for part in parts[1:]]
        task(*parts[0])
        for other in others:
            other.result()
