"""Each loop on real parts, and what its meters show of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, Self

import pytest
import structlog
import torch
from prometheus_client import CollectorRegistry

from tests.fakes import FakeClock
from tests.metrics.reading import Shown, shown
from tests.queues.builders import alert_token, fill, scores_of, take, window
from tests.score_builders import judge, recording, rule
from tests.score_builders import window as scored
from xclip_stream.errors import DeliveryError, DeliveryRejected, ScoringError
from xclip_stream.events import encode_event
from xclip_stream.meters import AlertMeters, EvidenceKept, ReaderCounts
from xclip_stream.metrics import (
    DeliveryMetrics,
    EvidenceCollector,
    GpuCollector,
    PrometheusAlert,
    PrometheusScore,
    ReadersCollector,
)
from xclip_stream.model.gpu_memory import gpu_memory_bytes
from xclip_stream.ordering import PATIENCE_S
from xclip_stream.pipeline.alert import AlertLoop, Rulebook
from xclip_stream.pipeline.batch_guard import BatchGuard
from xclip_stream.pipeline.deliver import DeliverLoop
from xclip_stream.pipeline.score import ScoreLoop
from xclip_stream.pipeline.tally import Tally
from xclip_stream.protocols import ClipRequest
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.types import Event, Latency, Logits, Message, ScoreStatus, WindowId


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> MemoryQueue:
    return MemoryQueue(consumer="one", clock=clock)


class SlowScorer:
    """Takes two seconds a batch, and refuses batches with a window of the source `broken`."""

    name, sha256 = "slow", "0" * 64

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def score(self, requests: Sequence[ClipRequest]) -> list[Logits]:
        self._clock.advance(2.0)
        if any(request.prompts == ("broken",) for request in requests):
            raise ScoringError("it is broken")
        return [scored(0).logits[:, : len(request.prompts)].repeat(2, axis=0) for request in requests]


def score_loop(
    queue: MemoryQueue,
    clock: FakeClock,
    registry: CollectorRegistry,
    *,
    new_prompts: Callable[[], Mapping[str, tuple[str, ...]] | None] = lambda: None,
) -> ScoreLoop:
    log = structlog.get_logger()
    guard = BatchGuard(queue=queue, clock=clock, log=log, timeout_s=60, claim_idle_s=30, on_hung=lambda: None)
    return ScoreLoop(
        queue=queue,
        scorer=SlowScorer(clock),
        guard=guard,
        prompts={"yard": ("a", "b"), "bad": ("broken",)},
        new_prompts=new_prompts,
        clock=clock,
        stopping=lambda: False,
        log=log,
        max_deliveries=1,
        meters=PrometheusScore(registry),
    )


def test_each_call_of_the_model_and_each_window_is_counted(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    clock.advance(window(2).produced_at - clock.now())
    fill(queue, 2)

    score_loop(queue, clock, registry).step()

    of = shown(registry)
    assert of("windows_scored_total", source="yard", outcome="scored") == 2
    assert (of("batch_seconds_count"), of("batch_seconds_sum")) == (1, 2.0)
    assert of("batch_windows_sum") == 2
    assert of("window_to_score_seconds_sum") == (2 + 2) + (1 + 2)
    assert of("capture_to_window_seconds_count") == 0


def test_of_a_camera_the_time_to_the_complete_window_is_measured_too(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    clock.advance(window(0).produced_at - clock.now())
    fill(queue, 1, live=True)

    score_loop(queue, clock, registry).step()

    assert shown(registry)("capture_to_window_seconds_sum") == pytest.approx(0.875)


def test_windows_that_expire_and_windows_that_fail_are_told_apart(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    fill(queue, 1, source="cam", live=True)
    clock.advance(11.0)
    fill(queue, 1, source="bad")

    score_loop(queue, clock, registry).step()

    of = shown(registry)
    assert of("windows_scored_total", source="cam", outcome="expired") == 1
    assert of("windows_scored_total", source="bad", outcome="failed") == 1
    assert of("batch_seconds_count") == 0


def test_a_source_that_is_removed_takes_its_series_along_and_comes_back_when_it_does(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    coming: list[Mapping[str, tuple[str, ...]]] = []
    loop = score_loop(queue, clock, registry, new_prompts=lambda: coming.pop() if coming else None)
    fill(queue, 1)
    fill(queue, 1, source="door")
    coming.append({"yard": ("a", "b"), "door": ("a", "b")})
    loop.step()
    before = set(shown(registry).series("windows_scored_total"))

    coming.append({"door": ("a", "b")})
    fill(queue, 2)
    loop.step()
    after = set(shown(registry).series("windows_scored_total"))
    coming.append({"yard": ("a", "b")})
    fill(queue, 3)
    loop.step()

    door, yard = ((("outcome", "scored"), ("source", name)) for name in ("door", "yard"))
    assert (before, after) == ({door, yard}, {door})
    assert shown(registry).series("windows_scored_total") == {yard: 1}


BOOK = Rulebook(
    rules=[rule(sinks=("ops",), sources=("yard",))],
    sink_ids=frozenset({"ops"}),
    gap_s={"yard": 100.0},
    config_hash="c" * 16,
)


def alert_loop(
    queue: MemoryQueue,
    clock: FakeClock,
    meters: AlertMeters,
    *,
    run_s: float = 1.0,
    new_rulebook: Callable[[], Rulebook | None] = lambda: None,
) -> AlertLoop:
    return AlertLoop(
        queue=queue,
        rulebook=BOOK,
        new_rulebook=new_rulebook,
        clock=clock,
        stopping=clock.stopping_after(run_s),
        log=structlog.get_logger(),
        block_s=0.6,
        meters=meters,
    )


def add_tombstones(queue: MemoryQueue, *statuses: ScoreStatus, first: int = 0) -> None:
    queue.begin_epoch("yard", "e1", live=True)
    for seq, status in enumerate(statuses, first):
        queue.add_tombstone(WindowId("yard", "e1", seq), status=status, live=True, pts_s=seq, captured_at=1000.0 + seq)


def test_what_was_given_up_is_counted_by_its_reason_when_it_is_committed(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    add_tombstones(queue, ScoreStatus.DROPPED, ScoreStatus.DROPPED, ScoreStatus.EXPIRED, ScoreStatus.FAILED)

    alert_loop(queue, clock, PrometheusAlert(registry)).run()

    of = shown(registry)
    outcomes = ("scored", "dropped", "expired", "failed", "lost")
    counted = [of("windows_judged_total", source="yard", outcome=outcome) for outcome in outcomes]
    assert counted == [0, 2, 1, 1, 0]
    assert of("commit_seconds_count") == 1


def test_a_window_for_which_nothing_stands_is_counted_as_lost(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    add_tombstones(queue, ScoreStatus.EXPIRED)
    queue.add_unchanged(WindowId("yard", "e1", 1), same_as=0, first_pts_s=0.0, pts_s=1.0, captured_at=1001.0)

    alert_loop(queue, clock, PrometheusAlert(registry)).run()

    of = shown(registry)
    outcomes = ("scored", "unchanged", "expired", "lost")
    assert [of("windows_judged_total", source="yard", outcome=outcome) for outcome in outcomes] == [0, 0, 1, 1]


def test_what_never_came_is_counted_as_lost_and_as_late_when_it_comes_after_all(
    clock: FakeClock, registry: CollectorRegistry
) -> None:
    queue = MemoryQueue(clock=clock, limits=QueueLimits(live_windows=3))
    fill(queue, 3, live=True)
    first, missing, last = take(queue)
    for taken in (first, last):
        queue.publish_scores(taken, scores_of(taken))

    class Told(PrometheusAlert):
        """Lets the missing window come as soon as it was given up."""

        def scores_judged(self, *judged: Any, lost: int, **counts: Any) -> None:
            super().scores_judged(*judged, lost=lost, **counts)
            if lost:
                queue.publish_scores(missing, scores_of(missing))

    alert_loop(queue, clock, Told(registry), run_s=2 * PATIENCE_S).run()

    of = shown(registry)
    assert of("windows_judged_total", source="yard", outcome="scored") == 2
    assert of("windows_judged_total", source="yard", outcome="lost") == 1
    assert of("scores_late_total", source="yard") == 1


def test_rules_and_sources_that_are_removed_take_their_series_along(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    seen: list[Shown] = []
    books = [None, None, replace(BOOK, rules=[], gap_s={"door": 100.0}, config_hash="d" * 16)]

    def new_rulebook() -> Rulebook | None:
        seen.append(shown(registry))
        if len(seen) == 3:
            add_tombstones(queue, ScoreStatus.DROPPED, ScoreStatus.DROPPED, first=2)
        return books.pop(0) if books else None

    add_tombstones(queue, ScoreStatus.DROPPED, ScoreStatus.DROPPED)
    meters = PrometheusAlert(registry)
    for event in told_event():
        meters.event_told(event)
    alert_loop(queue, clock, meters, run_s=3.0, new_rulebook=new_rulebook).run()

    names = ("windows_judged_total", "scores_late_total", "events_total", "frame_to_alert_seconds_count")
    assert all(any(shown.series(name) for shown in seen) for name in names)
    assert not any(shown(registry).series(name) for name in names)
    assert shown(registry)("commit_seconds_count") == 2


def test_only_the_start_of_an_event_is_an_alert(registry: CollectorRegistry) -> None:
    meters = PrometheusAlert(registry)
    for phase in told_event():
        meters.event_told(phase)

    of = shown(registry)
    assert of("events_total", source="yard", rule="climbing", phase="started") == 1
    assert of("events_total", source="yard", rule="climbing", phase="ended") == 1
    assert of("frame_to_alert_seconds_count", rule="climbing") == 1
    assert of("frame_to_alert_seconds_sum", rule="climbing") == 2.5


class Sink:
    """Does what the script says, an entry for each attempt, and takes half a second."""

    def __init__(self, clock: FakeClock, *script: Exception | None) -> None:
        self._clock, self._script = clock, list(script)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *cause: object) -> None:
        pass

    def deliver(self, message: Message) -> None:
        self._clock.advance(0.5)
        if self._script and (failure := self._script.pop(0)) is not None:
            raise failure


def told_event() -> list[Event]:
    """The start and the end of one event, each committed 2.5 s after its window."""
    _, notices = judge(recording([0.9, 0.1]), rule())
    latency = Latency(produced_ms=100.0, scored_ms=2000.0, committed_ms=2500.0)
    return [replace(notice.event, latency=latency) for notice in notices]


def told_message(clock: FakeClock, name: str) -> Message:
    body = encode_event(told_event()[0], number=0)
    return Message(message_id=name, source_id="yard", body=body, committed_at=clock.now())


def send(queue: MemoryQueue, *messages: Message) -> None:
    """Put messages into the outbox of the sink."""
    outbox = [("ops", each) for each in messages]
    queue.commit(alert_token(queue), source_id="yard", state=b"s", events=[], outbox=outbox, done=[])


def deliver(queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry, sink: Sink) -> None:
    DeliverLoop(
        sink_id="ops",
        sink=sink,
        queue=queue,
        clock=clock,
        stopping=clock.stopping_after(30.0),
        log=structlog.get_logger(),
        block_s=1.0,
        draw=lambda: 0.0,
        meters=DeliveryMetrics(registry).of("ops"),
    ).run()


def test_attempts_retries_and_dead_letters_of_a_sink_are_counted(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    send(queue, *(told_message(clock, name) for name in ("one", "two")))

    deliver(queue, clock, registry, Sink(clock, DeliveryError("away"), None, DeliveryRejected("no")))

    of = shown(registry)
    outcomes = [of("delivery_attempts_total", sink="ops", outcome=each) for each in ("taken", "failed", "rejected")]
    assert outcomes == [1, 1, 1]
    assert of("messages_delivered_total", sink="ops") == 1
    assert of("messages_buried_total", sink="ops") == 1
    assert of("delivery_seconds_sum", sink="ops") == pytest.approx(1.5)


def test_the_time_to_the_delivery_goes_on_from_the_commit(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    send(queue, told_message(clock, "one"))
    clock.advance(3.0)

    deliver(queue, clock, registry, Sink(clock))

    of = shown(registry)
    assert of("frame_to_delivery_seconds_count", sink="ops") == 1
    assert of("frame_to_delivery_seconds_sum", sink="ops") == pytest.approx(2.5 + 3.0 + 0.5)


def test_a_message_that_is_no_event_of_this_version_is_delivered_all_the_same(
    queue: MemoryQueue, clock: FakeClock, registry: CollectorRegistry
) -> None:
    send(queue, replace(told_message(clock, "one"), body=b"{}"))

    deliver(queue, clock, registry, Sink(clock))

    assert shown(registry)("messages_delivered_total", sink="ops") == 1


def test_the_readers_that_there_are_now_are_shown(registry: CollectorRegistry) -> None:
    counts = {
        "yard": ReaderCounts(frames=100, windows=9, dropped=2, losses=1, deaths=3, unchanged=4, still=80),
        "door": ReaderCounts(),
    }
    registry.register(ReadersCollector(lambda: counts))
    before = shown(registry)

    del counts["yard"]

    assert before("readers") == 2
    names = ("frames_read", "frames_still", "windows_queued", "windows_unchanged", "windows_dropped")
    counted = [before(f"{name}_total", source="yard") for name in (*names, "source_losses", "reader_deaths")]
    assert counted == [100, 80, 9, 4, 2, 1, 3]
    assert list(shown(registry).series("frames_read_total")) == [(("source", "door"),)]


def test_the_pictures_and_clips_of_each_source_are_shown_and_those_that_were_given_up(
    registry: CollectorRegistry,
) -> None:
    counts = {"yard": ReaderCounts(snapshots=4, clips=3, snapshots_failed=2, clips_failed=1)}
    registry.register(ReadersCollector(lambda: counts))

    of = shown(registry)
    assert [of("evidence_made_total", source="yard", kind=kind) for kind in ("snapshot", "clip")] == [4, 3]
    assert [of("evidence_failed_total", source="yard", kind=kind) for kind in ("snapshot", "clip")] == [2, 1]


def test_what_is_kept_of_evidence_is_shown_as_long_as_some_is_to_be_kept(registry: CollectorRegistry) -> None:
    kept = [EvidenceKept(files=5, num_bytes=900, oldest_s=60.5, removed_files=2, removed_bytes=300), None]
    registry.register(EvidenceCollector(lambda: kept[0]))
    names = ("files", "bytes", "oldest_age_seconds", "removed_total", "removed_bytes_total")

    assert [shown(registry)(f"evidence_{name}") for name in names] == [5, 900, 60.5, 2, 300]
    del kept[0]
    assert not shown(registry).names


def add_to(tally: Tally) -> None:
    tally.add(frames=2, windows=1, snapshots=1, clips_failed=1)
    tally.add(frames=1, dropped=1, losses=1, clips=1, snapshots_failed=1)


def test_what_a_process_counts_is_seen_in_another_and_goes_on_in_the_next() -> None:
    context = get_context("forkserver")
    tally = Tally(context)

    for _ in range(2):
        process = context.Process(target=add_to, args=(tally,))
        process.start()
        process.join()

    assert tally.counts(deaths=1) == ReaderCounts(
        frames=6,
        windows=2,
        dropped=2,
        losses=2,
        deaths=1,
        snapshots=2,
        clips=2,
        snapshots_failed=2,
        clips_failed=2,
    )


def test_the_memory_of_a_gpu_is_shown_by_its_state(registry: CollectorRegistry) -> None:
    registry.register(GpuCollector(lambda: {"used": 3, "total": 8}))

    assert shown(registry)("gpu_memory_bytes", state="used") == 3


def test_where_no_gpu_is_used_none_is_shown() -> None:
    assert gpu_memory_bytes(torch.device("cpu")) == {}
    assert gpu_memory_bytes(torch.device("cuda", 1)) == {}
