"""The ingest worker: reads its share of the sources, each in a process of its own. Run one or more."""

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress

import structlog
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from workers.main import worker_main
from workers.reader import ReadingOrder, read_source
from workers.reader_evidence import evidence_order, sweep
from xclip_stream.config import Config, ConfigWatch, SourceConfig, check_geometry
from xclip_stream.errors import ConfigError, QueueUnavailable
from xclip_stream.logs import LEVELS
from xclip_stream.metrics import EvidenceCollector, ReadersCollector
from xclip_stream.model.checkpoint_files import clip_geometry
from xclip_stream.pipeline.lifecycle import SystemClock
from xclip_stream.pipeline.process_names import is_known_dead, process_name
from xclip_stream.pipeline.reader_process import Outcome
from xclip_stream.pipeline.readers import Readers
from xclip_stream.pipeline.shared_reading import SharedReading, Task
from xclip_stream.pipeline.sweeping import SweepingThread
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.protocols import IngestQueue, SourceState, SourceStatus
from xclip_stream.queues.redis import open_queue
from xclip_stream.tracing import Tracing
from xclip_stream.types import ClipGeometry

PRELOAD = (
    *("av", "numpy", "PIL.Image", "redis", "workers.reader"),
    *("workers.main", "xclip_stream.pipeline.process_names", "xclip_stream.pipeline.readers"),
    *("xclip_stream.pipeline.shared_reading", "xclip_stream.pipeline.sweeping"),
)
"""What readers share. Each of them runs the main module of the program, which is this one, once more: what it imports
stands in the second and third line, or every reader would import it for itself, in 0.2 s and 12 MiB."""
MAX_FILE_DEATHS = 5
"""A file that kills its reader so often is poison."""
MIN_SILENCE_S = 30.0
SILENCE_S = 60.0
"""How long the supervision of the readers may say nothing: to kill one waits for the kernel."""


def run(
    config: Config,
    *,
    stop: threading.Event,
    redis_url: str,
    watch: ConfigWatch,
    vitals: Vitals,
    registry: CollectorRegistry | None = None,
    tracing: Tracing | None = None,  # noqa: ARG001 - the traces of its windows begin in the score worker
) -> None:
    """Read this worker's share until `stop` is set.

    Raises:
        ConfigError: a stride does not fit the frames of the checkpoint.
        CheckpointError: the checkpoint cannot be read.
    """
    geometry = clip_geometry(config.model.checkpoint, revision=config.model.revision)
    check_geometry(config, geometry.num_frames)
    log: FilteringBoundLogger = structlog.get_logger()

    kept = [config.evidence]

    def new_tasks() -> Sequence[Task[ReadingOrder]] | None:
        changed = watch.poll()
        if changed is not None:
            kept[0] = changed.evidence
        try:
            return None if changed is None else tasks_of(changed, geometry, redis_url=redis_url, log=log)
        except ConfigError as error:
            log.warning("configuration_rejected", problems=str(error).splitlines())
            return None

    with closing(open_queue(redis_url, namespace=config.redis.namespace, consumer=process_name())) as queue:

        def tell(source_id: str, outcome: Outcome) -> None:
            if outcome is Outcome.GIVEN_UP:
                report_given_up(queue, source_id)

        readers = Readers(read=read_source, preload=PRELOAD, log=log)
        sweeping = SweepingThread(lambda: sweep(kept[0]), log=log)
        if registry is not None:
            registry.register(ReadersCollector(readers.counts))
            registry.register(EvidenceCollector(sweeping.kept))
        reading = SharedReading(
            queue=queue,
            readers=readers,
            clock=SystemClock(threading.Event()),
            log=log,
            lease_s=config.ingest.lease_s,
            is_dead=is_known_dead,
            on_outcome=tell,
        )
        reading.assign(tasks_of(config, geometry, redis_url=redis_url, log=log))
        with sweeping, vitals.pulse("ingest", within_s=SILENCE_S) as pulse:
            reading.run(stop.is_set, new_tasks=new_tasks, pulse=pulse)


def tasks_of(
    config: Config, geometry: ClipGeometry, *, redis_url: str, log: FilteringBoundLogger
) -> list[Task[ReadingOrder]]:
    """Return what a configuration tells the readers.

    Raises:
        ConfigError: a stride does not fit the frames of the checkpoint.
    """
    check_geometry(config, geometry.num_frames)
    level = next(name for name, level in LEVELS.items() if log.is_enabled_for(level))

    def task(source: SourceConfig) -> Task[ReadingOrder]:
        order = ReadingOrder(
            source=source,
            regions=config.regions_of(source.id),
            geometry=geometry,
            queue=config.queue,
            namespace=config.redis.namespace,
            redis_url=redis_url,
            log_level=level,
            secrets=config.secret_values(),
            evidence=evidence_order(config, source),
        )
        return Task(
            source_id=source.id,
            order=order,
            live=source.live,
            silence_s=longest_silence_s(source),
            max_deaths=None if source.live else MAX_FILE_DEATHS,
        )

    return [task(source) for source in config.sources]


def longest_silence_s(source: SourceConfig) -> float:
    """Return how long a healthy reader may be stuck in a call: FFmpeg can take twice the time it was given."""
    return max(MIN_SILENCE_S, 3 * (source.open_timeout_s + source.read_timeout_s))


def report_given_up(queue: IngestQueue, source_id: str) -> None:
    """Say of a file that its reader, which can no longer say so, was given up."""
    status = SourceStatus(
        source_id=source_id,
        state=SourceState.FAILED,
        live=False,
        fps=0.0,
        position_s=0.0,
        duration_s=None,
        windows=0,
        dropped=0,
        lag_s=0.0,
        error=f"its reader died {MAX_FILE_DEATHS} times; the log tells how",
        updated_at=time.time(),
    )
    with suppress(QueueUnavailable):
        queue.report_source(status)


def main() -> int:
    return worker_main("ingest", run)


if __name__ == "__main__":
    sys.exit(main())
