"""Where the two stages of a model's vision side lie as files."""

from dataclasses import dataclass
from pathlib import Path


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
