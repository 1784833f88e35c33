"""Pairs of models, ours and the reference, with the same random weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import XCLIPConfig as ReferenceConfig
from transformers import XCLIPModel as ReferenceModel

from xclip_stream.model import XCLIPConfig, XCLIPModel

# Frames, patches, depth, heads, activations, eps and prompt layers all differ, and in each the two towers differ.
CONFIGS: dict[str, dict[str, Any]] = {
    "small": {},
    "eps told apart": {
        "text_config": {"layer_norm_eps": 1e-6, "hidden_act": "gelu", "num_attention_heads": 2},
        "vision_config": {"layer_norm_eps": 1e-2, "num_frames": 2, "patch_size": 16, "hidden_act": "gelu_new"},
        "prompt_layers": 1,
    },
    "deep integration": {
        "text_config": {"num_hidden_layers": 1, "hidden_size": 24, "num_attention_heads": 3},
        "vision_config": {"mit_num_hidden_layers": 3, "mit_num_attention_heads": 2, "num_hidden_layers": 4},
        "prompt_layers": 3,
        "prompt_num_attention_heads": 1,
        "prompt_alpha": 0.7,
    },
    "sixteen frames": {
        "text_config": {"hidden_act": "silu", "max_position_embeddings": 12},
        "vision_config": {"num_frames": 16, "patch_size": 7, "image_size": 30, "num_attention_heads": 8},
        "prompt_hidden_act": "relu",
    },
    "one frame": {
        "text_config": {"hidden_act": "relu"},
        "vision_config": {"num_frames": 1, "num_hidden_layers": 1, "hidden_act": "relu", "layer_norm_eps": 1e-6},
        "prompt_hidden_act": "gelu",
    },
    "wide joint space": {
        "text_config": {"intermediate_size": 40},
        "vision_config": {"mit_hidden_size": 72, "mit_num_attention_heads": 3, "drop_path_rate": 0.5, "num_frames": 3},
        "projection_dim": 72,
        "prompt_num_attention_heads": 6,
    },
    "no prompt layers": {"prompt_layers": 0, "vision_config": {"num_frames": 8, "hidden_act": "gelu"}},
}

_TEXT = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
_VISION = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "mit_hidden_size": 32,
    "mit_intermediate_size": 64,
    "mit_num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
    "num_frames": 4,
}


def config_values(name: str = "small") -> dict[str, Any]:
    changes = CONFIGS[name]
    return {
        "projection_dim": 32,
        "prompt_num_attention_heads": 4,
        **changes,
        "text_config": _TEXT | changes.get("text_config", {}),
        "vision_config": _VISION | changes.get("vision_config", {}),
    }


@dataclass(frozen=True)
class Pair:
    ours: XCLIPModel
    reference: ReferenceModel

    @property
    def config(self) -> XCLIPConfig:
        return self.ours.config


def make_pair(name: str = "small", *, seed: int = 0) -> Pair:
    """Ours and the reference, in evaluation mode, with the same well-conditioned random weights."""
    values = config_values(name)
    ours, reference = XCLIPModel(XCLIPConfig.from_dict(values)), ReferenceModel(ReferenceConfig.from_dict(values))
    randomise(ours, seed)
    reference.load_state_dict(ours.state_dict())
    return Pair(ours.eval(), reference.eval())


@torch.no_grad()
def randomise(model: XCLIPModel, seed: int = 0) -> None:
    """Give every weight, also norms and biases, a random value that leaves signals at their size."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if name == "logit_scale":
            weight.fill_(3.0)
        elif weight.ndim >= 2:
            weight.copy_(noise * weight[0].numel() ** -0.5)
        else:
            weight.copy_(weight + 0.1 * noise)


def random_inputs(config: XCLIPConfig, *, prompts: int = 3, videos: int = 3, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vision, length = config.vision_config, 9
    ids = torch.randint(0, config.text_config.vocab_size - 1, (prompts, length), generator=generator)
    ids[:, -1] = config.text_config.vocab_size - 1
    side = vision.image_size
    return {
        "input_ids": ids,
        "pixel_values": torch.randn(videos, vision.num_frames, 3, side, side, generator=generator),
    }


def outputs_of(output: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of an output of either side, by name."""
    for name in ("loss", "logits_per_video", "logits_per_text", "text_embeds", "video_embeds"):
        if (value := getattr(output, name)) is not None:
            yield name, value
    for tower in ("text_model_output", "vision_model_output", "mit_output"):
        for name in ("last_hidden_state", "pooler_output"):
            yield f"{tower}.{name}", getattr(getattr(output, tower), name)


def difference(ours: Tensor, reference: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert ours.shape == reference.shape
    return float(((ours - reference).abs().max() / reference.abs().max()).detach())


def differing(ours: Any, reference: Any, *, tolerance: float = 1e-5) -> Mapping[str, float]:
    """The outputs that differ by more than `tolerance`, with how much."""
    expected = dict(outputs_of(reference))
    found = {name: difference(value, expected[name]) for name, value in outputs_of(ours)}
    assert found.keys() == expected.keys()
    return {name: value for name, value in found.items() if not value <= tolerance}
