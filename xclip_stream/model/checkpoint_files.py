"""What the files of a checkpoint say before any weight is read: the shape of a clip, how frames are made. No torch."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xclip_stream.errors import CheckpointError
from xclip_stream.model.configuration import XCLIPConfig, read_json_object
from xclip_stream.model.locate import Checkpoint, open_checkpoint
from xclip_stream.types import ClipGeometry, Fit

BILINEAR = 2  # in the numbering of Pillow, which the files use


@dataclass(frozen=True, slots=True)
class FrameRules:
    """How a frame becomes numbers: resized (bilinear), made square, divided by 255, less `mean`, over `std`."""

    image_px: int
    fit: Fit
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files that hold the weights of a checkpoint: one, or several shards."""

    paths: tuple[Path, ...]

    def sha256(self) -> str:
        """Identify the weights: the digest of their one file, or of what `sha256sum` prints for the shards."""
        digests = [(_file_sha256(path), path.name) for path in self.paths]
        if len(digests) == 1:
            return digests[0][0]
        lines = "".join(f"{digest}  {name}\n" for digest, name in digests)
        return hashlib.sha256(lines.encode()).hexdigest()


def clip_geometry(checkpoint: str | Path, revision: str | None = None) -> ClipGeometry:
    """Read the shape of a clip from the configuration files of a checkpoint: a local folder or a hub id.

    Raises CheckpointError naming the file or key that is missing or makes no sense.
    """
    opened = open_checkpoint(checkpoint, revision=revision)
    vision = XCLIPConfig.from_checkpoint(opened).vision_config
    rules = read_frame_rules(opened, image_px=vision.image_size)
    return ClipGeometry(num_frames=vision.num_frames, image_px=rules.image_px, fit=rules.fit)


def read_frame_rules(checkpoint: Checkpoint, *, image_px: int) -> FrameRules:
    """Read how frames are made from `preprocessor_config.json`, or from `processor_config.json` of later files.

    Frames are always `image_px` wide, the model's own size: one published file (large-patch14-16-frames) sets no crop
    and would get that of its class, which its model refuses.
    """
    path = checkpoint.require("preprocessor_config.json", "processor_config.json")
    values = read_json_object(path)
    try:
        own = values.get("image_processor", values)
        if not isinstance(own, Mapping):
            raise CheckpointError(f"image_processor must be an object, not {own!r}")
        return _frame_rules(own, image_px)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _frame_rules(values: Mapping[str, Any], image_px: int) -> FrameRules:
    for key in ("do_resize", "do_normalize", "do_rescale"):
        if values.get(key, True) is not True:
            raise CheckpointError(f"{key} must be true")
    factor = values.get("rescale_factor", 1 / 255)
    if not isinstance(factor, int | float) or abs(factor - 1 / 255) > 1e-9:
        raise CheckpointError(f"rescale_factor must be 1/255, not {factor!r}")
    if values.get("resample", BILINEAR) != BILINEAR:
        raise CheckpointError(f"resample must be {BILINEAR} (bilinear), not {values['resample']!r}")
    std = _three_numbers(values, "image_std")
    if not min(std) > 0:
        raise CheckpointError(f"image_std must be more than 0, not {list(std)}")
    return FrameRules(image_px=image_px, fit=_fit(values, image_px), mean=_three_numbers(values, "image_mean"), std=std)


def _fit(values: Mapping[str, Any], image_px: int) -> Fit:
    """Whether frames are cropped or stretched, from the three ways in which files write `size`."""
    match values.get("size", image_px):
        case int(side) | {"shortest_edge": int(side)} if side == image_px:
            if values.get("do_center_crop", True) is not True:
                raise CheckpointError(
                    "do_center_crop false leaves frames that are not square; give size height and width"
                )
            return "crop"
        case {"height": int(height), "width": int(width)} if height == width == image_px:
            return "stretch"
        case other:
            raise CheckpointError(f"size {other!r} does not make frames of the model's image_size {image_px}")


def _three_numbers(values: Mapping[str, Any], key: str) -> tuple[float, ...]:
    numbers = values.get(key)
    if not isinstance(numbers, list) or len(numbers) != 3 or not all(_is_number(each) for each in numbers):
        raise CheckpointError(f"{key} must be three numbers, not {numbers!r}")
    return tuple(float(number) for number in numbers)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def fetch_weights(checkpoint: str | Path, revision: str | None = None) -> None:
    """Bring the weights of a checkpoint onto this machine, where they are not here yet.

    Raises CheckpointError where there are none, or they cannot be fetched.
    """
    find_weights(open_checkpoint(checkpoint, revision=revision))


def find_weights(checkpoint: Checkpoint) -> WeightFiles:
    """Find the weights of a checkpoint: safetensors before pickles, whole files before shards.

    A local folder may instead hold one original `.pth` of X-CLIP's authors.
    """
    path = checkpoint.find(
        "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"
    )
    if path is None:
        path = _only_original(checkpoint)
    if path.suffix == ".json":
        return WeightFiles(tuple(checkpoint.require(name) for name in _shards(path)))
    return WeightFiles((path,))


def _only_original(checkpoint: Checkpoint) -> Path:
    originals = sorted(checkpoint.folder.glob("*.pth")) if checkpoint.folder is not None else []
    if len(originals) != 1:
        found = f"{len(originals)} files *.pth" if originals else "no weights"
        raise CheckpointError(
            f"{checkpoint.folder or checkpoint.name}: holds {found}; expected model.safetensors, pytorch_model.bin, "
            "their shards with an index, or one *.pth"
        )
    return originals[0]


def _shards(index: Path) -> list[str]:
    """The shards that an index names. A name with a folder in it is refused: it could lead anywhere."""
    places = read_json_object(index).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(f"{index}: weight_map must map the names of weights to those of files")
    names = sorted(set(places.values()))
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{index}: {name!r} is not the name of a file beside it")
    return names


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
