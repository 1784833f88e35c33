"""Run in the container of a score worker: it computes a model in each way that is fast here, and takes the fastest."""

import sys
from pathlib import Path

import numpy as np
import torch

from xclip_stream.model import XCLIPConfig, XCLIPModel, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.backends import BackendKind, choose_backend, make_backend
from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.matrix_unit import has_matrix_unit

SMALL = XCLIPVisionConfig(
    hidden_size=64,
    intermediate_size=256,
    num_attention_heads=2,
    num_hidden_layers=3,
    image_size=32,
    patch_size=16,
    num_frames=4,
    mit_hidden_size=32,
    mit_intermediate_size=64,
    mit_num_attention_heads=2,
)
TEXT = XCLIPTextConfig(vocab_size=514, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
RULES = FrameRules(image_px=32, fit="stretch", mean=(0.5,) * 3, std=(0.25,) * 3)


def main() -> None:
    config = XCLIPConfig.from_text_vision_configs(TEXT, SMALL, projection_dim=32, prompt_num_attention_heads=4)
    torch.manual_seed(0)
    model = XCLIPModel(config).eval()
    clips = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), dtype=np.uint8)
    fast: list[BackendKind] = ["openvino"]
    if has_matrix_unit(Path("/proc/cpuinfo").read_text()):
        fast.append("amx")

    def encoded(kind: BackendKind) -> torch.Tensor:
        computed = make_backend(model, RULES, backend=kind, dtype="float32", sha256="0" * 64)
        sys.stdout.write(f"== computes: {computed.summary}\n")
        return computed.encode(clips)[0]

    expected = encoded("torch")
    for kind in fast:
        torch.testing.assert_close(encoded(kind), expected, rtol=1e-3, atol=1e-4)
    assert choose_backend("auto", torch.device("cpu"), XCLIPVisionConfig()) == fast[-1]


if __name__ == "__main__":
    main()
