"""The score worker: windows from the queue through X-CLIP, scores back into the queue. Run one for each GPU."""

import sys
import threading
import time
from contextlib import closing

import structlog

from xclip_stream.config import Config, ConfigWatch
from xclip_stream.model.clip_scorer import BatchScorer
from xclip_stream.pipeline.lifecycle import SystemClock
from xclip_stream.pipeline.score import ScoreLoop
from xclip_stream.queues.redis import open_queue
from xclip_stream.worker_main import worker_main


def run(config: Config, *, stop: threading.Event, redis_url: str, watch: ConfigWatch) -> None:  # noqa: ARG001 - not yet
    """Score windows until `stop` is set.

    Raises:
        XclipStreamError: the checkpoint or a prompt is wrong, or the device is lost.
    """
    prompts = {source.id: config.prompts_of(source.id) for source in config.sources}
    scorer = load_scorer(config)
    queue = open_queue(
        redis_url,
        namespace=config.redis.namespace,
        max_bytes=config.queue.max_bytes,
        claim_idle_s=config.queue.claim_idle_s,
        max_deliveries=config.queue.max_deliveries,
    )
    with closing(queue):
        ScoreLoop(
            queue=queue,
            scorer=scorer,
            prompts=prompts,
            clock=SystemClock(stop),
            stopping=stop.is_set,
            log=structlog.get_logger(),
            batch_size=config.model.batch_size,
            max_age_s=config.queue.max_age_s,
            max_deliveries=config.queue.max_deliveries,
        ).run()


def load_scorer(config: Config) -> BatchScorer:
    """Return the model of a configuration with all its prompts encoded, so that a wrong one is told at the start."""
    started_at = time.monotonic()
    scorer = BatchScorer.from_checkpoint(
        config.model.checkpoint,
        prompt_lists={config.prompts_of(source.id) for source in config.sources},
        revision=config.model.revision,
        device=config.model.device,
        dtype=config.model.dtype,
        threads=config.model.threads,
    )
    structlog.get_logger().info(
        "model_loaded", model=scorer.name, sha256=scorer.sha256, ms=round((time.monotonic() - started_at) * 1000)
    )
    return scorer


def main() -> int:
    return worker_main("score", run)


if __name__ == "__main__":
    sys.exit(main())
