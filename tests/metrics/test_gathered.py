"""The metrics of several workers in one text."""

from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

import xclip_stream.metrics.definitions as d
from tests.metrics.reading import shown
from xclip_stream.metrics import WorkersCollector, expose, process_registry
from xclip_stream.web.ask_workers import ask_workers, worker_socket
from xclip_stream.web.health import UNIX, HealthServer


def page(role: str, source: str, count: int) -> CollectorRegistry:
    registry = process_registry(role, version="1", is_ready=lambda: True)
    d.WINDOWS_SCORED.counter(registry).labels(source, "scored").inc(count)
    d.BATCH_SECONDS.histogram(registry).observe(0.02)
    return registry


def gathered(scrapes: dict[str, str | None]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(WorkersCollector(lambda: scrapes))
    return registry


def test_series_of_the_same_name_keep_apart_and_stand_together() -> None:
    awkward = 'ya"rd\\\n'
    texts = {f"score{i}": expose(page("score", awkward, i))[1].decode() for i in (1, 2)}

    registry = gathered(dict(texts))

    of = shown(registry)
    counts = [of("windows_scored_total", source=awkward, outcome="scored", worker=f"score{i}") for i in (1, 2)]
    assert counts == [1, 2]
    assert of("batch_seconds_bucket", le="0.025", worker="score2") == 1
    text = expose(registry)[1].decode()
    assert text.count("# TYPE xclip_stream_windows_scored_total counter") == 1
    assert text.count("# TYPE xclip_stream_batch_seconds histogram") == 1


def test_workers_are_asked_at_their_sockets_and_one_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    address = f"{UNIX}{worker_socket(tmp_path, 'score')}"
    metrics = partial(expose, page("score", "yard", 3))
    with HealthServer(address, alive=lambda: None, ready=lambda: None, metrics=metrics):
        answers = ask_workers(tmp_path, ["score", "alert"])
    after = ask_workers(tmp_path, ["score"])

    of = shown(gathered(dict(answers)))
    assert of("windows_scored_total", source="yard", outcome="scored", worker="score") == 3
    assert of("worker_ready", role="score", worker="score") == 1
    assert of("worker_ready", role="alert", worker="alert") == 0
    assert after == {"score": None}
