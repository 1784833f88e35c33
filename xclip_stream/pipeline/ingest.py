"""The loop that reads one file, from its first window that the queue does not have yet to its end."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import QueueUnavailable, SourceError, StaleOwner
from xclip_stream.pipeline.assembling import WindowSettings, keep
from xclip_stream.pipeline.backoff import QueueOutage, RoomWait
from xclip_stream.pipeline.evidence_desk import EvidenceDesk
from xclip_stream.pipeline.latest_picture import LatestPicture
from xclip_stream.pipeline.source_report import SourceReport
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import Admission, Admitted, Clock, FrameSource, IngestQueue, SourceFrame, SourceState
from xclip_stream.types import Frame, ScoreStatus, WindowId
from xclip_stream.windowing import Cut

Answer = TypeVar("Answer")

_EVIDENCE_STEP_S = 0.25

_MAX_SLEEP_S = 1.0
"""No wait is longer in one piece, so that a stop is seen and the heart goes on beating."""


class FileIngest:
    """Reads one file into the queue: every window once, in order, however often the reading is interrupted.

    The queue decides where to go on: windows that it has are cut again but not converted, and a file that was read to
    its end is not opened again. While the queue is full or cannot be reached, reading waits. At the end of the file a
    SOURCE_ENDED tombstone closes the epoch; a reading that was asked to stop leaves the epoch open, and the next one
    resumes it.

    Args:
        name_epoch: returns the epoch, which names the content of the file and how it is cut.
        token: that of the lease of the source.
        beat: called often; that it was not tells a supervisor that reading hangs.
        realtime: read no faster than the file plays.
        tally: counts what is read and queued.
        evidence: makes what is asked for of this file, between two frames, and after the last one until the rules have
            judged all of it.
    """

    def __init__(
        self,
        *,
        source_id: str,
        source: FrameSource,
        queue: IngestQueue,
        settings: WindowSettings,
        name_epoch: Callable[[], str],
        clock: Clock,
        stopping: Callable[[], bool],
        log: FilteringBoundLogger,
        token: int = 0,
        beat: Callable[[], None] = lambda: None,
        realtime: bool = False,
        tally: Tally | None = None,
        evidence: EvidenceDesk | None = None,
    ) -> None:
        self._source_id = source_id
        self._source = source
        self._queue = queue
        self._settings = settings
        self._name_epoch = name_epoch
        self._clock = clock
        self._stopping = stopping
        self._log = log.bind(source=source_id)
        self._token = token
        self._beat = beat
        self._realtime = realtime
        self._outage = QueueOutage(clock=clock, stopping=stopping, log=self._log)
        self._tally = tally or Tally()
        self._evidence = evidence
        self._report = SourceReport(
            source_id=source_id, live=False, queue=queue, clock=clock, tally=self._tally, evidence=evidence
        )
        self._picture = LatestPicture(
            source_id=source_id, queue=queue, clock=clock, wanted=lambda: self._report.wishes.picture
        )
        self._epoch = ""
        self._wanted_seq = 0
        self._windowing = settings.windowing()
        self._anchor_s: float | None = None
        self._room = RoomWait(longest_s=_MAX_SLEEP_S)

    def run(self) -> bool:
        """Read the file; return True at its end, and False when asked to stop before.

        Raises:
            SourceError: the file cannot be read.
            StaleOwner: another worker reads it now, or reads another file under the same name.
        """
        try:
            self._epoch = self._name_epoch()
            self._read_to_end()
            while not self._see_evidence_through():
                self._read_to_end()
        except (_Stopped, QueueUnavailable):  # the queue is given up only when we are asked to stop
            self._report.send()
            return False
        except SourceError as error:
            self._report.note_state(SourceState.FAILED, error=str(error))
            self._report.send_when_due()
            self._log.error("source_failed", error=str(error))
            raise
        return True

    def _read_to_end(self) -> None:
        if self._has_ended():
            self._log.info("source_ended_before")
            return
        self._report.send_when_due()
        while not self._read_through():
            pass

    def _has_ended(self) -> bool:
        return self._insist(lambda: self._queue.epoch_ended(self._source_id, self._epoch))

    def _see_evidence_through(self) -> bool:
        """Wait until the rules have judged the file and its evidence is there; False when the queue lost its end."""
        if self._evidence is None:
            return True
        if self._report.state is not SourceState.ENDED:  # it had ended before: the end itself is no window
            self._report.windows = max(0, self._insist(self._begin_epoch) - 1)
            self._report.note_state(SourceState.ENDED)
        self._report.send()
        while self._report.wishes.judged_epoch != self._epoch or self._evidence.is_busy:
            self._clock.sleep(_EVIDENCE_STEP_S)
            self._check_in()
            self._report.send()
            if not self._has_ended():
                return False
        return True

    def _read_through(self) -> bool:
        """Read from the start; False when the queue wants windows again that this reading has passed."""
        self._windowing = self._settings.windowing()
        self._anchor_s = None
        with self._source as source:
            self._wanted_seq = self._insist(self._begin_epoch)
            self._report.windows = self._wanted_seq
            self._report.note_state(SourceState.RUNNING, duration_s=source.duration_s)
            self._log.info("source_opened", duration_s=source.duration_s, first_seq=self._wanted_seq)
            try:
                self._read_frames(source)
            except _Rewind as rewind:
                self._log.warning("source_rewound", next_seq=rewind.next_seq)
                return False
            damage = list(source.damage)
        self._report.windows = self._windowing.next_seq
        self._report.note_state(SourceState.ENDED, error="; ".join(damage))
        self._report.send_when_due()
        self._log.info("source_ended", windows=self._windowing.next_seq, damage=damage)
        return True

    def _read_frames(self, source: FrameSource) -> None:
        last = (0.0, 0.0)
        try:
            for frame in source:
                self._check_in()
                self._keep_pace(frame)
                for cut in self._windowing.push(frame.pts_s, partial(self._keep, frame)):
                    self._add(cut)
                self._report.note_frame(position_s=frame.pts_s)
                self._picture.note_frame(frame)
                self._picture.show()
                last = (frame.pts_s, frame.captured_at)
            for cut in self._windowing.flush():
                self._add(cut)
        except SourceError:
            self._close_epoch(*last)
            raise
        self._close_epoch(*last)

    def _begin_epoch(self) -> int:
        return self._queue.begin_epoch(self._source_id, self._epoch, live=False, token=self._token)

    def _keep(self, frame: SourceFrame, highest_seq: int) -> Frame:
        return keep(frame, with_pictures=highest_seq >= self._wanted_seq)

    def _add(self, cut: Cut[Frame]) -> None:
        if cut.seq < self._wanted_seq:
            return
        window_id = WindowId(self._source_id, self._epoch, cut.seq)
        window = self._settings.assemble(cut, window_id, live=False, produced_at=self._clock.now())
        self._put(lambda: self._queue.add_window(window, token=self._token))
        self._report.windows = cut.seq + 1
        self._tally.add(windows=1)
        self._log.debug("window_added", seq=cut.seq, last_pts_s=window.last_pts_s)

    def _close_epoch(self, pts_s: float, captured_at: float) -> None:
        end = WindowId(self._source_id, self._epoch, self._windowing.next_seq)
        self._put(
            lambda: self._queue.add_tombstone(
                end,
                status=ScoreStatus.SOURCE_ENDED,
                live=False,
                pts_s=pts_s,
                captured_at=captured_at,
                token=self._token,
            )
        )

    def _put(self, step: Callable[[], Admitted]) -> None:
        """Put a window or tombstone into the queue, waiting while it is full."""
        while (admitted := self._insist(step)).answer is Admission.FULL:
            self._clock.sleep(self._room.next_delay_s())
            self._check_in()
        self._room.note_taken()
        match admitted.answer:
            case Admission.STALE:
                raise StaleOwner(f"source {self._source_id}: another worker has taken it over")
            case Admission.REWIND:
                raise _Rewind(admitted.next_seq)
            case _:
                self._wanted_seq = max(self._wanted_seq, admitted.next_seq)

    def _insist(self, step: Callable[[], Answer]) -> Answer:
        def beat_and_step() -> Answer:
            self._beat()
            return step()

        return self._outage.insist(beat_and_step)

    def _keep_pace(self, frame: SourceFrame) -> None:
        """Where the file plays in its own time, wait until the frame is due; what is only skipped needs no time."""
        if not self._realtime or self._windowing.next_seq < self._wanted_seq:
            return
        now = self._clock.monotonic()
        if self._anchor_s is None:
            self._anchor_s = now - frame.pts_s
        while (left_s := self._anchor_s + frame.pts_s - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left_s, _MAX_SLEEP_S))
            self._check_in()

    def _check_in(self) -> None:
        self._beat()
        self._report.send_when_due()
        if self._evidence is not None:
            self._evidence.step()
        if self._stopping():
            raise _Stopped


class _Stopped(Exception):
    """We were asked to stop."""


class _Rewind(Exception):
    """The queue wants a window that this reading has passed."""

    def __init__(self, next_seq: int) -> None:
        super().__init__(next_seq)
        self.next_seq = next_seq
