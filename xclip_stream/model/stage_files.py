"""Where the two stages of a model's vision side lie as files, and what beside the weights decides what is in them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.configuration import XCLIPVisionConfig


@dataclass(frozen=True, slots=True)
class ExportedStages:
    """Both stages in a folder: each an `.xml` of OpenVINO, beside which lies its `.bin`."""

    folder: Path

    @property
    def frames(self) -> Path:
        return self.folder / "frames.xml"

    @property
    def clips(self) -> Path:
        return self.folder / "clips.xml"

    def are_there(self) -> bool:
        return all(path.is_file() and path.with_suffix(".bin").is_file() for path in (self.frames, self.clips))


def settings_digest(vision: XCLIPVisionConfig, rules: FrameRules) -> str:
    """Name what the files of a checkpoint say of the vision side that its weights do not: heads, activation, pixels."""
    return hashlib.sha256(repr((vision, rules)).encode()).hexdigest()
