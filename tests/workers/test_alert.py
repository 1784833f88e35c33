import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np

from tests.score_builders import CLIMB, EMPTY
from tests.score_builders import window as scores_of
from tests.workers.running import running
from workers.alert import build_rule, gap_s, run
from xclip_stream.config import Config, ConfigWatch, RuleConfig, load_config, read_config
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.rulebook import plain_rule
from xclip_stream.rules import Rule
from xclip_stream.schedule import Schedule
from xclip_stream.types import WHOLE_FRAME, ScoreStatus, Window, WindowId

TEXT = f"""
sources:
  - {{id: yard, url: /tmp/yard.mp4}}
  - {{id: gate, url: "rtsp://127.0.0.1/gate", regions: {{door: [0, 0, 1, 0.5]}}}}
rules:
  - {{id: climbing, prompts: [{CLIMB}], background: [{EMPTY}], sinks: [ops]}}
sinks: [{{id: ops, type: jsonl, path: ops.jsonl}}, {{id: log, type: console}}]
"""


def a_config(text: str = TEXT) -> Config:
    return read_config(text, name="test.yaml", folder=Path("/tmp"), environ={})


def add_window(queue: RedisQueue, seq: int) -> None:
    like = scores_of(seq)
    queue.add_window(
        Window(
            id=WindowId("yard", "e1", seq),
            live=False,
            first_pts_s=like.first_pts_s,
            last_pts_s=like.last_pts_s,
            captured_at=like.captured_at,
            produced_at=like.produced_at,
            frame_ids=(0, 1),
            regions=(WHOLE_FRAME,),
            frames=np.zeros((1, 2, 4, 4, 3), np.uint8),
        )
    )


def play(redis_url: str, shares: list[float]) -> None:
    """Put scores into the queue as ingest and score workers do, the last ones first."""
    with closing(open_queue(redis_url, consumer="before")) as queue:
        first = queue.begin_epoch("yard", "e1", live=False)
        for n in range(len(shares)):
            add_window(queue, first + n)
        for taken in reversed(queue.take_windows(max_count=len(shares), block_s=1)):
            seq = taken.window.id.seq
            queue.publish_scores(taken, scores_of(seq, shares[seq - first], generation=taken.generation))


def end(redis_url: str, seq: int) -> None:
    with closing(open_queue(redis_url, consumer="before")) as queue:
        queue.add_tombstone(
            WindowId("yard", "e1", seq), status=ScoreStatus.SOURCE_ENDED, live=False, pts_s=9.0, captured_at=1009.0
        )


def phases(redis_url: str) -> list[str]:
    with closing(open_queue(redis_url)) as queue:
        entries = queue.read_events(after_id="0", max_count=100, block_s=0)
    return [json.loads(body)["data"]["phase"] for _, body in entries]


def pending(redis_url: str) -> int:
    with closing(open_queue(redis_url)) as queue:
        return queue.depths(["ops"]).scores


def test_scores_in_redis_become_events_and_fill_the_outboxes_of_the_rule(redis_url):
    play(redis_url, [0.1, 0.9, 0.9, 0.1])
    end(redis_url, 4)

    with running(run, a_config(), redis_url) as until:
        until(lambda: pending(redis_url) == 0)

    with closing(open_queue(redis_url)) as queue:
        depths, status = queue.depths(["ops", "log"]), queue.rule_statuses()["yard"]
    assert phases(redis_url) == ["started", "ended"]
    assert depths.outbox == {"ops": 2, "log": 0}
    assert (status.windows, status.events, status.open_events) == (4, 1, 0)


def test_an_event_goes_on_over_a_restart_and_ends_when_its_rule_has_changed(redis_url):
    play(redis_url, [0.9, 0.9])
    with running(run, a_config(), redis_url) as until:
        until(lambda: pending(redis_url) == 0)
    play(redis_url, [0.9])
    with running(run, a_config(), redis_url) as until:
        until(lambda: pending(redis_url) == 0)
    unchanged = phases(redis_url)

    with running(run, a_config(TEXT.replace("sinks: [ops]", "severity: info, sinks: [ops]")), redis_url) as until:
        until(lambda: len(phases(redis_url)) == 2)

    assert unchanged == ["started"]
    assert phases(redis_url) == ["started", "ended"]


def test_a_change_of_the_file_is_taken_up_while_the_worker_runs(redis_url, tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(TEXT)
    watch = ConfigWatch(path, load_config(path), look_every_s=0.01)
    play(redis_url, [0.9, 0.9])

    with running(run, watch.config, redis_url, watch=watch) as until:
        until(lambda: phases(redis_url) == ["started"])
        path.write_text(TEXT.replace("id: climbing", "id: jumping"))
        until(lambda: phases(redis_url) == ["started", "ended"])
        play(redis_url, [0.9])
        until(lambda: pending(redis_url) == 0)

    assert phases(redis_url) == ["started", "ended", "started"]


@contextmanager
def worker_process(redis_url: str, folder: Path, text: str = TEXT) -> Iterator[subprocess.Popen[str]]:
    """Run the worker as a program of its own."""
    path = folder / "site.yaml"
    path.write_text(text)
    worker = subprocess.Popen(
        [sys.executable, "-m", "workers.alert", "--config", str(path)],
        env=os.environ | {"XCLIP_STREAM_REDIS_URL": redis_url},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def wait_for_line(worker: subprocess.Popen[str], text: str) -> None:
    assert worker.stderr is not None
    assert any(text in line for line in worker.stderr), "the worker ended"


def test_a_worker_that_is_killed_is_replaced_and_doubles_nothing(redis_url, tmp_path):
    play(redis_url, [0.9, 0.9])
    with worker_process(redis_url, tmp_path) as worker:
        wait_for_line(worker, "event_started")
        worker.send_signal(signal.SIGKILL)
    play(redis_url, [0.9, 0.1])

    with running(run, a_config(), redis_url) as until:
        until(lambda: pending(redis_url) == 0)

    assert phases(redis_url) == ["started", "ended"]


def test_a_signal_stops_the_worker_with_exit_code_0_and_gives_its_role_back(redis_url, tmp_path):
    with worker_process(redis_url, tmp_path) as worker:
        wait_for_line(worker, "alert_acquired")
        worker.send_signal(signal.SIGTERM)
        wait_for_line(worker, "worker_stopped")
        worker.wait()

    with closing(open_queue(redis_url, consumer="next")) as queue:
        token = queue.acquire_alert(ttl_s=1)
    assert worker.returncode == 0
    assert token is not None


def test_a_stride_that_does_not_fit_the_checkpoint_is_rejected_by_those_too_who_need_no_model(redis_url, tmp_path):
    text = "model: {checkpoint: demo}\n" + TEXT
    with worker_process(redis_url, tmp_path, text) as worker:
        wait_for_line(worker, "alert_acquired")
        (tmp_path / "site.yaml").write_text(text.replace("yard.mp4}", "yard.mp4, window: {stride_s: 0.7}}"))

        wait_for_line(worker, "source yard: window: stride_s 0.7 must be a whole number of frame spacings")


def test_a_rule_is_built_with_all_that_the_configuration_says():
    text = TEXT.replace(
        "sinks: [ops]}",
        "sources: [gate], regions: [door, frame], enter: 0.7, exit: 0.3, min_duration_s: 2, cooldown_s: 30,"
        " max_duration_s: 60, severity: critical, labels: {site: north},"
        ' schedule: {days: fri, from: "20:00", to: "06:00", timezone: Europe/Berlin}}',
    )
    config = a_config(text)

    rule = build_rule(config, config.rules[0])

    assert (rule.rule_id, rule.prompts, rule.background) == ("climbing", (CLIMB,), (EMPTY,))
    assert (rule.enter, rule.exit, rule.severity, rule.labels) == (0.7, 0.3, "critical", {"site": "north"})
    assert (rule.min_duration_s, rule.cooldown_s, rule.max_duration_s) == (2, 30, 60)
    assert (rule.sources, rule.regions, rule.sinks) == (("gate",), ("door", WHOLE_FRAME), ("ops", "log"))
    assert rule.schedule == Schedule.parse(days="fri", opens="20:00", closes="06:00", timezone="Europe/Berlin")
    assert [each.name for each in fields(Rule) if getattr(rule, each.name) == each.default] == []
    assert plain_rule(rule).keys() - {"rule_id"} == RuleConfig.model_fields.keys() - {"id"}


def test_a_rule_for_all_sources_is_for_those_of_the_configuration():
    config = a_config()

    assert build_rule(config, config.rules[0]).sources == ("yard", "gate")


def test_the_gap_that_ends_events_follows_the_windows_of_the_source():
    config = a_config(TEXT.replace("yard.mp4}", "yard.mp4, window: {span_s: 4, stride_s: 1, max_gap_s: 20}}"))

    assert [gap_s(source) for source in config.sources] == [20, 8]
