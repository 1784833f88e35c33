from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.tiny_checkpoint import write_tiny_checkpoint
from xclip_stream.errors import QueueUnavailable, ScorerBroken, ScorerOutOfMemory, ScoringError
from xclip_stream.model import Scorer
from xclip_stream.model.batch_scorer import BatchScorer
from xclip_stream.pipeline.batch_guard import BatchGuard
from xclip_stream.pipeline.score import STRANGER_WAIT_S, ScoreLoop
from xclip_stream.protocols import Admission, ClipRequest, ClipScorer, ScoreQueue
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.types import Logits, Scores, ScoreStatus, Window, WindowId

PROMPTS = {"yard": ("a person walks", "an empty yard"), "gate": ("a person falls", "a closed gate", "rain")}
BAD = 255
"""The value of every pixel of a window that the failing scorers choke on."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder: Path = write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return Scorer.from_checkpoint(folder, device="cpu")


@pytest.fixture
def scorer(model: Scorer) -> BatchScorer:
    return BatchScorer(model)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> MemoryQueue:
    return MemoryQueue(consumer="score-1", clock=clock, limits=QueueLimits(file_windows=1000, live_windows=1000))


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with capture_logs() as entries:
        yield entries


class FailingScorer:
    """A real model behind a device that fails as the test says for a batch, and keeps the sizes of what it scored."""

    def __init__(self, scorer: ClipScorer, failure: Callable[[Sequence[ClipRequest]], Exception | None]) -> None:
        self.scorer = scorer
        self.failure = failure
        self.name, self.sha256 = scorer.name, scorer.sha256
        self.scored: list[int] = []
        self.tried: list[int] = []

    def score(self, requests: Sequence[ClipRequest]) -> list[Logits]:
        self.tried.append(len(requests))
        failure = self.failure(requests)
        if failure is not None:
            raise failure
        self.scored.append(len(requests))
        return self.scorer.score(requests)


def chokes_on_bad_windows(requests: Sequence[ClipRequest]) -> Exception | None:
    bad = any((request.frames == BAD).all() for request in requests)
    return ScoringError("the model gives no finite logit") if bad else None


def a_window(source_id: str, seq: int, clock: FakeClock, *, live: bool, value: int | None, regions: int = 1) -> Window:
    shape = (regions, 4, 32, 32, 3)
    random = np.random.default_rng(seq).integers(0, 255, shape, dtype=np.uint8)
    return Window(
        id=WindowId(source_id, "epoch-1", seq),
        live=live,
        first_pts_s=float(seq),
        last_pts_s=seq + 3.0,
        captured_at=clock.now() - 1.0,
        produced_at=clock.now(),
        frame_ids=(0, 1, 2, 3),
        regions=tuple(f"region-{number}" for number in range(regions)),
        frames=random if value is None else np.full(shape, value, np.uint8),
    )


def fill(
    queue: MemoryQueue,
    clock: FakeClock,
    *,
    source_id: str = "yard",
    count: int = 1,
    live: bool = False,
    bad: Sequence[int] = (),
    regions: int = 1,
) -> None:
    queue.begin_epoch(source_id, "epoch-1", live=live)
    for seq in range(count):
        value = BAD if seq in bad else None
        answer = queue.add_window(a_window(source_id, seq, clock, live=live, value=value, regions=regions))
        assert answer.answer is Admission.ADDED


def published(queue: MemoryQueue) -> list[Scores]:
    alert = queue.consumer("alert")
    token = alert.acquire_alert(ttl_s=5.0)
    assert token is not None
    return sorted(
        (taken.scores for taken in alert.take_scores(token, max_count=1000, block_s=0)), key=lambda scores: scores.id
    )


def a_loop(queue: ScoreQueue, scorer: ClipScorer, clock: FakeClock, **options: Any) -> ScoreLoop:
    values: dict[str, Any] = {"prompts": PROMPTS, "stopping": clock.stopping_after(5.0)}
    log = structlog.stdlib.get_logger()
    values["guard"] = a_guard(queue, clock, on_hung=pytest.fail)
    return ScoreLoop(queue=queue, scorer=scorer, clock=clock, log=log, **(values | options))


def a_guard(queue: ScoreQueue, clock: FakeClock, *, on_hung: Callable[[], None]) -> BatchGuard:
    """A guard that looks only when a test lets it."""
    log = structlog.stdlib.get_logger()
    return BatchGuard(queue=queue, clock=clock, log=log, timeout_s=300.0, claim_idle_s=30.0, on_hung=on_hung)


def named(logs: list[Any], event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


def test_every_window_is_scored_against_the_prompts_of_its_source(queue, clock, scorer, model):
    fill(queue, clock, source_id="yard", count=3)
    fill(queue, clock, source_id="gate", count=2, regions=2)

    a_loop(queue, scorer, clock).run()

    found = published(queue)
    assert [(scores.id.source_id, scores.id.seq) for scores in found] == [
        ("gate", 0), ("gate", 1), ("yard", 0), ("yard", 1), ("yard", 2),
    ]  # fmt: skip
    for scores in found:
        window = a_window(
            scores.id.source_id, scores.id.seq, clock, live=False, value=None, regions=len(scores.regions)
        )
        expected = model.logits(model.encode_clips(window.frames), None, model.encode_prompts(scores.prompts))
        assert scores.prompts == PROMPTS[scores.id.source_id]
        np.testing.assert_allclose(scores.logits, expected, rtol=1e-4, atol=1e-5)


def test_scores_carry_what_the_window_said_and_which_model_it_was(queue, clock, scorer):
    fill(queue, clock, regions=2)
    produced_at = clock.now()

    a_loop(queue, scorer, clock).run()

    (scores,) = published(queue)
    assert (scores.status, scores.live, scores.generation) == (ScoreStatus.SCORED, False, 1)
    assert (scores.first_pts_s, scores.last_pts_s, scores.captured_at) == (0.0, 3.0, produced_at - 1.0)
    assert (scores.produced_at, scores.regions) == (produced_at, ("region-0", "region-1"))
    assert (scores.model_name, scores.model_sha256) == (scorer.name, scorer.sha256)


def test_a_batch_leaves_one_line_in_the_log_for_who_asks_for_it(queue, clock, scorer, logs):
    fill(queue, clock, count=3)
    clock.advance(2.0)

    a_loop(queue, scorer, clock).run()

    (line,) = named(logs, "batch_scored")
    assert line["log_level"] == "debug"
    assert (line["count"], line["scored"], line["oldest_age_ms"]) == (3, 3, 2000)


def test_no_batch_is_larger_than_it_may_be(queue, clock, scorer):
    fill(queue, clock, count=20)
    counting = FailingScorer(scorer, lambda requests: None)

    a_loop(queue, counting, clock, batch_size=8).run()

    assert counting.scored == [8, 8, 4]


def test_a_live_window_that_waited_too_long_is_a_tombstone_and_costs_no_model_time(queue, clock, scorer):
    fill(queue, clock, count=2, live=True)
    clock.advance(10.5)
    counting = FailingScorer(scorer, lambda requests: None)

    a_loop(queue, counting, clock, max_age_s=10.0).run()

    found = published(queue)
    assert [scores.status for scores in found] == [ScoreStatus.EXPIRED] * 2
    assert all(scores.logits.size == 0 and scores.prompts == () for scores in found)
    assert counting.tried == []


def test_a_window_of_a_file_never_expires(queue, clock, scorer):
    fill(queue, clock)
    clock.advance(86_400.0)

    a_loop(queue, scorer, clock).run()

    assert published(queue)[0].status is ScoreStatus.SCORED


def test_a_source_without_rules_is_scored_against_nothing(queue, clock, scorer):
    fill(queue, clock, source_id="roof", regions=2)

    a_loop(queue, scorer, clock, prompts={"roof": ()}).run()

    (scores,) = published(queue)
    assert (scores.status, scores.logits.shape) == (ScoreStatus.SCORED, (2, 0))


def test_a_source_that_this_worker_does_not_know_is_left_for_one_that_does(queue, clock, scorer):
    fill(queue, clock, source_id="new")

    a_loop(queue, scorer, clock).run()
    before = published(queue)
    clock.advance(30.0)
    a_loop(queue.consumer("score-2"), scorer, clock, prompts={"new": ("rain",)}).run()

    assert before == []
    assert [scores.status for scores in published(queue)] == [ScoreStatus.SCORED]


def test_a_source_that_no_worker_knows_ends_in_the_dead_letters(queue, clock, scorer):
    fill(queue, clock, source_id="new")

    a_loop(queue, scorer, clock, stopping=clock.stopping_after(120.0)).run()

    (letter,) = queue.list_dead(max_count=10)
    assert (letter.deliveries, letter.subject) == (3, "new/epoch-1/0")
    assert letter.reason == "the source new is not in the configuration of this score worker"
    assert [scores.status for scores in published(queue)] == [ScoreStatus.FAILED]


def test_new_prompts_are_taken_up_between_two_batches(queue, clock, scorer):
    fill(queue, clock, count=2)
    news = [{"yard": ("a person runs",)}, None]

    a_loop(queue, scorer, clock, batch_size=1, new_prompts=lambda: news.pop() if news else None).run()

    found = published(queue)
    assert [scores.prompts for scores in found] == [PROMPTS["yard"], ("a person runs",)]
    assert [scores.logits.shape for scores in found] == [(1, 2), (1, 1)]


def test_what_a_removed_source_has_left_is_scored_against_nothing(queue, clock, scorer):
    fill(queue, clock, count=2)
    news = [{"hall": ("a person runs",)}, {"gate": PROMPTS["gate"]}]

    a_loop(queue, scorer, clock, batch_size=1, new_prompts=lambda: news.pop() if news else None).run()

    assert [(scores.status, scores.prompts) for scores in published(queue)] == [(ScoreStatus.SCORED, ())] * 2
    assert queue.depths([]).dead == 0


def test_a_source_that_ingest_read_of_sooner_is_scored_as_soon_as_its_prompts_come(queue, clock, scorer, logs):
    fill(queue, clock, source_id="new", count=2)
    comes_at = clock.monotonic() + STRANGER_WAIT_S / 2
    news, hurried = [{"new": ("a person runs",)}], []

    def new_prompts():
        return news.pop() if news and hurried and clock.monotonic() >= comes_at else None

    a_loop(queue, scorer, clock, new_prompts=new_prompts, hurry=lambda: hurried.append(True)).run()

    assert [scores.prompts for scores in published(queue)] == [("a person runs",)] * 2
    assert named(logs, "window_failed") == []


def test_a_source_that_stays_unknown_is_waited_for_once(queue, clock, scorer):
    fill(queue, clock, source_id="new", count=3)
    loop = a_loop(queue, scorer, clock, batch_size=1)
    times = [clock.monotonic()]

    for _ in range(3):
        loop.step()
        times.append(clock.monotonic())

    first_s, *later_s = (after - before for before, after in pairwise(times))
    assert first_s == pytest.approx(STRANGER_WAIT_S, abs=0.1)
    assert later_s == [0.0, 0.0]


def test_many_sources_that_stay_unknown_are_not_waited_for_one_after_the_other(queue, clock, scorer):
    for number in range(10):
        fill(queue, clock, source_id=f"new-{number}", live=True)
    fill(queue, clock, live=True)
    loop = a_loop(queue, scorer, clock, batch_size=4)
    began_at = clock.monotonic()

    for _ in range(3):
        loop.step()

    assert clock.monotonic() - began_at == pytest.approx(STRANGER_WAIT_S, abs=0.1)
    assert [(scores.id.source_id, scores.status) for scores in published(queue)] == [("yard", ScoreStatus.SCORED)]


def test_only_the_bad_window_of_a_batch_suffers(queue, clock, scorer):
    fill(queue, clock, count=8, bad=[3])
    failing = FailingScorer(scorer, chokes_on_bad_windows)

    a_loop(queue, failing, clock).run()

    assert failing.tried == [8, *[1] * 8]
    assert [scores.id.seq for scores in published(queue)] == [0, 1, 2, 4, 5, 6, 7]


def test_a_bad_window_gets_three_deliveries_and_then_a_dead_letter_with_its_reason(queue, clock, scorer, logs):
    fill(queue, clock, count=3, bad=[1])
    failing = FailingScorer(scorer, chokes_on_bad_windows)

    a_loop(queue, failing, clock, stopping=clock.stopping_after(120.0)).run()

    (letter,) = queue.list_dead(max_count=10)
    assert (letter.subject, letter.deliveries) == ("yard/epoch-1/1", 3)
    assert letter.reason == "the model gives no finite logit"
    statuses = [scores.status for scores in published(queue)]
    assert statuses == [ScoreStatus.SCORED, ScoreStatus.FAILED, ScoreStatus.SCORED]
    assert [entry["deliveries"] for entry in named(logs, "window_failed")] == [1, 2]
    assert [entry["deliveries"] for entry in named(logs, "window_buried")] == [3]


def test_a_batch_too_big_for_the_device_is_halved_and_so_are_those_that_follow(queue, clock, scorer):
    fill(queue, clock, count=16)
    too_big = ScorerOutOfMemory("CUDA out of memory")
    failing = FailingScorer(scorer, lambda requests: too_big if len(requests) > 2 else None)

    a_loop(queue, failing, clock, batch_size=8).run()

    assert failing.tried == [8, 4, *[2] * 8]
    assert len(published(queue)) == 16


def test_after_three_halvings_the_worker_gives_up_and_another_one_scores_the_windows(queue, clock, scorer):
    fill(queue, clock, count=16)
    failing = FailingScorer(scorer, lambda requests: ScorerOutOfMemory("CUDA out of memory"))

    with pytest.raises(ScorerBroken, match=r"batch of 2: CUDA out of memory; lower model\.batch_size"):
        a_loop(queue, failing, clock, batch_size=16).run()
    clock.advance(30.0)
    a_loop(queue.consumer("score-2"), scorer, clock, stopping=clock.stopping_after(60.0)).run()

    assert failing.tried == [16, 8, 4, 2]
    assert [scores.id.seq for scores in published(queue)] == list(range(16))


def test_a_single_window_too_big_for_the_device_ends_the_worker(queue, clock, scorer):
    fill(queue, clock)
    failing = FailingScorer(scorer, lambda requests: ScorerOutOfMemory("CUDA out of memory"))

    with pytest.raises(ScorerBroken, match="batch of 1"):
        a_loop(queue, failing, clock).run()
    assert failing.tried == [1]


def test_a_device_that_is_lost_ends_the_worker_and_another_one_scores_the_window(queue, clock, scorer):
    fill(queue, clock, count=2)
    failing = FailingScorer(scorer, lambda requests: ScorerBroken("CUDA error: an illegal memory access"))

    with pytest.raises(ScorerBroken, match="illegal memory access"):
        a_loop(queue, failing, clock).run()
    clock.advance(30.0)
    a_loop(queue.consumer("score-2"), scorer, clock).run()

    assert failing.tried == [2]
    assert [scores.status for scores in published(queue)] == [ScoreStatus.SCORED] * 2


def test_a_window_that_kills_every_worker_ends_in_the_dead_letters_and_the_others_go_on(queue, clock, scorer):
    fill(queue, clock, count=4, bad=[2])

    def kill(requests: Sequence[ClipRequest]) -> Exception | None:
        return ScorerBroken("killed") if chokes_on_bad_windows(requests) else None

    for life in range(10):
        with_this_life = FailingScorer(scorer, kill)
        try:
            a_loop(queue.consumer(f"life-{life}"), with_this_life, clock).run()
        except ScorerBroken:
            clock.advance(30.0)

    statuses = [scores.status for scores in published(queue)]
    assert statuses == [ScoreStatus.SCORED, ScoreStatus.SCORED, ScoreStatus.FAILED, ScoreStatus.SCORED]
    assert len(queue.list_dead(max_count=10)) == 1


def test_a_worker_that_wakes_after_another_has_scored_its_window_publishes_nothing(queue, clock, scorer, logs):
    fill(queue, clock)

    def freeze(requests: Sequence[ClipRequest]) -> None:
        clock.advance(31.0)
        a_loop(queue.consumer("score-2"), scorer, clock).run()

    a_loop(queue, FailingScorer(scorer, freeze), clock, stopping=clock.stopping_after(60.0)).run()

    assert len(published(queue)) == 1
    assert [entry.get("not_held") for entry in named(logs, "batch_scored")] == [None, 1]


def slow(clock: FakeClock, guard: BatchGuard, *, batch_s: float) -> Callable[[Sequence[ClipRequest]], None]:
    """A model that takes its time for a batch, while the guard looks at it once a second."""

    def work(requests: Sequence[ClipRequest]) -> None:
        for _ in range(round(batch_s)):
            clock.advance(1.0)
            guard.look()

    return work


def test_the_windows_of_a_slow_batch_are_not_scored_by_another_worker_too(queue, clock, scorer, logs):
    fill(queue, clock, count=4)
    guard = a_guard(queue, clock, on_hung=pytest.fail)
    other = FailingScorer(scorer, lambda requests: None)

    def work_while_another_looks_for_windows(requests: Sequence[ClipRequest]) -> None:
        slow(clock, guard, batch_s=100)(requests)
        a_loop(queue.consumer("score-2"), other, clock).step()

    slow_one = FailingScorer(scorer, work_while_another_looks_for_windows)
    a_loop(queue, slow_one, clock, guard=guard, batch_size=4).step()
    clock.advance(1000.0)
    guard.look()
    a_loop(queue.consumer("score-2"), other, clock).step()

    assert (slow_one.scored, other.scored) == ([4], [])
    assert [scores.id.seq for scores in published(queue)] == [0, 1, 2, 3]


def test_windows_that_wait_behind_a_slow_one_of_their_batch_are_held_on_too(queue, clock, scorer):
    fill(queue, clock, count=4, bad=[0])
    guard = a_guard(queue, clock, on_hung=pytest.fail)
    taken_over: set[int] = set()

    def one_by_one(requests: Sequence[ClipRequest]) -> Exception | None:
        slow(clock, guard, batch_s=40)(requests)
        taken_over.update(taken.window.id.seq for taken in queue.consumer("x").take_windows(max_count=9, block_s=0))
        return chokes_on_bad_windows(requests)

    a_loop(queue, FailingScorer(scorer, one_by_one), clock, guard=guard).step()

    # The bad one was let go of, to be tried by another; the good ones were published by the worker that held them.
    assert taken_over == {0}
    assert [scores.id.seq for scores in published(queue) if scores.status is ScoreStatus.SCORED] == [1, 2, 3]


def test_a_batch_that_hangs_is_not_held_on_and_another_worker_scores_its_windows(queue, clock, scorer, logs):
    fill(queue, clock, count=2)

    def end() -> None:
        raise KeyboardInterrupt  # as final as the end of the process

    guard = a_guard(queue, clock, on_hung=end)
    hanging = FailingScorer(scorer, slow(clock, guard, batch_s=400))
    with pytest.raises(KeyboardInterrupt):
        a_loop(queue, hanging, clock, guard=guard).run()
    clock.advance(30.0)
    a_loop(queue.consumer("score-2"), scorer, clock).run()

    (line,) = named(logs, "scorer_hung")
    assert line["error"] == "the model has not answered for 300 s (model.batch_timeout_s is 300)"
    assert line["windows"] == ["yard/0", "yard/1"]
    assert hanging.scored == []
    assert [scores.status for scores in published(queue)] == [ScoreStatus.SCORED] * 2


def test_a_model_that_makes_progress_does_not_hang_however_long_a_batch_takes(queue, clock, scorer):
    fill(queue, clock, count=4)
    guard = a_guard(queue, clock, on_hung=pytest.fail)
    part = slow(clock, guard, batch_s=200)

    def part_by_part(requests: Sequence[ClipRequest]) -> None:
        for request in requests:
            guard.note_progress()
            part([request])

    a_loop(queue, FailingScorer(scorer, part_by_part), clock, guard=guard).step()

    assert len(published(queue)) == 4


def test_waiting_for_a_queue_that_is_away_is_no_hang(queue, clock, scorer):
    fill(queue, clock, count=2)
    guard = a_guard(queue, clock, on_hung=pytest.fail)
    flaky = FlakyQueue(queue, "publish_scores", after=False, times=6)
    looking = clock.sleep

    def sleep(duration_s: float) -> None:
        looking(duration_s + 200.0)
        guard.look()

    clock.sleep = sleep
    a_loop(flaky, scorer, clock, guard=guard, stopping=clock.stopping_after(5000.0)).step()

    assert len(published(queue)) == 2


def test_a_guard_that_cannot_reach_the_queue_goes_on(queue, clock, scorer):
    fill(queue, clock)
    flaky = FlakyQueue(queue, "hold_windows", after=False, times=2)
    guard = a_guard(flaky, clock, on_hung=pytest.fail)

    a_loop(queue, FailingScorer(scorer, slow(clock, guard, batch_s=60)), clock, guard=guard).step()

    assert flaky.times == 0
    assert len(published(queue)) == 1


def test_a_stop_lets_the_batch_in_hand_finish_and_takes_no_other(queue, clock, scorer):
    fill(queue, clock, count=8)
    stopped = FailingScorer(scorer, lambda requests: None)

    a_loop(queue, stopped, clock, batch_size=4, stopping=lambda: bool(stopped.scored)).run()

    assert stopped.scored == [4]
    assert len(published(queue)) == 4
    assert queue.depths([]).windows == 4


class FlakyQueue:
    """The real queue behind a connection that breaks: the named call fails, before or after it had its effect."""

    def __init__(self, queue: MemoryQueue, step: str, *, after: bool, times: int) -> None:
        self.queue = queue
        self.step = step
        self.after = after
        self.times = times

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.queue, name)

        def call(*args: Any, **options: Any) -> Any:
            breaks = name == self.step and self.times > 0
            if breaks:
                self.times -= 1
            if breaks and not self.after:
                raise QueueUnavailable("connection refused")
            answer = method(*args, **options)
            if breaks:
                raise QueueUnavailable("connection reset")
            return answer

        return call


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["take_windows", "publish_scores", "bury_window"])
def test_a_queue_that_fails_at_any_step_loses_and_doubles_nothing(queue, clock, scorer, step, after):
    fill(queue, clock, count=4, bad=[2])
    flaky = FlakyQueue(queue, step, after=after, times=3)
    failing = FailingScorer(scorer, chokes_on_bad_windows)

    a_loop(flaky, failing, clock, stopping=clock.stopping_after(600.0)).run()

    statuses = [(scores.id.seq, scores.status.value) for scores in published(queue)]
    assert statuses == [(0, "scored"), (1, "scored"), (2, "failed"), (3, "scored")]


def test_scores_are_kept_over_an_outage_and_not_computed_again(queue, clock, scorer):
    fill(queue, clock, count=4)
    counting = FailingScorer(scorer, lambda requests: None)

    flaky = FlakyQueue(queue, "publish_scores", after=False, times=6)
    a_loop(flaky, counting, clock, stopping=clock.stopping_after(60.0)).run()

    assert counting.scored == [4]
    assert len(published(queue)) == 4
