"""Reads and writes models: configuration and weights must fit each other to the last name and shape."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xclip_stream.errors import CheckpointError
from xclip_stream.model.checkpoint_files import WeightFiles, find_weights
from xclip_stream.model.configuration import XCLIPConfig, XCLIPTextConfig, XCLIPVisionConfig
from xclip_stream.model.locate import Checkpoint, local_path, open_checkpoint
from xclip_stream.model.original import convert_original, is_original
from xclip_stream.model.tensor_facts import check_config, config_of_original, tower_weights
from xclip_stream.model.weights import read_weights

Config = XCLIPTextConfig | XCLIPVisionConfig | XCLIPConfig


class Pretrained(nn.Module):
    """A network that is made from a configuration, and read and written together with it."""

    config_class: ClassVar[type[Config]]
    prefix: ClassVar[str] = ""  # of a tower's weights in the file of a whole model
    config: Config

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path,
        *,
        revision: str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Read the network from a local folder, a hub id or one file of the authors, in evaluation mode.

        A tower finds its part in the checkpoint of a whole model. Reads safetensors and pickles, whole and in shards,
        and the authors' `.pth`. Raises CheckpointError, in one line, for whatever does not fit, and for a pickle that
        holds code, which is never run.
        """
        stored = read_checkpoint(checkpoint, revision=revision)
        return cls.assemble(stored, stored.config_of(cls.config_class), device=device, dtype=dtype)

    @classmethod
    def assemble(cls, stored: "StoredModel", config: Config, *, device: torch.device | str, dtype: torch.dtype) -> Self:
        """Make the network of a configuration around stored weights; CheckpointError where they do not fit."""
        weights = (tower_weights(stored.weights, cls.prefix) if cls.prefix else {}) or stored.weights
        try:
            check_config(config, weights)  # before as many layers are made as somebody wrote there
            with torch.device("meta"), _Uninitialised():  # no memory and no random numbers: every weight is replaced
                network = cls(config)
            _check_fit(network.state_dict(), weights)
        except CheckpointError as error:
            raise CheckpointError(f"{stored.path}: {error}") from None
        # The one scalar is the scale of the logits: half precision would shift every logit by some thousandths.
        precise = torch.promote_types(dtype, torch.float32)
        placed = {name: t.to(device=device, dtype=dtype if t.ndim else precise) for name, t in weights.items()}
        network.load_state_dict(placed, strict=True, assign=True)
        return network.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` into `folder`; the weights are replaced whole or not at all."""
        self.config.save_pretrained(folder)
        weights = {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}
        part = Path(folder) / "model.safetensors.part"
        save_file(weights, part, metadata={"format": "pt"})
        part.replace(Path(folder) / "model.safetensors")


class _Uninitialised(TorchFunctionMode):
    """Leaves new weights as they are. On the meta device `normal_` would import torch's compiler: two seconds."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        return options["tensor"] if func is nn.init.normal_ else func(*args, **options)


@dataclass(frozen=True, slots=True, eq=False)
class StoredModel:
    """Weights as read from files, by this package's names, and where their configuration is."""

    path: Path
    weights: Mapping[str, Tensor]
    checkpoint: Checkpoint
    original: bool

    def config_of(self, wanted: type[Config]) -> Config:
        """The configuration of a tower or of the whole model."""
        if not self._is_described:
            whole = self.whole_config()
            towers: dict[type[Config], Config] = {
                XCLIPTextConfig: whole.text_config,
                XCLIPVisionConfig: whole.vision_config,
            }
            return towers.get(wanted, whole)
        return wanted.from_checkpoint(self.checkpoint)

    def whole_config(self) -> XCLIPConfig:
        """The configuration of the whole model: `config.json`, which the authors' files do without."""
        if self._is_described:
            return XCLIPConfig.from_checkpoint(self.checkpoint)
        try:
            return config_of_original(self.weights)
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error}") from None

    @property
    def _is_described(self) -> bool:
        return not self.original or self.checkpoint.find("config.json") is not None


def read_checkpoint(checkpoint: str | Path, *, revision: str | None = None) -> StoredModel:
    """Read all weights of a checkpoint: a local folder, a hub id, or one file beside which `config.json` may lie."""
    path = local_path(checkpoint)
    if path.is_file():
        opened, files = Checkpoint(name=path.stem, folder=path.parent), WeightFiles((path,))
    else:
        opened = open_checkpoint(checkpoint, revision=revision)
        files = find_weights(opened)
    weights = read_weights(files)
    original = is_original(weights)
    return StoredModel(
        path=files.paths[0],
        weights=convert_original(weights) if original else weights,
        checkpoint=opened,
        original=original,
    )


def with_heads(config: XCLIPConfig, *, mit: int | None, prompt: int | None) -> XCLIPConfig:
    """Replace the head counts of the integration transformer and of the prompt generator, where given."""
    if mit is not None:
        config = replace(config, vision_config=replace(config.vision_config, mit_num_attention_heads=mit))
    if prompt is not None:
        config = replace(config, prompt_num_attention_heads=prompt)
    return config


def _check_fit(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    if missing := expected.keys() - weights.keys():
        raise CheckpointError(f"{len(missing)} weights are missing: {_listed(missing)}")
    if unexpected := weights.keys() - expected.keys():
        raise CheckpointError(f"{len(unexpected)} weights are unexpected: {_listed(unexpected)}")
    wrong = [name for name, tensor in weights.items() if tensor.shape != expected[name].shape]
    if wrong:
        found, wanted = tuple(weights[wrong[0]].shape), tuple(expected[wrong[0]].shape)
        raise CheckpointError(f"{wrong[0]} has the shape {found}, not {wanted}")


def _listed(names: Iterable[str]) -> str:
    first, more = sorted(names)[:5], sorted(names)[5:]
    return ", ".join(first) + (f" and {len(more)} more" if more else "")
