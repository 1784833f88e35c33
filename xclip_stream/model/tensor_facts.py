"""What the shapes of the weights tell about the configuration."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from xclip_stream.errors import CheckpointError
from xclip_stream.model.configuration import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig

Facts = dict[str, int]


def text_facts(weights: Mapping[str, Tensor]) -> Facts:
    """Facts about a text tower, from weights whose names have no `text_model.` before them."""
    facts = _layer_facts(weights, "encoder.layers", "num_hidden_layers", "intermediate_size")
    if (tokens := _shape(weights, "embeddings.token_embedding.weight", axes=2)) is not None:
        facts |= {"vocab_size": tokens[0], "hidden_size": tokens[1]}
    if (positions := _shape(weights, "embeddings.position_embedding.weight", axes=2)) is not None:
        facts |= {"max_position_embeddings": positions[0]}
    return facts


def vision_facts(weights: Mapping[str, Tensor], *, image_size: int | None = None) -> Facts:
    """Facts about a vision tower, from weights whose names have no `vision_model.` before them.

    Positions tell only how many whole patches a frame has: `image_size` is taken as it is where it has that many.
    """
    facts = _layer_facts(weights, "encoder.layers", "num_hidden_layers", "intermediate_size")
    patches = _shape(weights, "embeddings.patch_embedding.weight", axes=4)
    positions = _shape(weights, "embeddings.position_embedding.weight", axes=2)
    if patches is None or positions is None:
        return facts
    width, channels, patch, _ = patches
    grid = round((positions[0] - 1) ** 0.5)
    same_grid = image_size is not None and image_size // patch == grid
    facts |= {"hidden_size": width, "num_channels": channels, "patch_size": patch}
    return facts | {"image_size": image_size if same_grid and image_size is not None else grid * patch}


def integration_facts(weights: Mapping[str, Tensor]) -> Facts:
    """Facts about the integration transformer, which stand in the vision tower's configuration."""
    facts = _layer_facts(weights, "mit.encoder.layers", "mit_num_hidden_layers", "mit_intermediate_size")
    if (positions := _shape(weights, "mit.position_embedding", axes=3)) is not None:
        facts |= {"num_frames": positions[1], "mit_hidden_size": positions[2]}
    return facts


def joint_facts(weights: Mapping[str, Tensor]) -> Facts:
    """Facts about what joins the towers."""
    facts = {"prompt_layers": _layers(weights, "prompts_generator.decoder")}
    if (projection := _shape(weights, "text_projection.weight", axes=2)) is not None:
        facts |= {"projection_dim": projection[0]}
    return facts


def tower_weights(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights of one tower, without its prefix."""
    return {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}


def config_of_original(weights: Mapping[str, Tensor]) -> XCLIPConfig:
    """Derive the whole configuration from the authors' weights, once these have this package's names.

    Shapes do not tell how many heads there are. The authors' code has one for each 64 channels everywhere, also in the
    large model, where the published `config.json` says 8 for two parts that were trained with 12.
    """
    vision = vision_facts(tower_weights(weights, "vision_model.")) | integration_facts(weights)
    text, joint = text_facts(tower_weights(weights, "text_model.")), joint_facts(weights)
    try:
        vision |= {"num_attention_heads": _heads(vision["hidden_size"])}
        vision |= {"mit_num_attention_heads": _heads(vision["mit_hidden_size"])}
        text |= {"num_attention_heads": _heads(text["hidden_size"])}
        joint |= {"prompt_num_attention_heads": _heads(joint["projection_dim"])}
    except KeyError as error:
        raise CheckpointError(f"the weights do not tell {error.args[0]}: some are missing") from None
    return XCLIPConfig.from_dict({**joint, "text_config": text, "vision_config": vision})


def check_config(config: XCLIPTextConfig | XCLIPVisionConfig | XCLIPConfig, weights: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError naming the first key of a configuration that the shapes of the weights contradict."""
    match config:
        case XCLIPTextConfig():
            _compare(config, text_facts(weights), "")
        case XCLIPVisionConfig():
            _compare(config, vision_facts(weights, image_size=config.image_size), "")
        case XCLIPConfig():
            vision = config.vision_config
            own = vision_facts(tower_weights(weights, "vision_model."), image_size=vision.image_size)
            _compare(config.text_config, text_facts(tower_weights(weights, "text_model.")), "text_config.")
            _compare(vision, own | integration_facts(weights), "vision_config.")
            _compare(config, joint_facts(weights), "")


def _compare(config: Any, facts: Facts, section: str) -> None:
    for key, value in facts.items():
        if getattr(config, key) != value:
            raise CheckpointError(
                f"config.json says {section}{key} {getattr(config, key)}, the weights are made for {value}"
            )


def _layer_facts(weights: Mapping[str, Tensor], prefix: str, layers_key: str, width_key: str) -> Facts:
    facts = {layers_key: _layers(weights, prefix)}
    if (first := _shape(weights, f"{prefix}.0.mlp.fc1.weight", axes=2)) is not None:
        facts |= {width_key: first[0]}
    return facts


def _shape(weights: Mapping[str, Tensor], name: str, *, axes: int) -> tuple[int, ...] | None:
    """The shape of a weight, or None where it is missing or has another number of axes: it tells nothing then."""
    tensor = weights.get(name)
    return tuple(tensor.shape) if tensor is not None and tensor.ndim == axes else None


def _layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    return len({match[1] for name in weights if (match := pattern.match(name))})


def _heads(width: int) -> int:
    return max(1, width // 64)
