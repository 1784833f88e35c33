"""Lets go of evidence that is too old or too much, beside the work of an ingest worker."""

from collections.abc import Callable
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from xclip_stream.pipeline.side_thread import SideThread

_EVERY_S = 60.0


class Swept(Protocol):
    """What one sweep found and did; `files` and `num_bytes` are what is left."""

    @property
    def files(self) -> int: ...

    @property
    def num_bytes(self) -> int: ...

    @property
    def removed(self) -> int: ...


class SweepingThread(SideThread):
    """Sweeps once a minute while this is entered.

    Args:
        sweep: does it; None where nothing is kept here.
    """

    def __init__(self, sweep: Callable[[], Swept | None], *, log: FilteringBoundLogger) -> None:
        super().__init__("sweep", waits=False)  # a disk that hangs must not keep the worker from ending
        self._sweep = sweep
        self._log = log

    def run(self) -> None:
        while True:
            # The top of a thread: whatever the disk says, the cameras are watched on.
            try:
                swept = self._sweep()
            except Exception:  # noqa: BLE001 - see above
                self._log.exception("sweep_crashed")
            else:
                if swept is not None and swept.removed:
                    self._log.info("evidence_swept", removed=swept.removed, files=swept.files, bytes=swept.num_bytes)
            if self.over.wait(_EVERY_S):
                return
