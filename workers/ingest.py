"""The ingest worker: reads every source of the configuration, each in a process of its own. Run one."""

import sys
import threading
import time
from contextlib import closing, suppress
from uuid import uuid4

import structlog
from structlog.typing import FilteringBoundLogger

from workers.reader import ReadingOrder, open_reader_queue, read_source
from xclip_stream.config import Config, ConfigWatch, SourceConfig, check_geometry
from xclip_stream.errors import QueueUnavailable, SourceError
from xclip_stream.logs import LEVELS
from xclip_stream.model.checkpoint_files import clip_geometry
from xclip_stream.pipeline.readers import Outcome, Readers
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.protocols import SourceState, SourceStatus
from xclip_stream.worker_main import worker_main

PRELOAD = ("av", "numpy", "PIL.Image", "redis", "workers.reader")
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
    watch: ConfigWatch,  # noqa: ARG001 - not yet
    vitals: Vitals,
) -> None:
    """Read all sources until every one is a file that has ended, or `stop` is set.

    Raises:
        ConfigError: a stride does not fit the frames of the checkpoint.
        CheckpointError: the checkpoint cannot be read.
        SourceError: at the end, when a source could not be read.
    """
    geometry = clip_geometry(config.model.checkpoint, revision=config.model.revision)
    check_geometry(config, geometry.num_frames)
    log: FilteringBoundLogger = structlog.get_logger()
    readers = Readers(read=read_source, preload=PRELOAD, log=log)
    for source in config.sources:
        order = ReadingOrder(
            config=config,
            source_id=source.id,
            geometry=geometry,
            redis_url=redis_url,
            lease=uuid4().hex[:16],
            log_level=next(name for name, level in LEVELS.items() if log.is_enabled_for(level)),
        )
        max_deaths = None if source.live else MAX_FILE_DEATHS
        readers.add(source.id, order, silence_s=longest_silence_s(source), max_deaths=max_deaths)

    def tell(source_id: str, outcome: Outcome) -> None:
        if outcome is Outcome.GIVEN_UP:
            report_given_up(config, source_id, redis_url=redis_url)

    with vitals.pulse("ingest", within_s=SILENCE_S, waits_for="no reader is looked after yet") as pulse:
        outcomes = readers.run(stop, on_outcome=tell, pulse=pulse)
    failed = [name for name, outcome in outcomes.items() if outcome not in {Outcome.DONE, None}]
    if failed:
        raise SourceError(f"could not be read to the end: {', '.join(failed)}")


def longest_silence_s(source: SourceConfig) -> float:
    """Return how long a healthy reader may be stuck in a call: FFmpeg can take twice the time it was given."""
    return max(MIN_SILENCE_S, 3 * (source.open_timeout_s + source.read_timeout_s))


def report_given_up(config: Config, source_id: str, *, redis_url: str) -> None:
    """Say of a source that its reader, which can no longer say so, was given up."""
    status = SourceStatus(
        source_id=source_id,
        state=SourceState.FAILED,
        live=config.source(source_id).live,
        fps=0.0,
        position_s=0.0,
        duration_s=None,
        windows=0,
        dropped=0,
        lag_s=0.0,
        error=f"its reader died {MAX_FILE_DEATHS} times; the log tells how",
        updated_at=time.time(),
    )
    with suppress(QueueUnavailable), closing(open_reader_queue(config, redis_url)) as queue:
        queue.report_source(status)


def main() -> int:
    return worker_main("ingest", run)


if __name__ == "__main__":
    sys.exit(main())
