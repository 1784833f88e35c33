"""Evidence in a folder of this machine."""

from pathlib import Path

from xclip_stream.errors import EvidenceError


class LocalStore:
    """Keeps evidence below `folder`, where it can be looked at while it grows."""

    shows_growing = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, name: str) -> Path:
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvidenceError(f"{path.parent}: cannot be made ({error.strerror})") from error
        return path

    def has(self, name: str) -> bool:
        return (self._folder / name).exists()

    def keep(self, draft: Path, name: str) -> None:
        path = self._folder / name
        try:
            # Whoever serves the files to others may be another user than the one of the worker.
            draft.chmod(0o644)
            draft.replace(path)
        except OSError as error:
            raise EvidenceError(f"{path}: cannot be written ({error.strerror})") from error
