"""Lets go of evidence that is too old or too much, beside the work of an ingest worker."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from structlog.typing import FilteringBoundLogger

_EVERY_S = 60.0


class Swept(Protocol):
    """What one sweep found and did; `files` and `num_bytes` are what is left."""

    @property
    def files(self) -> int: ...

    @property
    def num_bytes(self) -> int: ...

    @property
    def removed(self) -> int: ...


class SweepingThread:
    """Sweeps once a minute while this is entered.

    Args:
        sweep: does it; None where nothing is kept here.
    """

    def __init__(self, sweep: Callable[[], Swept | None], *, log: FilteringBoundLogger) -> None:
        self._sweep = sweep
        self._log = log
        self._over = threading.Event()
        # A disk that hangs must not keep the worker from ending.
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def _run(self) -> None:
        while True:
            # The top of a thread: whatever the disk says, the cameras are watched on.
            try:
                swept = self._sweep()
            except Exception:  # noqa: BLE001 - see above
                self._log.exception("sweep_crashed")
            else:
                if swept is not None and swept.removed:
                    self._log.info("evidence_swept", removed=swept.removed, files=swept.files, bytes=swept.num_bytes)
            if self._over.wait(_EVERY_S):
                return
