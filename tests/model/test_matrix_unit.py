import pytest

from xclip_stream.model import XCLIPVisionConfig
from xclip_stream.model.matrix_unit import has_matrix_unit, matrix_unit_suits


@pytest.mark.parametrize(
    ("flags", "has_it"),
    [
        ("fpu avx512f amx_bf16 avx512_fp16 amx_tile amx_int8", True),
        ("fpu avx512f amx_tile amx_int8", False),
        ("fpu avx512f amx_bf16_other amx_tile", False),
        ("fpu avx2", False),
    ],
)
def test_the_unit_has_to_multiply_bfloat16(flags, has_it):
    assert has_matrix_unit(f"processor : 0\nflags\t\t: {flags}\nbugs\t\t: spectre_v1\n") is has_it


@pytest.mark.parametrize(
    ("changes", "suits"),
    [
        ({}, True),
        ({"patch_size": 16, "num_frames": 16}, True),
        (
            {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "patch_size": 14},
            True,
        ),
        ({"hidden_act": "gelu"}, False),
        ({"intermediate_size": 3000}, False),
        ({"num_attention_heads": 16}, False),  # heads of 48
        ({"hidden_size": 720, "intermediate_size": 2880}, False),
    ],
)
def test_it_suits_the_models_that_were_published(changes, suits):
    assert matrix_unit_suits(XCLIPVisionConfig(**changes)) is suits
