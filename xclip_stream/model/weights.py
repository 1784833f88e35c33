"""Reads weights from files without ever running code that a file brings along."""

import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from xclip_stream.errors import CheckpointError
from xclip_stream.model.checkpoint_files import WeightFiles

# What a damaged pickle or archive raises, as far as found: torch passes on whatever its parser stumbles over.
_DAMAGE = (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, struct.error)

# Buffers of older files. They count 0, 1, 2, … and are no weights.
_COUNTERS = ("embeddings.position_ids",)


class _Ignored:
    """Stands in for values that the authors' files hold beside the weights, and keeps nothing of them."""

    def __init__(self, *values: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# The authors' `.pth` hold their configuration and accuracies beside the weights. The names are read as these inert
# classes, so neither yacs nor numpy has to run. Any other name is refused.
_INERT: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (OrderedDict, "yacs.config.CfgNode"),
    (_Ignored, "numpy.core.multiarray.scalar"),
    (_Ignored, "numpy._core.multiarray.scalar"),
    (_Ignored, "numpy.dtype"),
    (_Ignored, "_codecs.encode"),
]


def read_weights(files: WeightFiles) -> dict[str, Tensor]:
    """Read all weights, by name, onto the CPU and in the type in which they are stored.

    Raises CheckpointError for a damaged file, and for a pickle that holds anything but tensors and plain values.
    """
    weights: dict[str, Tensor] = {}
    for path in files.paths:
        weights |= _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    return {name: tensor for name, tensor in weights.items() if not name.endswith(_COUNTERS)}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}") from None


def _read_pickle(path: Path) -> dict[str, Tensor]:
    values = _unpickle(path)
    if isinstance(values, dict) and isinstance(values.get("model"), dict):
        values = values["model"]  # the authors' files hold the optimiser and more beside it
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in values.items()
    ):
        raise CheckpointError(f"{path}: does not hold weights by their names")
    return {name.removeprefix("module."): tensor for name, tensor in values.items()}


def _unpickle(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(_INERT):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise CheckpointError(f"{path}: is damaged, or no file of weights") from None
        raise CheckpointError(
            f"{path}: refused: it would run code ({named[1]}); get the weights as safetensors from somebody you trust"
        ) from None
    except _DAMAGE:
        raise CheckpointError(f"{path}: is damaged, or no file of weights") from None
