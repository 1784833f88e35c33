"""A folder with the eight-bit form of a model: its stages, and what they are the eight-bit form of. No torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xclip_stream.errors import CheckpointError
from xclip_stream.model.configuration import read_json_object
from xclip_stream.model.stage_files import ExportedStages

MANIFEST = "quantized.json"
FORMAT = 2


@dataclass(frozen=True, slots=True)
class QuantisedModel:
    """The stages of a folder, and the digest that tells their scores from those of other models."""

    stages: ExportedStages
    sha256: str


def write_manifest(
    stages: ExportedStages, *, weights_sha256: str, settings: str, model: str, report: Mapping[str, Any]
) -> None:
    """Say in the folder of the stages what they come from, and how faithful they were found to be.

    Args:
        weights_sha256: of the checkpoint.
        settings: of the checkpoint, see `settings_digest`.
        model: its name.
        report: how faithful they are.
    """
    content = {
        "format": FORMAT,
        "model": model,
        "weights_sha256": weights_sha256,
        "settings_sha256": settings,
        "sha256": _digest(stages),
        "fidelity": dict(report),
    }
    (stages.folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def open_quantised(folder: Path, *, weights_sha256: str, settings: str) -> QuantisedModel:
    """Return the eight-bit form that lies in a folder.

    Args:
        weights_sha256: of the checkpoint that it has to be of.
        settings: of that checkpoint, see `settings_digest`.

    Raises:
        CheckpointError: there is none, it is damaged, or of another checkpoint.
    """
    stages = ExportedStages(folder)
    path = folder / MANIFEST
    manifest = read_json_object(path) if path.is_file() else {}
    if manifest.get("format", FORMAT) != FORMAT:
        raise CheckpointError(f"{path}: is of another version; make it anew with xclip-stream quantize")
    if not manifest or not stages.are_there():
        raise CheckpointError(f"{folder}: holds no quantized model; make one with xclip-stream quantize")
    made_of = manifest.get("weights_sha256"), manifest.get("settings_sha256")
    if made_of != (weights_sha256, settings):
        raise CheckpointError(
            f"{folder}: is of the checkpoint {manifest.get('model')!r} as it was, not of this one; "
            "make it anew with xclip-stream quantize"
        )
    digest = _digest(stages)
    if manifest.get("sha256") != digest:
        raise CheckpointError(f"{folder}: its files are not those that were judged; make it anew")
    return QuantisedModel(stages, digest)


def _digest(stages: ExportedStages) -> str:
    digest = hashlib.sha256()
    for path in stages.files():
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
