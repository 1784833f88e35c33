"""What the process of one reader does: it puts the source, the queue and the loop of one source together."""

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from typing import Self
from uuid import uuid4

import structlog

from workers.reader_evidence import EvidenceOrder, ReaderEvidence
from workers.windows import fitted, window_settings
from xclip_stream.config import QueueConfig, SourceConfig
from xclip_stream.errors import SourceError, StaleOwner, XclipStreamError
from xclip_stream.heap import keep_heap
from xclip_stream.logs import set_up_logging
from xclip_stream.motion_gate import MotionGate
from xclip_stream.pipeline.assembling import file_epoch
from xclip_stream.pipeline.evidence_desk import EvidenceDesk
from xclip_stream.pipeline.ingest import FileIngest
from xclip_stream.pipeline.ingest_live import LiveIngest
from xclip_stream.pipeline.lifecycle import StopFlag, SystemClock
from xclip_stream.pipeline.live_backlog import LiveEpochs
from xclip_stream.pipeline.reader_process import STOPPED, Heart, Outcome, is_orphaned
from xclip_stream.protocols import FrameSource, IngestQueue
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.rules import default_gap_s
from xclip_stream.sources import content_sample, local_path, open_source
from xclip_stream.sources.hwaccel import why_not_usable
from xclip_stream.thinning import Thinning, max_step
from xclip_stream.types import ClipGeometry, HwAccel, Region

FAILED = 1
_LOOK_FOR_PARENT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOrder:
    """What a reader is told. Two orders are equal when the same is read in the same way, whoever reads it."""

    source: SourceConfig
    regions: tuple[Region, ...]
    geometry: ClipGeometry
    queue: QueueConfig
    namespace: str
    redis_url: str
    log_level: str = field(compare=False)
    secrets: tuple[str, ...] = field(compare=False)
    evidence: EvidenceOrder | None = None
    token: int = field(default=0, compare=False)
    """That of the source's lease."""
    lease: str = field(default="", compare=False)
    """Names the epochs of a camera under this lease."""

    def under(self, token: int) -> Self:
        """Return the same order for a new lease."""
        return replace(self, token=token, lease=uuid4().hex[:16])


def read_source(order: ReadingOrder, heart: Heart, stop: StopFlag) -> int:
    """Read one source until it is done or `stop` is set; return the exit code of the process."""
    log = set_up_logging(worker="ingest", level=order.log_level, secrets=order.secrets)
    queue = open_queue(
        order.redis_url,
        namespace=order.namespace,
        max_bytes=order.queue.max_bytes,
        file_windows=order.queue.file_windows,
        live_windows=order.queue.live_windows,
    )
    try:
        with closing(queue):
            return _read(order, heart, stop, queue)
    except SourceError:
        return Outcome.REJECTED  # told by the loop
    except StaleOwner as error:
        log.error("source_taken_over", source=order.source.id, error=str(error))
        return Outcome.TAKEN_OVER
    except XclipStreamError as error:
        log.error("reader_failed", source=order.source.id, error=str(error))
        return FAILED
    # The top of the process: a defect ends it with a line in the log, and the supervisor starts it again.
    except Exception:
        log.exception("reader_crashed", source=order.source.id)
        return FAILED


def _read(order: ReadingOrder, heart: Heart, stop: StopFlag, queue: RedisQueue) -> int:
    config = order.source
    beat = _make_beat(heart, stop)
    evidence = order.evidence and ReaderEvidence(order.evidence, config, queue=queue, beat=beat, tally=heart.tally)
    source = open_source(
        config.url.get_secret_value(),
        geometry=fitted(order.geometry, config),
        regions=order.regions,
        masks=config.masks,
        start_time=config.start_unix_s,
        transport=config.transport,
        open_timeout_s=config.open_timeout_s,
        read_timeout_s=config.read_timeout_s,
        tap=evidence.tap if evidence else None,
        hwaccel=_hwaccel(config),
        idle=config.idle,
    )
    desk = evidence.desk if evidence else None
    if source.live:
        camera = _live_ingest(order, source, queue=queue, heart=heart, stop=stop, beat=beat, desk=desk)
        with evidence.beside_reading() if evidence else nullcontext():
            camera.run()
        return STOPPED
    keep_heap()
    file = _file_ingest(order, source, queue=queue, heart=heart, stop=stop, beat=beat, desk=desk)
    return Outcome.DONE if file.run() else STOPPED


def _hwaccel(config: SourceConfig) -> HwAccel | None:
    """Return what decodes the source, or None, which is told, where it cannot."""
    if config.hwaccel is None or (reason := why_not_usable(config.hwaccel)) is None:
        return config.hwaccel
    structlog.get_logger().warning("hwaccel_not_used", source=config.id, hwaccel=config.hwaccel, reason=reason)
    return None


def _live_ingest(
    order: ReadingOrder,
    source: FrameSource,
    *,
    queue: IngestQueue,
    heart: Heart,
    stop: StopFlag,
    beat: Callable[[], None],
    desk: EvidenceDesk | None,
) -> LiveIngest:
    return LiveIngest(
        source_id=order.source.id,
        source=source,
        queue=queue,
        settings=window_settings(order.source, num_frames=order.geometry.num_frames, regions=order.regions),
        epochs=LiveEpochs(lease=order.lease, number=heart.epoch_number),
        clock=SystemClock(stop),
        stopping=stop.is_set,
        log=structlog.get_logger(),
        token=order.token,
        backlog_windows=order.source.backlog_windows,
        beat=beat,
        tally=heart.tally,
        evidence=desk,
        gate=MotionGate(mode=order.source.idle, refresh_s=order.source.idle_refresh_s),
        thinning=_thinning(order.source),
    )


def _thinning(source: SourceConfig) -> Thinning:
    """Return how a camera's windows are thinned out: never until its events would end for want of windows."""
    span_s, stride_s = source.window.span_s, source.window.stride_s
    return Thinning(
        max_step=max_step(stride_s=stride_s, gap_s=default_gap_s(span_s=span_s, stride_s=stride_s)),
        calm_s=max(20.0, 10 * stride_s),
    )


def _file_ingest(
    order: ReadingOrder,
    source: FrameSource,
    *,
    queue: IngestQueue,
    heart: Heart,
    stop: StopFlag,
    beat: Callable[[], None],
    desk: EvidenceDesk | None,
) -> FileIngest:
    config = order.source
    settings = window_settings(config, num_frames=order.geometry.num_frames, regions=order.regions)

    def name_epoch() -> str:
        return file_epoch(
            content_sample(local_path(config.url.get_secret_value())),
            settings,
            regions=order.regions,
            masks=config.masks,
            geometry=fitted(order.geometry, config),
            start_time=config.start_unix_s,
        )

    return FileIngest(
        source_id=config.id,
        source=source,
        queue=queue,
        settings=settings,
        name_epoch=name_epoch,
        clock=SystemClock(stop),
        stopping=stop.is_set,
        log=structlog.get_logger(),
        token=order.token,
        beat=beat,
        realtime=config.realtime,
        tally=heart.tally,
        evidence=desk,
    )


def _make_beat(heart: Heart, stop: StopFlag) -> Callable[[], None]:
    """Return what the loops call often: it shows that they live, and stops them when nobody is left to see it."""
    looked_at = 0.0

    def beat() -> None:
        nonlocal looked_at
        heart.beat()
        if (now := time.monotonic()) - looked_at > _LOOK_FOR_PARENT_S:
            looked_at = now
            if is_orphaned():
                stop.set()

    return beat
