"""What ingest says of a source: for display, so that nothing waits for it and nothing fails with it."""

from contextlib import suppress

from xclip_stream.errors import QueueUnavailable
from xclip_stream.pipeline.decoded_share import DecodedShare
from xclip_stream.pipeline.evidence_desk import EvidenceDesk
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import Clock, IngestQueue, SourceState, SourceStatus, Wishes
from xclip_stream.types import Idling

_EVERY_S = 1.0


class SourceReport:
    """Reports a source about once a second, and when its state has changed.

    What is wanted of the source comes back with each report: `evidence` is given its requests.

    One thread may note and another one send: nothing is decided by what a report says.

    Args:
        tally: counts the frames.
    """

    def __init__(
        self,
        *,
        source_id: str,
        live: bool,
        queue: IngestQueue,
        clock: Clock,
        tally: Tally,
        evidence: EvidenceDesk | None = None,
    ) -> None:
        self._source_id = source_id
        self._live = live
        self._queue = queue
        self._clock = clock
        self._tally = tally
        self._evidence = evidence
        self._state = SourceState.CONNECTING
        self._error = ""
        self._duration_s: float | None = None
        self._position_s = 0.0
        self._lag_s = 0.0
        self._frames = 0
        self._changed = True
        self._sent_at = clock.monotonic()
        self.windows = 0
        self.dropped = 0
        self.unchanged = 0
        self.window_step = 1
        self.idling: Idling | None = None
        self._shares = DecodedShare()
        self.wishes = Wishes()
        """What others want of this source: the answer to the last report."""

    @property
    def state(self) -> SourceState:
        return self._state

    def note_state(self, state: SourceState, *, error: str = "", duration_s: float | None = None) -> None:
        self._state, self._error = state, error
        self._duration_s = duration_s if duration_s is not None else self._duration_s
        self._changed = True

    def note_frame(self, *, position_s: float, lag_s: float = 0.0) -> None:
        self._frames += 1
        self._tally.add(frames=1)
        self._position_s, self._lag_s = position_s, lag_s

    def send_when_due(self) -> None:
        """Send a report when it is time; to be called also while nothing happens, so that it stays fresh."""
        if self._changed or self._clock.monotonic() - self._sent_at >= _EVERY_S:
            self.send()

    def send(self) -> None:
        """Send a report now; to be called at the end, so that the counts are those of all that was read."""
        since_s = self._clock.monotonic() - self._sent_at
        self._changed = False
        if self.idling is not None:
            self._shares.note(self._sent_at + since_s, frames=self._frames, still_frames=self.idling.still_frames)
        self._sent_at += since_s
        fps = self._frames / since_s if since_s >= _EVERY_S else 0.0
        self._frames = 0
        with suppress(QueueUnavailable):
            self.wishes = self._queue.report_source(self._status(fps))
            if self._evidence is not None:
                self._evidence.take(self.wishes.requests)

    def _status(self, fps: float) -> SourceStatus:
        return SourceStatus(
            source_id=self._source_id,
            state=self._state,
            live=self._live,
            fps=round(fps, 2),
            position_s=self._position_s,
            duration_s=self._duration_s,
            windows=self.windows,
            dropped=self.dropped,
            lag_s=self._lag_s,
            error=self._error,
            updated_at=self._clock.now(),
            evidence_made=0 if self._evidence is None else self._evidence.made,
            evidence_failed=0 if self._evidence is None else self._evidence.failed,
            unchanged=self.unchanged,
            window_step=self.window_step,
            idle=None if self.idling is None else self.idling.state,
            decoded_share=self._shares.share,
        )
