"""The configuration of an X-CLIP model, read from and written to a hub `config.json`. Imports no torch.

Names and defaults are those of the published `config.json` files, so that a file of either side can be read by the
other. Three shapes of that file exist: complete dumps of 2022, later ones that leave out every default, and today's.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from xclip_stream.errors import CheckpointError
from xclip_stream.model.locate import Checkpoint, open_checkpoint

ACTIVATIONS = ("quick_gelu", "gelu", "gelu_new", "relu", "selu", "silu", "tanh")


class _ConfigFile:
    """What the three configurations share: reading and writing their part of a `config.json`."""

    __slots__ = ()
    model_type: ClassVar[str]
    section: ClassVar[str | None] = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from the keys of a `config.json`; unknown keys are ignored, absent ones are defaults.

        Raises CheckpointError naming the key whose value has the wrong type or makes no sense.
        """
        types = {entry.name: entry.type for entry in fields(cls)}  # type: ignore[arg-type]  # subclasses are dataclasses
        return cls(**{key: _checked(key, value, types[key]) for key, value in values.items() if key in types})

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of a `config.json`, defaults included."""
        return {"model_type": self.model_type, **asdict(self)}  # type: ignore[call-overload]  # subclasses are dataclasses

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path, *, revision: str | None = None) -> Self:
        """Read `config.json` of a local folder or a hub id; a tower finds its own part in that of a whole model."""
        return cls.from_checkpoint(open_checkpoint(checkpoint, revision=revision))

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Self:
        """Read `config.json` of a checkpoint that was found already."""
        path = checkpoint.require("config.json")
        values = read_json_object(path)
        try:
            return cls.from_dict(_own_part(values, cls))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` into `folder`, which is made if it does not exist."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True)
        (Path(folder) / "config.json").write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class XCLIPTextConfig(_ConfigFile):
    """The text tower. The three token ids are kept for the file's sake: published files hold wrong ones."""

    model_type: ClassVar[str] = "xclip_text_model"
    section: ClassVar[str | None] = "text_config"

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2

    def __post_init__(self) -> None:
        _require_positive(self, "vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings")
        _require_positive(self, "layer_norm_eps")
        _require_not_negative(self, "num_hidden_layers")
        _require_heads(self, "num_attention_heads", "hidden_size")
        _require_activation(self, "hidden_act")
        _require_rates(self, "attention_dropout")


@dataclass(frozen=True, slots=True, kw_only=True)
class XCLIPVisionConfig(_ConfigFile):
    """The vision tower, and the multi-frame integration transformer (keys `mit_…`) that follows it."""

    model_type: ClassVar[str] = "xclip_vision_model"
    section: ClassVar[str | None] = "vision_config"

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mit_hidden_size: int = 512
    mit_intermediate_size: int = 2048
    mit_num_hidden_layers: int = 1
    mit_num_attention_heads: int = 8
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32
    num_frames: int = 8
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0
    drop_path_rate: float = 0.0

    def __post_init__(self) -> None:
        _require_positive(self, "hidden_size", "intermediate_size", "mit_hidden_size", "mit_intermediate_size")
        _require_positive(self, "num_channels", "image_size", "patch_size", "num_frames", "layer_norm_eps")
        _require_not_negative(self, "num_hidden_layers", "mit_num_hidden_layers")
        _require_heads(self, "num_attention_heads", "hidden_size")
        _require_heads(self, "mit_num_attention_heads", "mit_hidden_size")
        _require_activation(self, "hidden_act")
        _require_rates(self, "attention_dropout", "drop_path_rate")
        if self.patch_size > self.image_size:
            raise CheckpointError(f"patch_size {self.patch_size} is larger than image_size {self.image_size}")

    @property
    def grid_size(self) -> int:
        """Patches along one side of a frame."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class XCLIPConfig(_ConfigFile):
    """A whole X-CLIP model: the two towers, the joint width and the prompt generator (keys `prompt_…`)."""

    model_type: ClassVar[str] = "xclip"

    text_config: XCLIPTextConfig = field(default_factory=XCLIPTextConfig)
    vision_config: XCLIPVisionConfig = field(default_factory=XCLIPVisionConfig)
    projection_dim: int = 512
    prompt_layers: int = 2
    prompt_alpha: float = 0.1
    prompt_hidden_act: str = "quick_gelu"
    prompt_num_attention_heads: int = 8
    prompt_attention_dropout: float = 0.0
    prompt_projection_dropout: float = 0.0
    logit_scale_init_value: float = 2.6592
    initializer_factor: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self, "projection_dim")
        _require_not_negative(self, "prompt_layers")
        _require_heads(self, "prompt_num_attention_heads", "projection_dim")
        _require_activation(self, "prompt_hidden_act")
        _require_rates(self, "prompt_attention_dropout", "prompt_projection_dropout")
        if self.vision_config.mit_hidden_size != self.projection_dim:
            raise CheckpointError(
                f"vision_config.mit_hidden_size {self.vision_config.mit_hidden_size} must equal "
                f"projection_dim {self.projection_dim}"
            )

    @classmethod
    def from_text_vision_configs(
        cls, text_config: XCLIPTextConfig, vision_config: XCLIPVisionConfig, **settings: Any
    ) -> Self:
        """Join the configurations of two towers; `settings` are the other arguments of the class."""
        return cls(text_config=text_config, vision_config=vision_config, **settings)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from the keys of a `config.json` of any of its three shapes.

        Raises CheckpointError naming the key whose value has the wrong type or makes no sense.
        """
        own = {key: value for key, value in values.items() if key not in ("text_config", "vision_config")}
        types = {entry.name: entry.type for entry in fields(cls)}
        checked = {key: _checked(key, value, types[key]) for key, value in own.items() if key in types}
        text = XCLIPTextConfig.from_dict(_tower_part(values, "text_config"))
        vision = XCLIPVisionConfig.from_dict(_tower_part(values, "vision_config"))
        return cls(text_config=text, vision_config=vision, **checked)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of a `config.json`, defaults included."""
        towers = {"text_config": self.text_config.to_dict(), "vision_config": self.vision_config.to_dict()}
        return {"architectures": ["XCLIPModel"], "model_type": self.model_type, **asdict(self), **towers}


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object; CheckpointError names the file otherwise."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: must hold a JSON object, not {type(values).__name__}")
    return values


def _own_part(values: Mapping[str, Any], wanted: type[_ConfigFile]) -> Mapping[str, Any]:
    """The part of a `config.json` that describes what is wanted: all of it, or one tower of a whole model."""
    model_type = values.get("model_type", wanted.model_type)
    if model_type == wanted.model_type:
        return values
    if model_type != XCLIPConfig.model_type or wanted.section is None:
        raise CheckpointError(f"model_type is {model_type!r}, not {wanted.model_type!r}")
    return _tower_part(values, wanted.section)


def _tower_part(values: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """The part of a whole model's file that describes one tower.

    Files of 2022 may hold `text_config_dict` beside `text_config`. Where it is an object the reference completes it
    with defaults and lets it replace the other one altogether; where it is null it means nothing.
    """
    override = values.get(f"{section}_dict")
    part = override if override is not None else values.get(section)
    if part is None:
        return {}
    if not isinstance(part, Mapping):
        raise CheckpointError(f"{section} must be an object, not {part!r}")
    return part


def _checked(key: str, value: Any, expected: Any) -> Any:
    """The value with the type that its field wants, or a CheckpointError naming the key."""
    if expected is int and isinstance(value, list | tuple) and value and all(side == value[0] for side in value):
        value = value[0]  # image_size and patch_size may be written as [224, 224]
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(expected, type) and (not isinstance(value, expected) or isinstance(value, bool)):
        raise CheckpointError(f"{key} must be {expected.__name__}, not {value!r}")
    return value


def _require_positive(config: object, *keys: str) -> None:
    for key in keys:
        if getattr(config, key) <= 0:
            raise CheckpointError(f"{key} must be greater than 0, not {getattr(config, key)}")


def _require_not_negative(config: object, *keys: str) -> None:
    for key in keys:
        if getattr(config, key) < 0:
            raise CheckpointError(f"{key} must not be negative, not {getattr(config, key)}")


def _require_rates(config: object, *keys: str) -> None:
    for key in keys:
        if not 0.0 <= getattr(config, key) < 1.0:
            raise CheckpointError(f"{key} must be at least 0 and less than 1, not {getattr(config, key)}")


def _require_heads(config: object, heads_key: str, width_key: str) -> None:
    heads, width = getattr(config, heads_key), getattr(config, width_key)
    if heads <= 0 or width % heads:
        raise CheckpointError(f"{heads_key} {heads} must divide {width_key} {width}")


def _require_activation(config: object, key: str) -> None:
    if getattr(config, key) not in ACTIVATIONS:
        raise CheckpointError(f"{key} {getattr(config, key)!r} is not one of {', '.join(ACTIVATIONS)}")
