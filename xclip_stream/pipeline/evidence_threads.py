"""What runs beside the reading of a camera: its evidence is made, and another stream of it is recorded."""

import random
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import SourceError
from xclip_stream.pipeline.camera_delays import FIRST_DELAY_S, CameraDelays
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

    def record(self, stopping: Callable[[], bool], *, note_packet: Callable[[], None]) -> None:
        """Record until the camera is lost, or `stopping`; tell of each packet."""


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

    It is left to itself at the end: a read that hangs cannot be ended, and the process ends anyway. A refused login is
    tried again rarely from the first time on: the stream that is watched has the tries that a camera forgives.

    Args:
        draw: gives the random part of a delay, 0 to 1.
    """

    def __init__(
        self, source: Recordable, *, log: FilteringBoundLogger, draw: Callable[[], float] = random.random
    ) -> None:
        super().__init__("record", waits=False)
        self._source = source
        self._log = log
        self._delays = CameraDelays(longest_s=30.0, quick_logins=1, draw=draw)

    def run(self) -> None:
        while not self.over.is_set():
            delay_s = FIRST_DELAY_S
            try:
                with self._source as source:
                    self._log.info("recording_opened")
                    source.record(self.over.is_set, note_packet=self._delays.reset)
            except SourceError as error:
                delay_s = self._delays.after(error)
                self._log.warning("recording_lost", error=str(error), delay_s=round(delay_s, 1))
            # The top of a thread: the camera is watched on without its recording.
            except Exception:  # noqa: BLE001 - see above
                self._log.exception("recording_crashed")
                delay_s = _AFTER_CRASH_S
            self.over.wait(delay_s)
