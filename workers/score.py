"""The score worker: windows from the queue through X-CLIP, scores back into the queue. Run one for each GPU."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry

from workers.main import worker_main
from xclip_stream.config import Config, ConfigWatch
from xclip_stream.errors import PromptError, ScoringError
from xclip_stream.exits import FAILED
from xclip_stream.heap import keep_heap
from xclip_stream.meters import ScoreMeters
from xclip_stream.metrics import GpuCollector, PrometheusScore
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.pipeline.batch_guard import BatchGuard
from xclip_stream.pipeline.lifecycle import SystemClock
from xclip_stream.pipeline.score import ScoreLoop
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.queues.redis import open_queue
from xclip_stream.tracing import TracedScoreQueue, Tracing

NO_MODEL = "the model is not loaded yet"


class LoadScorer(Protocol):
    """Makes the model of a configuration; it calls `on_progress` before each part of a batch."""

    def __call__(self, config: Config, *, on_progress: Callable[[], None]) -> BatchScorer: ...


def run(
    config: Config,
    *,
    stop: threading.Event,
    redis_url: str,
    watch: ConfigWatch,
    vitals: Vitals,
    registry: CollectorRegistry | None = None,
    tracing: Tracing | None = None,
    load: LoadScorer | None = None,
) -> None:
    """Score windows until `stop` is set.

    Args:
        load: makes the model; None takes `load_scorer`.

    Raises:
        XclipStreamError: the checkpoint or a prompt is wrong, or the device is lost.
    """
    keep_heap()
    log, clock = structlog.get_logger(), SystemClock(stop)
    queue = open_queue(
        redis_url,
        namespace=config.redis.namespace,
        max_bytes=config.queue.max_bytes,
        claim_idle_s=config.queue.claim_idle_s,
        max_deliveries=config.queue.max_deliveries,
    )
    with closing(queue), vitals.pulse("score", within_s=silence_s(config), waits_for=NO_MODEL) as pulse:
        guard = BatchGuard(
            queue=queue,
            clock=clock,
            log=log,
            timeout_s=config.model.batch_timeout_s,
            claim_idle_s=config.queue.claim_idle_s,
            on_hung=end_process,
            pulse=pulse,
        )
        scorer = (load or load_scorer)(config, on_progress=guard.note_progress)
        with guard:
            ScoreLoop(
                queue=queue if tracing is None else TracedScoreQueue(queue, tracing),
                scorer=scorer,
                guard=guard,
                prompts=prompts_by_source(config),
                new_prompts=lambda: None if (changed := watch.poll()) is None else known_prompts(changed, scorer),
                hurry=watch.hurry,
                clock=clock,
                stopping=stop.is_set,
                log=log,
                batch_size=config.model.batch_size or scorer.usual_batch_size,
                max_age_s=config.queue.max_age_s,
                max_deliveries=config.queue.max_deliveries,
                pulse=pulse,
                meters=None if registry is None else score_meters(registry, scorer),
            ).run()


def score_meters(registry: CollectorRegistry, scorer: BatchScorer) -> ScoreMeters:
    """Return the meters of the loop, and let the registry show the memory of the GPU where it is one."""
    registry.register(GpuCollector(scorer.memory_bytes))
    return PrometheusScore(registry)


def silence_s(config: Config) -> float:
    """Return how long a healthy loop may say nothing: the guard ends a batch that makes no progress before that."""
    return config.model.batch_timeout_s + 60.0


def load_scorer(config: Config, *, on_progress: Callable[[], None]) -> BatchScorer:
    """Return the model of a configuration with all its prompts encoded, so that a wrong one is told at the start."""
    started_at = time.monotonic()
    scorer = BatchScorer.from_checkpoint(
        config.model.checkpoint,
        prompt_lists={config.prompts_of(source.id) for source in config.sources},
        revision=config.model.revision,
        device=config.model.device,
        backend=config.model.backend,
        quantised=config.model.quantized,
        dtype=config.model.dtype,
        threads=config.model.threads,
        on_progress=on_progress,
    )
    structlog.get_logger().info(
        "model_loaded",
        model=scorer.name,
        sha256=scorer.sha256,
        computed_by=scorer.summary,
        ms=round((time.monotonic() - started_at) * 1000),
    )
    return scorer


def prompts_by_source(config: Config) -> dict[str, tuple[str, ...]]:
    return {source.id: config.prompts_of(source.id) for source in config.sources}


def known_prompts(config: Config, scorer: BatchScorer) -> dict[str, tuple[str, ...]]:
    """Return the prompts of a changed configuration, encoded, without those that the model does not take.

    The rules that need such a prompt say nothing then, and all others go on.
    """
    known = {source_id: encodable(prompts, scorer) for source_id, prompts in prompts_by_source(config).items()}
    scorer.prepare(known.values())
    return known


def encodable(prompts: tuple[str, ...], scorer: BatchScorer) -> tuple[str, ...]:
    """Return those of the prompts that the model takes, and tell of the others."""
    try:
        scorer.prepare([prompts])
    except (PromptError, ScoringError) as error:
        if len(prompts) == 1:
            structlog.get_logger().error("prompt_rejected", error=str(error))
            return ()
    else:
        return prompts
    return tuple(known for prompt in prompts for known in encodable((prompt,), scorer))


def end_process() -> None:
    """End the process without waiting for the call that hangs, as any other way out of it would."""
    sys.stderr.flush()
    os._exit(FAILED)


def main() -> int:
    return worker_main("score", run)


if __name__ == "__main__":
    sys.exit(main())
