"""Traces of a real system, as a real collector gets them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from tests.command_line import ROOT, environment
from tests.metrics.system import System, running_system
from tests.queues.builders import fill, scores_of, take, waiting_scores
from tests.tracing.collector import Collector, running_collector
from tests.waiting import wait_until
from xclip_stream.errors import QueueUnavailable
from xclip_stream.protocols import TakenWindow
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.tracing import TracedScoreQueue, Tracing, open_tracing
from xclip_stream.types import Scores

SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def system(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON}
    with running_system(tmp_path_factory.mktemp("traced"), **environ) as system:
        wait_until(lambda: len(collector.of("deliver")) >= 2)
        yield system


def events(system: System) -> list[dict[str, Any]]:
    lines = (system.folder / "events.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_an_event_names_the_trace_of_its_window_from_the_frame_to_the_sink(
    system: System, collector: Collector
) -> None:
    event = events(system)[0]
    _, trace_id, score_id, flags = event["traceparent"].split("-")
    wait_until(lambda: bool(collector.of("deliver", trace_id)))

    (window,), (score,) = collector.of("window", trace_id), collector.of("score", trace_id)
    (commit,), (deliver,) = collector.of("commit", trace_id), collector.of("deliver", trace_id)
    assert is_sampled(flags)
    assert (window.parent_id, score.parent_id) == ("", window.span_id)
    assert score_id == score.span_id == commit.parent_id == deliver.parent_id
    services = [span.service for span in (window, score, commit, deliver)]
    assert services == ["xclip-stream-score", "xclip-stream-score", "xclip-stream-alert", "xclip-stream-deliver"]
    assert window.end_ns == score.start_ns < score.end_ns <= commit.end_ns <= deliver.end_ns
    assert commit.start_ns <= commit.end_ns
    assert deliver.start_ns <= deliver.end_ns


def test_the_spans_say_what_they_are_of(system: System, collector: Collector) -> None:
    event = events(system)[0]
    trace_id = event["traceparent"].split("-")[1]
    wait_until(lambda: bool(collector.of("deliver", trace_id)))
    data = event["data"]

    place = {"xclip.source": "film", "xclip.epoch": data["window"]["epoch"], "xclip.seq": data["window"]["seq"]}
    told = {"xclip.source": "film", "xclip.rule": "anything", "xclip.phase": data["phase"]}
    assert collector.of("window", trace_id)[0].attributes == place
    assert collector.of("score", trace_id)[0].attributes.items() >= {**place, "xclip.status": "scored"}.items()
    assert collector.of("commit", trace_id)[0].attributes == {**told, "xclip.event": data["event_id"]}
    assert collector.of("deliver", trace_id)[0].attributes.items() >= {**told, "xclip.sink": "log"}.items()


def test_every_window_that_was_scored_is_a_trace_of_its_own(system: System, collector: Collector) -> None:
    windows = collector.of("window")

    assert len({span.trace_id for span in windows}) == len({span.attributes["xclip.seq"] for span in windows})
    assert len(windows) >= len(events(system))


def is_sampled(flags: str) -> bool:
    """Read the first of the flags; the second one says how the id was drawn."""
    return bool(int(flags, 16) & 1)


@pytest.fixture
def tracing(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracing]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    tracing = open_tracing("test", version="0", log=structlog.get_logger())
    assert tracing is not None
    yield tracing
    tracing.close()


class Forgetful(MemoryQueue):
    """Loses its first reply."""

    replies = 0

    def publish_scores(self, taken: TakenWindow, scores: Scores) -> bool:
        published = super().publish_scores(taken, scores)
        self.replies += 1
        if self.replies == 1:
            raise QueueUnavailable("the reply was lost")
        return published


def test_scores_that_are_published_again_after_an_outage_keep_their_trace(
    tracing: Tracing, collector: Collector
) -> None:
    queue = Forgetful()
    traced = TracedScoreQueue(queue, tracing)
    fill(queue, 1)
    taken = take(queue)[0]
    with pytest.raises(QueueUnavailable):
        traced.publish_scores(taken, scores_of(taken))

    assert traced.publish_scores(taken, scores_of(taken))

    tracing.close()
    trace_id = waiting_scores(queue)[0].traceparent.split("-")[1]
    assert [span.service for span in collector.of("score", trace_id)] == ["xclip-stream-test"]


def test_the_sampler_of_the_environment_decides(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracing = open_tracing("unsampled", version="0", log=structlog.get_logger())
    assert tracing is not None

    span = tracing.begin("window", at=1.0, attributes={})
    span.end(2.0, {})
    tracing.close()

    assert not is_sampled(span.traceparent.split("-")[3])
    assert [each for each in collector.spans if each.service == "xclip-stream-unsampled"] == []


def test_a_collector_that_is_away_is_told_once_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}.items():
        monkeypatch.setenv(name, value)
    tracing = open_tracing("alone", version="0", log=structlog.get_logger())
    assert tracing is not None
    for at in (1.0, 2.0):
        tracing.begin("window", at=at, attributes={}).end(at, {})

    with capture_logs() as logs:
        tracing.close()

    assert [entry["event"] for entry in logs] in ([], ["spans_lost"])


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_where_nobody_asks_for_traces_nothing_of_it_is_loaded(environ: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys, structlog, workers.alert, workers.deliver; "
        "from xclip_stream.tracing import open_tracing; "
        "print(open_tracing('x', version='0', log=structlog.get_logger()), "
        "sorted({'xclip_stream.tracing.otel', 'opentelemetry.exporter.otlp'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment(tmp_path, **environ),
    )

    assert done.stdout == "None []\n"


def test_an_extra_that_is_missing_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setitem(sys.modules, "xclip_stream.tracing.otel", None)

    with capture_logs() as logs:
        tracing = open_tracing("score", version="0", log=structlog.get_logger())

    assert tracing is None
    assert logs[0]["event"] == "tracing_unavailable"
    assert "pip install 'xclip-stream[otel]'" in logs[0]["reason"]
