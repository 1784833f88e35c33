"""What runs beside the reading of a camera: its evidence is made, and another stream of it is recorded."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import SourceError
from xclip_stream.pipeline.backoff import Backoff
from xclip_stream.pipeline.evidence_desk import EvidenceDesk
from xclip_stream.pipeline.side_thread import SideThread

_STEP_S = 0.2
_AFTER_CRASH_S = 10.0
"""A defect that stays would fill the log."""


class Recordable(Protocol):
    """A camera whose packets go to a ring. Entering connects."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def record(self, stopping: Callable[[], bool]) -> None:
        """Record until the camera is lost, or `stopping`."""


class EvidenceThread(SideThread):
    """Makes evidence while this is entered: cutting and writing must not hold up the reading of a camera."""

    def __init__(self, desk: EvidenceDesk, *, log: FilteringBoundLogger) -> None:
        super().__init__("evidence", waits=True)
        self._desk = desk
        self._log = log

    def run(self) -> None:
        pause_s = _STEP_S
        while not self.over.wait(pause_s):
            pause_s = _STEP_S
            # The top of a thread: whatever is wrong with evidence, the camera is watched on.
            try:
                self._desk.step()
            except Exception:  # noqa: BLE001 - see above
                self._log.exception("evidence_crashed")
                pause_s = _AFTER_CRASH_S
        self._desk.close()


class RecordingThread(SideThread):
    """Records another stream of a camera while this is entered, and connects again whenever it is lost.

    It is left to itself at the end: a read that hangs cannot be ended, and the process ends anyway.
    """

    def __init__(self, source: Recordable, *, log: FilteringBoundLogger) -> None:
        super().__init__("record", waits=False)
        self._source = source
        self._log = log
        self._backoff = Backoff(first_s=1.0, cap_s=30.0)

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with self._source as source:
                    self._log.info("recording_opened")
                    source.record(self.over.is_set)
            except SourceError as error:
                self._log.warning("recording_lost", error=str(error))
            # The top of a thread: the camera is watched on without its recording.
            except Exception:  # noqa: BLE001 - see above
                self._log.exception("recording_crashed")
            self.over.wait(self._backoff.next_delay_s())
