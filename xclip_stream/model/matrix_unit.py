"""Whether the processor has a matrix unit (AMX) that this process may use, and which models it suits."""

import ctypes
import platform
import sys
from functools import cache
from pathlib import Path

from xclip_stream.model.configuration import XCLIPVisionConfig

_ARCH_PRCTL, _REQUEST_STATE, _TILE_DATA = 158, 0x1023, 18
"""Of Linux on x86-64: a call, what it is asked for, and the registers that a process may not use unasked."""
_BLOCK = 32
"""Rows and columns that are computed together."""


@cache
def matrix_unit_is_usable() -> bool:
    """Whether this process may use a matrix unit: whether there is one, and the system allows it when asked."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    if not has_matrix_unit(Path("/proc/cpuinfo").read_text()):
        return False
    refused: int = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_STATE, _TILE_DATA)
    return not refused


def has_matrix_unit(cpuinfo: str) -> bool:
    """Whether a processor that Linux describes like this has a unit for products of bfloat16."""
    return {"amx_tile", "amx_bf16", "avx512f"} <= set(cpuinfo.split())


def matrix_unit_suits(vision: XCLIPVisionConfig) -> bool:
    """Whether a vision tower is one that can be computed in blocks, as all that were published are."""
    width = vision.hidden_size
    return (
        width % _BLOCK == 0
        and (width // vision.num_attention_heads) % _BLOCK == 0
        and vision.intermediate_size % width == 0
        and vision.hidden_act == "quick_gelu"
    )
