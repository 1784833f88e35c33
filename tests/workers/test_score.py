import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.workers.running import running, unwatched
from workers.score import known_prompts, load_scorer, run
from xclip_stream.config import Config, ConfigWatch, load_config, read_config
from xclip_stream.errors import CheckpointError, PromptError
from xclip_stream.model import Scorer
from xclip_stream.pipeline.vitals import Vitals
from xclip_stream.protocols import Admission
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.types import Scores, ScoreStatus, Window, WindowId

TEXT = """
model: {{checkpoint: "{checkpoint}", device: cpu, threads: 1}}
sources: [{{id: yard, url: /tmp/yard.mp4}}, {{id: gate, url: rtsp://127.0.0.1/gate}}]
rules:
  - {{id: climbing, sources: [yard], prompts: [{prompt}], background: [an empty yard]}}
  - {{id: walking, sources: [yard], prompts: [a person walking], background: [an empty yard]}}
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def a_config(checkpoint: Path, *, prompt: str = "a person climbing", queue: str = "{}") -> Config:
    text = TEXT.format(checkpoint=checkpoint, prompt=prompt) + f"queue: {queue}\n"
    return read_config(text, name="test.yaml", folder=checkpoint, environ={})


def a_window(source_id: str, seq: int, *, produced_at: float, num_frames: int = 4) -> Window:
    return Window(
        id=WindowId(source_id, "epoch-1", seq),
        live=source_id == "gate",
        first_pts_s=float(seq),
        last_pts_s=seq + 3.0,
        captured_at=produced_at,
        produced_at=produced_at,
        frame_ids=tuple(range(num_frames)),
        regions=("",),
        frames=np.random.default_rng(seq).integers(0, 256, (1, num_frames, 32, 32, 3), dtype=np.uint8),
    )


def add(queue: RedisQueue, *windows: Window) -> None:
    for window in windows:
        queue.begin_epoch(window.id.source_id, window.id.epoch, live=window.live)
        assert queue.add_window(window).answer is Admission.ADDED


def score_until(config: Config, redis_url: str, *, count: int) -> list[Scores]:
    """Run the worker until so many scores are published, and return them by source and number."""
    stop = threading.Event()
    options = {"stop": stop, "redis_url": redis_url, "watch": unwatched(config), "vitals": Vitals()}
    worker = threading.Thread(target=run, args=(config,), kwargs=options)
    found: list[Scores] = []
    with closing(open_queue(redis_url, consumer="alert")) as queue:
        token = queue.acquire_alert(ttl_s=60.0)
        assert token is not None
        worker.start()
        while len(found) < count:
            assert worker.is_alive(), "the worker ended"
            found += [taken.scores for taken in queue.take_scores(token, max_count=100, block_s=0.5)]
    stop.set()
    worker.join()
    return sorted(found, key=lambda scores: scores.id)


def test_windows_of_a_real_queue_get_the_logits_of_the_real_model(checkpoint, redis_url):
    windows = [a_window("yard", seq, produced_at=time.time()) for seq in range(5)]
    with closing(open_queue(redis_url, consumer="ingest")) as queue:
        add(queue, *windows)

    found = score_until(a_config(checkpoint), redis_url, count=5)

    model = Scorer.from_checkpoint(checkpoint, device="cpu")
    prompts = ("a person climbing", "an empty yard", "a person walking")
    assert [scores.id.seq for scores in found] == [0, 1, 2, 3, 4]
    for window, scores in zip(windows, found, strict=True):
        expected = model.logits(model.encode_clips(window.frames), None, model.encode_prompts(prompts))
        assert scores.prompts == prompts
        assert scores.model_sha256 == model.sha256
        np.testing.assert_allclose(scores.logits, expected, rtol=1e-4, atol=1e-5)


def test_a_camera_s_window_that_waited_too_long_expires_and_one_of_a_file_does_not(checkpoint, redis_url):
    config = a_config(checkpoint, queue="{max_age_s: 2}")
    with closing(open_queue(redis_url, consumer="ingest")) as queue:
        add(queue, a_window("gate", 0, produced_at=time.time()))
        while (queue.inspect().live.oldest_s or 0.0) < 2.1:
            time.sleep(0.05)
        add(queue, a_window("yard", 0, produced_at=time.time()))

    found = score_until(config, redis_url, count=2)

    assert [scores.status for scores in found] == [ScoreStatus.EXPIRED, ScoreStatus.SCORED]


def test_a_window_of_a_camera_that_no_rule_watches_has_no_logits(checkpoint, redis_url):
    with closing(open_queue(redis_url, consumer="ingest")) as queue:
        add(queue, a_window("gate", 0, produced_at=time.time()), a_window("gate", 1, produced_at=time.time()))

    found = score_until(a_config(checkpoint), redis_url, count=2)

    assert found[1].logits.shape == (1, 0)


def test_a_changed_prompt_that_the_model_does_not_take_leaves_out_itself_alone(checkpoint):
    scorer = load_scorer(a_config(checkpoint), on_progress=lambda: None)
    config = a_config(checkpoint, prompt="a person " + "very " * 40 + "slowly climbing")

    with capture_logs() as logs:
        known = known_prompts(config, scorer)

    (line,) = [line for line in logs if line["event"] == "prompt_rejected"]
    assert known == {"yard": ("an empty yard", "a person walking"), "gate": ()}
    assert "a person very" in line["error"]


def test_prompts_follow_the_file_while_the_worker_runs(checkpoint, redis_url, tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(TEXT.format(checkpoint=checkpoint, prompt="a person climbing"))
    watch = ConfigWatch(path, load_config(path), look_every_s=0.01)
    with (
        closing(open_queue(redis_url, consumer="ingest")) as queue,
        running(run, watch.config, redis_url, watch=watch) as until,
    ):
        add(queue, a_window("yard", 0, produced_at=time.time()))
        until(lambda: queue.depths([]).scores == 1)
        path.write_text(TEXT.format(checkpoint=checkpoint, prompt="a person jumping"))
        until(lambda: watch.config.rules[0].prompts == ("a person jumping",))
        add(queue, a_window("yard", 1, produced_at=time.time()))
        until(lambda: queue.depths([]).scores == 2)

    with closing(open_queue(redis_url, consumer="alert")) as queue:
        token = queue.acquire_alert(ttl_s=60.0)
        found = [taken.scores.prompts[0] for taken in queue.take_scores(token, max_count=10, block_s=1)]
    assert found == ["a person climbing", "a person jumping"]


def test_the_worker_uses_as_many_threads_as_configured(checkpoint, redis_url):
    stop = threading.Event()
    stop.set()
    torch.set_num_threads(2)

    config = a_config(checkpoint)

    run(config, stop=stop, redis_url=redis_url, watch=unwatched(config), vitals=Vitals())

    assert torch.get_num_threads() == 1


def test_a_checkpoint_that_is_not_there_ends_the_worker_at_the_start(tmp_path, redis_url):
    config = a_config(tmp_path / "nowhere")

    with pytest.raises(CheckpointError, match="nowhere"):
        run(config, stop=threading.Event(), redis_url=redis_url, watch=unwatched(config), vitals=Vitals())


def test_a_prompt_that_is_too_long_ends_the_worker_at_the_start(checkpoint, redis_url):
    config = a_config(checkpoint, prompt="a person " + "very " * 40 + "slowly climbing")

    with pytest.raises(PromptError, match="a person very"):
        run(config, stop=threading.Event(), redis_url=redis_url, watch=unwatched(config), vitals=Vitals())


def ended_worker(config: Path, redis_url: str, *faults: str) -> subprocess.CompletedProcess[str]:
    """Run a worker with a broken model as a program, until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.broken_score_worker", "--config", str(config), *faults],
        env=os.environ | {"XCLIP_STREAM_REDIS_URL": redis_url},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def a_config_file(checkpoint: Path, folder: Path, **model: float) -> Path:
    options = "".join(f", {name}: {value}" for name, value in model.items())
    text = TEXT.format(checkpoint=checkpoint, prompt="a person climbing").replace("threads: 1", f"threads: 1{options}")
    path = folder / "site.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("fault", "said"),
    [("hang", '"event": "scorer_hung"'), ("hang-with-lock", "Timeout (0:00:11)!")],
)
def test_a_worker_whose_model_hangs_ends_and_another_scores_its_windows(checkpoint, redis_url, tmp_path, fault, said):
    with closing(open_queue(redis_url, consumer="ingest")) as queue:
        add(queue, a_window("yard", 0, produced_at=time.time()))
    path = a_config_file(checkpoint, tmp_path, batch_timeout_s=1)

    ended = ended_worker(path, redis_url, "--fault", fault, "--at-call", "1")

    config = read_config(path.read_text() + "queue: {claim_idle_s: 1}\n", name="x", folder=tmp_path, environ={})
    found = score_until(config, redis_url, count=1)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert [scores.status for scores in found] == [ScoreStatus.SCORED]
