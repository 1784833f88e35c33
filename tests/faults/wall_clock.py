"""A wall clock that a storm sets, for the processes that are started with it. The machine's own is not touched."""

from collections.abc import Sequence
from pathlib import Path

from tests.conftest import missing_part

LIBRARIES = Path("/usr/lib")


class WallClock:
    """What time it is for some processes, by Debian's libfaketime; their monotonic clock stays true."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @property
    def at(self) -> Sequence[str]:
        """What to put before a command so that it, and all that it starts, has this clock."""
        library = next(LIBRARIES.glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None:
            missing_part("libfaketime", "apt-get install faketime")
        return (
            "env",
            f"LD_PRELOAD={library}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_CACHE_DURATION=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1",
        )

    def set(self, by_s: int) -> None:
        """Set the clock `by_s` seconds before or behind the true time; it is seen within a second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{by_s:+d}\n")
        new.replace(self._file)
