import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.model.matrix_unit import needs_matrix_unit
from xclip_stream.model.amx_kernels import ADD, attend, product
from xclip_stream.model.amx_weights import attention_scratch, packed, panel_memory

pytestmark = needs_matrix_unit
RNG = np.random.default_rng(0)
NO_NORM = np.float32(0)


def numbers(*shape: int) -> np.ndarray:
    """Numbers of very different size, as float32."""
    return (RNG.standard_normal(shape) * 10.0 ** RNG.uniform(-3, 3, shape)).astype(np.float32)


def multiplied(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, *, part: int | None = None) -> np.ndarray:
    weights = packed(torch.from_numpy(weight), torch.from_numpy(bias), part=part)
    out = np.zeros((len(x), len(weight)), np.float32)
    left = panel_memory(64, x.shape[1])
    product(x, 0, len(x), NO_NORM, weights, (0, len(weight) // 32), ADD, left, out, 0)
    return out


@pytest.mark.parametrize("part", [None, 96])
@pytest.mark.parametrize("rows", [1, 31, 32, 100])
def test_a_product_is_as_exact_as_one_of_float32(rows, part):
    x, weight, bias = numbers(rows, 192), numbers(64, 192), numbers(64)

    found = multiplied(x, weight, bias, part=part)

    exact = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    size = np.abs(x).astype(np.float64) @ np.abs(weight.T) + np.abs(bias)
    by_torch = torch.nn.functional.linear(*map(torch.from_numpy, (x, weight, bias))).numpy()
    assert np.abs((found - exact) / size).max() <= 2 * np.abs((by_torch - exact) / size).max() + 2**-23


def test_a_row_is_the_same_to_the_bit_whatever_is_beside_it():
    x, weight, bias = numbers(70, 96), numbers(96, 96), numbers(96)

    together = multiplied(x, weight, bias)

    for row in (0, 15, 33, 69):
        assert np.array_equal(multiplied(x[row : row + 1], weight, bias)[0], together[row])


def test_what_is_no_number_stays_so_and_in_its_row():
    x = numbers(40, 64)
    x[3, 5], x[17, 0] = np.nan, np.inf

    found = multiplied(x, numbers(32, 64), numbers(32))

    assert np.flatnonzero(~np.isfinite(found).all(axis=1)).tolist() == [3, 17]


@pytest.mark.parametrize("tokens", [1, 8, 33, 65])
def test_attention_is_exact(tokens):
    heads, width = 2, 32
    qkv = RNG.standard_normal((5 + tokens, 3 * heads * width)).astype(np.float32)
    seen = panel_memory(5 + tokens, heads * width)

    attend(qkv, 5, tokens, heads, attention_scratch(tokens, width), seen)

    q, k, v = torch.from_numpy(qkv[5:]).double().reshape(tokens, 3, heads, width).permute(1, 2, 0, 3)
    exact = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(0, 1).flatten(1)
    np.testing.assert_allclose(unpacked(seen)[5 : 5 + tokens], exact.numpy(), rtol=1e-5, atol=1e-5)


def unpacked(left: np.ndarray) -> np.ndarray:
    """The matrix (rows, columns) of left panels."""
    planes = (left.astype(np.uint32) << 16).view(np.float32)
    panels, blocks = left.shape[:2]
    return planes.sum(axis=2).transpose(0, 2, 3, 1, 4).reshape(32 * panels, 32 * blocks)


def test_scores_that_are_no_number_give_none():
    qkv = np.zeros((8, 96), np.float32)
    qkv[2, 40] = np.nan  # a key: all tokens attend to it
    seen = panel_memory(8, 32)

    attend(qkv, 0, 8, 1, attention_scratch(8, 32), seen)

    assert np.isnan(unpacked(seen)[:8]).all()


@pytest.mark.parametrize("may_write", [True, False])
def test_what_was_compiled_is_kept_where_that_is_possible(tmp_path, may_write):
    cache = tmp_path / "cache" if may_write else Path("/proc/nowhere")
    program = (
        "import numpy as np; from xclip_stream.model import amx_kernels as k; "
        "k.pack_right(np.ones((32, 32), np.float32), 0, 32, 0, 32, np.zeros((1, 1, 3, 2, 16, 32), np.uint16)); "
        "print(sum(k.pack_right.stats.cache_hits.values()))"
    )

    def cache_hits() -> int:
        env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        return int(subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True).stdout)

    assert [cache_hits(), cache_hits()] == ([0, 1] if may_write else [0, 0])
