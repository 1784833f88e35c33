"""Lets go of evidence that is too old or too much, beside the work of an ingest worker."""

from collections.abc import Callable
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from xclip_stream.meters import EvidenceKept
from xclip_stream.pipeline.side_thread import SideThread

_EVERY_S = 60.0


class Swept(Protocol):
    """What one sweep found and did; `files`, `num_bytes` and the age `oldest_s` are of what is left."""

    @property
    def files(self) -> int: ...

    @property
    def num_bytes(self) -> int: ...

    @property
    def oldest_s(self) -> float: ...

    @property
    def removed(self) -> int: ...

    @property
    def removed_bytes(self) -> int: ...


class SweepingThread(SideThread):
    """Sweeps once a minute while this is entered.

    Args:
        sweep: does it; None where nothing is kept here.
    """

    def __init__(self, sweep: Callable[[], Swept | None], *, log: FilteringBoundLogger) -> None:
        super().__init__("sweep", waits=False)  # a disk that hangs must not keep the worker from ending
        self._sweep = sweep
        self._log = log
        self._last: Swept | None = None
        self._removed_files = 0
        self._removed_bytes = 0

    def kept(self) -> EvidenceKept | None:
        """Return what the last sweep has left and all have removed; None where nothing is kept. Any thread may ask."""
        last = self._last
        if last is None:
            return None
        return EvidenceKept(
            files=last.files,
            num_bytes=last.num_bytes,
            oldest_s=last.oldest_s,
            removed_files=self._removed_files,
            removed_bytes=self._removed_bytes,
        )

    def run(self) -> None:
        while True:
            # The top of a thread: whatever the disk says, the cameras are watched on.
            try:
                swept = self._sweep()
            except Exception:  # noqa: BLE001 - see above
                self._log.exception("sweep_crashed")
            else:
                self._note(swept)
            if self.over.wait(_EVERY_S):
                return

    def _note(self, swept: Swept | None) -> None:
        self._last = swept
        if swept is not None and swept.removed:
            self._removed_files += swept.removed
            self._removed_bytes += swept.removed_bytes
            self._log.info("evidence_swept", removed=swept.removed, files=swept.files, bytes=swept.num_bytes)
