"""Where the stages of a model lie as files, and what beside the weights decides what is in them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from xclip_stream.model.checkpoint_files import FrameRules
from xclip_stream.model.configuration import XCLIPConfig


@dataclass(frozen=True, slots=True)
class ExportedStages:
    """The stages in a folder: each an `.xml` of OpenVINO, beside which lies its `.bin`."""

    folder: Path

    @property
    def frames(self) -> Path:
        return self.folder / "frames.xml"

    @property
    def clips(self) -> Path:
        return self.folder / "clips.xml"

    @property
    def prompts(self) -> Path:
        return self.folder / "prompts.xml"

    def files(self) -> tuple[Path, ...]:
        return tuple(path for xml in (self.frames, self.clips, self.prompts) for path in (xml, xml.with_suffix(".bin")))

    def are_there(self) -> bool:
        return all(path.is_file() for path in self.files())


def settings_digest(config: XCLIPConfig, rules: FrameRules) -> str:
    """Name what the files of a checkpoint say of the model that its weights do not: heads, activation, pixels."""
    return hashlib.sha256(repr((config, rules)).encode()).hexdigest()
