"""Turns the weights that X-CLIP's authors published (`*.pth`) into those of this package."""

import re

from torch import Tensor

from xclip_stream.errors import CheckpointError

# In the order in which they apply, each to the start of a key.
_PREFIXES = (
    ("visual.conv1.", "vision_model.embeddings.patch_embedding."),
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    ("visual.ln_pre.", "vision_model.pre_layernorm."),
    ("visual.ln_post.", "vision_model.post_layernorm."),
    ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
    ("visual.proj", "visual_projection.weight"),
    ("transformer.resblocks.", "text_model.encoder.layers."),
    ("token_embedding.", "text_model.embeddings.token_embedding."),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    ("ln_final.", "text_model.final_layer_norm."),
    ("text_projection", "text_projection.weight"),
    ("mit.positional_embedding", "mit.position_embedding"),
    ("mit.resblocks.", "mit.encoder.layers."),
    ("prompts_visual_ln.", "prompts_visual_layernorm."),
    ("prompts_visual_proj", "prompts_visual_projection"),
    ("prompts_generator.norm.", "prompts_generator.layernorm."),
)
# Inside the blocks of the towers and of the integration transformer.
_PARTS = (
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
    (".attn.", ".self_attn."),
)
_TRANSPOSED = ("visual_projection.weight", "text_projection.weight")
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # of OpenAI's CLIP files
_PACKED = re.compile(r"(.*)\.in_proj_(weight|bias)")


def is_original(weights: dict[str, Tensor]) -> bool:
    """Whether these are weights with the authors' names."""
    return "visual.conv1.weight" in weights


def convert_original(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the authors' weights, cut their packed attention in three, and turn the two projections around."""
    converted: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name in _NO_WEIGHTS:
            continue
        converted |= _unpacked(_renamed(name), tensor)
    return converted


def _renamed(name: str) -> str:
    for old, new in _PREFIXES:
        if name.startswith(old):
            name = new + name.removeprefix(old)
            break
    if ".layers." in name:
        for old, new in _PARTS:
            name = name.replace(old, new)
    return name


def _unpacked(name: str, tensor: Tensor) -> dict[str, Tensor]:
    packed = _PACKED.fullmatch(name)
    if packed is None:
        return {name: tensor.T.contiguous() if name in _TRANSPOSED else tensor}
    if len(tensor) % 3:
        raise CheckpointError(f"{name} has {len(tensor)} rows, which are not query, key and value")
    parts = zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3), strict=True)
    return {f"{packed[1]}.{part}.{packed[2]}": rows.contiguous() for part, rows in parts}
