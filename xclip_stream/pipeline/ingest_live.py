"""The loop that reads one camera, and connects again whenever it is lost."""

import random
import threading
from collections.abc import Callable
from functools import partial

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import SourceError, SourceRejected, XclipStreamError
from xclip_stream.motion_gate import MotionGate
from xclip_stream.pipeline.assembling import WindowSettings, keep
from xclip_stream.pipeline.camera_delays import CameraDelays
from xclip_stream.pipeline.evidence_desk import EvidenceDesk
from xclip_stream.pipeline.latest_picture import LatestPicture
from xclip_stream.pipeline.live_backlog import Backlog, LiveEpochs
from xclip_stream.pipeline.source_report import SourceReport
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import Clock, FrameSource, IngestQueue, SourceFrame, SourceState
from xclip_stream.thinning import Thinning
from xclip_stream.types import Frame
from xclip_stream.windowing import Cut

_LONGEST_DELAY_S = 5.0
_STEP_S = 0.1
"""How often the queue is tried that does not take a window."""
_REST_S = 0.5
"""How long a thread rests in one piece: the sender while nothing waits, since what is to be sent wakes it and a report
is not due sooner; the reading before it connects again, since a stop wakes it."""


class LiveIngest:
    """Reads one camera into the queue until it is asked to stop, whatever happens to the camera or the queue.

    Reading never waits for the queue: a second thread sends, and between the two stands a short backlog. A camera that
    is lost is connected to again, sooner or later; when the first try fails, a SOURCE_LOST tombstone ends its events.
    At the stop a SOURCE_STOPPED tombstone closes the epoch.

    Args:
        epochs: names the epoch, also for the next process should this one die.
        token: that of the lease of the camera.
        backlog_windows: how many windows wait here while the queue takes none.
        beat: called often; that it was not tells a supervisor that reading hangs.
        draw: gives the random part of a delay, 0 to 1.
        tally: counts what is read, queued and dropped.
        evidence: is given what is asked for of this camera; it works in a thread of its own.
        gate: knows which windows need not be scored; without one every window is.
        thinning: tells of which windows there is room for under overload; without one it is tried for all.
    """

    def __init__(
        self,
        *,
        source_id: str,
        source: FrameSource,
        queue: IngestQueue,
        settings: WindowSettings,
        epochs: LiveEpochs,
        clock: Clock,
        stopping: Callable[[], bool],
        log: FilteringBoundLogger,
        token: int = 0,
        backlog_windows: int = 4,
        beat: Callable[[], None] = lambda: None,
        draw: Callable[[], float] = random.random,
        tally: Tally | None = None,
        evidence: EvidenceDesk | None = None,
        gate: MotionGate | None = None,
        thinning: Thinning | None = None,
    ) -> None:
        self._source_id = source_id
        self._source = source
        self._settings = settings
        self._clock = clock
        self._stopping = stopping
        self._log = log.bind(source=source_id)
        self._beat = beat
        self._tally = tally or Tally()
        self._report = SourceReport(
            source_id=source_id, live=True, queue=queue, clock=clock, tally=self._tally, evidence=evidence
        )
        self._picture = LatestPicture(
            source_id=source_id, queue=queue, clock=clock, wanted=lambda: self._report.wishes.picture
        )
        self._backlog = Backlog(
            source_id=source_id,
            queue=queue,
            epochs=epochs,
            settings=settings,
            capacity=backlog_windows,
            clock=clock,
            log=self._log,
            token=token,
            gate=gate,
            thinning=thinning,
        )
        self._delays = CameraDelays(longest_s=_LONGEST_DELAY_S, draw=draw)
        self._is_marked_lost = False
        self._last = (0.0, clock.now())
        self._reading_is_over = False
        self._wake_sender = threading.Event()
        self._sending_failed: Exception | None = None

    def run(self) -> None:
        """Read until asked to stop.

        Raises:
            StaleOwner: another worker reads this camera now.
        """
        sender = threading.Thread(target=self._send, name=f"send-{self._source_id}")
        sender.start()
        try:
            while not self._is_over():
                self._connect_and_read()
        finally:
            self._reading_is_over = True
            self._wake_sender.set()
            sender.join()
        if self._sending_failed is not None:
            raise self._sending_failed

    def _is_over(self) -> bool:
        self._beat()
        return self._stopping() or self._sending_failed is not None

    def _connect_and_read(self) -> None:
        """Read from one connection until it is lost, then wait until it is time for the next one."""
        windowing = self._settings.windowing()
        try:
            with self._source as source:
                self._backlog.note_connection()
                for frame in source:
                    if self._is_over():
                        return
                    self._note_frame(frame)
                    self._hand_over(windowing.push(frame.pts_s, partial(_keep, frame)))
        except SourceError as error:
            self._hand_over(windowing.flush())
            self._note_loss(error)
            self._wait(self._delays.after(error))

    def _hand_over(self, cuts: list[Cut[Frame]]) -> None:
        for cut in cuts:
            self._backlog.add_window(cut)
            self._wake_sender.set()

    def _note_frame(self, frame: SourceFrame) -> None:
        if self._report.state is not SourceState.RUNNING:
            self._report.note_state(SourceState.RUNNING)
            self._log.info("source_opened")
            self._is_marked_lost = False
            self._delays.reset()
            self._wake_sender.set()
        lag_s = max(0.0, self._clock.now() - frame.captured_at)
        self._report.note_frame(position_s=frame.pts_s, lag_s=lag_s)
        self._picture.note_frame(frame)
        self._last = (frame.pts_s, frame.captured_at)

    def _note_loss(self, error: SourceError) -> None:
        """Take notice of a connection that broke, or of one that did not come about."""
        before = self._report.state
        if before is not SourceState.RUNNING and not self._is_marked_lost:
            pts_s, captured_at = self._last
            self._backlog.add_lost(pts_s=pts_s, captured_at=captured_at)
            self._is_marked_lost = True
        state = SourceState.FAILED if isinstance(error, SourceRejected) else SourceState.STALLED
        self._report.note_state(state, error=str(error))
        self._wake_sender.set()
        self._tally.add(losses=before is SourceState.RUNNING)
        if state is not before:
            self._log.warning("source_lost", state=str(state), error=str(error), damage=list(self._source.damage))

    def _wait(self, delay_s: float) -> None:
        until = self._clock.monotonic() + delay_s
        while not self._is_over() and (left_s := until - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left_s, _REST_S))

    def _send(self) -> None:
        """The second thread: pass on what the backlog holds and what the report says, to the end."""
        try:
            while not self._reading_is_over:
                self._wake_sender.wait(_STEP_S if self._backlog.waits else _REST_S)
                self._wake_sender.clear()
                self._backlog.pump()
                self._send_report()
                self._picture.show()
            self._backlog.finish(pts_s=self._last[0], captured_at=self._last[1])
            self._count()
            self._report.send()
        except XclipStreamError as error:
            self._sending_failed = error
        # The top of a thread: a defect here has to end the reading too, and is raised again there.
        except Exception as error:  # noqa: BLE001 - see above
            self._log.exception("sending_crashed")
            self._sending_failed = error

    def _send_report(self) -> None:
        self._count()
        self._report.send_when_due()
        self._backlog.note_wish(self._report.wishes.rescore)

    def _count(self) -> None:
        report, backlog = self._report, self._backlog
        self._tally.add(
            windows=backlog.sent - report.windows,
            dropped=backlog.dropped - report.dropped,
            unchanged=backlog.unchanged - report.unchanged,
        )
        report.windows, report.dropped, report.unchanged = backlog.sent, backlog.dropped, backlog.unchanged
        report.window_step = backlog.window_step
        idling = self._source.idling
        if idling is not None:
            self._tally.add(still=idling.still_frames - (report.idling.still_frames if report.idling else 0))
        report.idling = idling


def _keep(frame: SourceFrame, _highest_seq: int) -> Frame:
    return keep(frame)
