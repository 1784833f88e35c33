"""The weights of the folded blocks as the kernels of the matrix unit take them, and the scratch memory of these."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xclip_stream.model.amx_instructions import CACHE_LINE_BYTES, PLANES
from xclip_stream.model.amx_kernels import PANEL, AttentionScratch, Block, Product, Scratch, pack_right
from xclip_stream.model.configuration import XCLIPVisionConfig
from xclip_stream.model.stages import FoldedBlock, FoldedLinear

_PANELS_AT_ONCE = 7
"""Of the rows of a product: more leave the cache of a core, and with fewer the weights are read more often."""
_STEP = (PLANES, 2, 16, PANEL)

Number = TypeVar("Number", np.float32, np.uint16)


def panels(number: int) -> int:
    """Return how many panels hold so many rows or columns; as many steps are so deep."""
    return -(-number // PANEL)


def packed(weight: Tensor, bias: Tensor | None, *, part: int | None = None) -> Product:
    """Pack a weight (out, in), in parts of so many of the numbers that go in; their products are added up."""
    pieces = torch.split(weight, part or weight.shape[1], dim=1)
    biases = np.zeros((len(pieces), len(weight)), np.float32)
    if bias is not None:
        biases[0] = bias.detach().numpy()
    return Product(_right_panels(pieces), biases)


def packed_across(layer: FoldedLinear, *, part: int) -> Product:
    """Pack a layer in parts of so many of the numbers that come out."""
    pieces = torch.split(layer.weight, part)
    return Product(_right_panels(pieces), layer.bias.detach().numpy().reshape(len(pieces), part))


def packed_block(block: FoldedBlock) -> Block:
    attention, mlp = block.attention, block.mlp
    width = len(mlp.fc2.weight)
    return Block(
        qkv=packed(attention.qkv.weight, attention.qkv.bias),
        out=packed(attention.out_proj.weight, attention.out_proj.bias),
        fc1=packed_across(mlp.fc1, part=width),
        fc2=packed(mlp.fc2.weight, mlp.fc2.bias, part=width),
    )


def attention_scratch(tokens: int, width: int) -> AttentionScratch:
    """Return the scratch memory for the attention of heads of a width."""
    full = PANEL * panels(tokens)
    return AttentionScratch(
        queries=panel_memory(tokens, width),
        turned=_zeros((width, full), np.float32),
        keys=panel_memory(tokens, width),
        values=panel_memory(width, tokens),
        scores=_zeros((full, full), np.float32),
        shares=panel_memory(tokens, tokens),
    )


def scratch_for(frames: int, vision: XCLIPVisionConfig) -> Scratch:
    """Return the scratch memory for the first or any other block of so many frames at a time."""
    width, tokens = vision.hidden_size, vision.grid_size**2 + 2  # patches, the class, and the message
    at_once, rows, patch = PANEL * _PANELS_AT_ONCE, frames * tokens, numbers_of_patch(vision)
    return Scratch(
        patches=_zeros((at_once, patch), np.float32),
        left=panel_memory(at_once, width if patch % width == 0 else max(width, patch)),
        hidden=panel_memory(at_once, width),
        qkv=_zeros((rows, 3 * width), np.float32),
        seen=panel_memory(rows, width),
        attention=attention_scratch(tokens, width // vision.num_attention_heads),
    )


def numbers_of_patch(vision: XCLIPVisionConfig) -> int:
    """Return how many numbers a patch has, filled up to whole steps."""
    return PANEL * panels(3 * vision.patch_size**2)


def _right_panels(pieces: Sequence[Tensor]) -> NDArray[np.uint16]:
    out, depth = pieces[0].shape
    right = _zeros((len(pieces), panels(out), panels(depth), *_STEP), np.uint16)
    for number, piece in enumerate(pieces):
        pack_right(piece.detach().T.contiguous().numpy(), 0, depth, 0, out, right[number])
    return right


def panel_memory(lines: int, depth: int) -> NDArray[np.uint16]:
    """Return memory for the panels of so many rows of a left matrix, or columns of a right one."""
    return _zeros((panels(lines), panels(depth), *_STEP), np.uint16)


def _zeros(shape: Sequence[int], kind: type[Number]) -> NDArray[Number]:
    """Return zeros that begin where a line of the cache does: a row of a tile that lies in two takes twice as long."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    memory = np.zeros(size + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[start : start + size].view(kind).reshape(shape)
