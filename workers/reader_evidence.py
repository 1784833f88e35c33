"""What the process of one reader needs to keep evidence: footage, a store, and the desk between them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import structlog

from workers.evidence_places import open_store
from xclip_stream.config import Config, EvidenceConfig, SourceConfig
from xclip_stream.pipeline.evidence_desk import EvidenceDesk
from xclip_stream.pipeline.evidence_threads import EvidenceThread, RecordingThread
from xclip_stream.pipeline.lifecycle import SystemClock
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import Footage, IngestQueue
from xclip_stream.sources import FileFootage, LiveFootage, PacketRing, PacketTap, Painter, local_path, open_recording
from xclip_stream.storage import Retention, Swept

_LATENCY_S = 15.0
"""How long after its last frame a window of a camera may be judged, and the reader may hear of it."""
_LEAST_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOrder:
    """What a reader is told of the evidence of its source; `held_s` of a camera's packets are kept in memory."""

    config: EvidenceConfig
    held_s: float


def evidence_order(config: Config, source: SourceConfig) -> EvidenceOrder | None:
    """Return what the reader of a source is told, None where nothing is kept of it."""
    if config.evidence is None or not source.evidence:
        return None
    longest_s = max((rule.min_duration_s for rule in config.rules_of(source.id)), default=0.0)
    held_s = config.evidence.pre_roll_s + source.window.span_s + patience_s(longest_s) + _LATENCY_S
    return EvidenceOrder(config=config.evidence, held_s=held_s)


def patience_s(min_duration_s: float) -> float:
    """Return for how long a reader expects an event to be told after it has begun: 5, 10, 20 … s, the next of them.

    Another order starts the reader again, which connects to the camera anew and ends its open events. Few changes of a
    rule are to do that.
    """
    patience = _LEAST_PATIENCE_S
    while patience < min_duration_s:
        patience *= 2
    return patience


class ReaderEvidence:
    """The evidence of one source in its reader."""

    def __init__(
        self,
        order: EvidenceOrder,
        source: SourceConfig,
        *,
        queue: IngestQueue,
        beat: Callable[[], None],
        tally: Tally,
    ) -> None:
        self._source = source
        self._log = structlog.get_logger().bind(source=source.id)
        painter = Painter(masks=source.masks, overlay=order.config.overlay)
        footage: Footage
        if source.live:
            ring = PacketRing(span_s=order.held_s, max_bytes=order.config.ring_bytes)
            self._tap: PacketTap | None = PacketTap(ring)
            footage = LiveFootage(ring, painter=painter)
        else:
            self._tap = None
            path = local_path(source.url.get_secret_value())
            footage = FileFootage(path, start_time=source.start_unix_s, painter=painter, beat=beat)
        self.desk = EvidenceDesk(
            source_id=source.id,
            queue=queue,
            footage=footage,
            store=open_store(order.config),
            clock=SystemClock(threading.Event()),
            log=structlog.get_logger(),
            pre_roll_s=order.config.pre_roll_s,
            post_roll_s=order.config.post_roll_s,
            max_clip_s=order.config.max_clip_s,
            tally=tally,
        )

    @property
    def tap(self) -> PacketTap | None:
        """Where the packets of the stream that is watched go; None where another one is recorded."""
        return None if self._source.record_url else self._tap

    @contextmanager
    def beside_reading(self) -> Iterator[None]:
        """Do beside the reading of a camera what must not hold it up."""
        with ExitStack() as stack:
            if self._source.record_url and self._tap:
                recording = open_recording(
                    self._source.record_url.get_secret_value(),
                    tap=self._tap,
                    transport=self._source.transport,
                    open_timeout_s=self._source.open_timeout_s,
                    read_timeout_s=self._source.read_timeout_s,
                )
                stack.enter_context(RecordingThread(recording, log=self._log))
            stack.enter_context(EvidenceThread(self.desk, log=self._log))
            yield


def sweep(config: EvidenceConfig | None) -> Swept | None:
    """Let go of evidence on this machine that is too old or too much; a bucket has rules of its own."""
    if config is None:
        return None
    return Retention(config.dir, max_age_s=config.max_age_s, max_bytes=config.max_bytes).sweep()
