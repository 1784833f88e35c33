"""The contract of the queue, over the one in memory and over Redis 6.2 and 7."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.queues.builders import (
    PIXELS,
    Queue,
    alert_token,
    fill,
    message,
    scores_of,
    take,
    waiting_scores,
    window,
)
from tests.queues.conftest import Backend
from xclip_stream.codec import decode_message, decode_window
from xclip_stream.errors import QueueError, StaleOwner
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.protocols import Admission, Admitted, RuleStatus, SourceState, SourceStatus, TakenMessage, TakenWindow
from xclip_stream.types import Picture, Scores, ScoreStatus, WindowId

BYTES = PIXELS.nbytes


STATUS = SourceStatus("yard", SourceState.RUNNING, True, 25.0, 3.5, None, 4, 1, 0.2, "", 9.5)


WANTED = EvidenceRequest(
    event_id="e1",
    source_id="yard",
    rule_id="climbing",
    prompt="a person climbing: süd",
    peak_score=0.75,
    begins_at=1_000_000.25,
    peak_at=1_000_002.5,
    ends_at=None,
    name="yard/1970-01-12/e1",
)


def becomes(true: Callable[[], bool]) -> bool:
    """Tell whether something that only takes its time becomes true."""
    deadline = time.monotonic() + 60
    while not (is_true := true()) and time.monotonic() < deadline:
        time.sleep(0.002)
    return is_true


def summary(scores: list[Scores]) -> list[tuple[int, str, int, str]]:
    return [(found.generation, found.id.epoch, found.id.seq, found.status.value) for found in scores]


class TestEpochs:
    def test_a_new_source_begins_with_the_first_window_of_its_first_generation(self, queue: Queue) -> None:
        assert queue.begin_epoch("yard", "e1", live=False) == 0

        queue.add_window(window(0))
        assert take(queue)[0].generation == 1

    def test_the_current_epoch_is_resumed_where_it_stood(self, backend: Backend) -> None:
        fill(backend.queue(), 3)

        assert backend.queue("another").begin_epoch("yard", "e1", live=False) == 3
        assert waiting_scores(backend.queue()) == []

    def test_another_open_epoch_is_closed_with_a_tombstone(self, queue: Queue) -> None:
        fill(queue, 2, live=True)

        assert queue.begin_epoch("yard", "e2", live=True) == 0
        (closing,) = waiting_scores(queue)
        assert summary([closing]) == [(1, "e1", 2, "source_ended")]
        assert (closing.live, closing.last_pts_s, closing.captured_at) == (True, 4.5, 1_000_001.25)

    def test_an_epoch_that_has_ended_is_not_closed_twice(self, queue: Queue) -> None:
        fill(queue, 1)
        end(queue, 1)
        queue.begin_epoch("yard", "e2", live=False)

        assert summary(waiting_scores(queue)) == [(1, "e1", 1, "source_ended")]

    def test_an_epoch_without_a_window_is_closed_too(self, queue: Queue) -> None:
        queue.begin_epoch("yard", "e1", live=True)
        queue.begin_epoch("yard", "e2", live=True)

        assert summary(waiting_scores(queue)) == [(1, "e1", 0, "source_ended")]

    def test_generations_count_up_and_are_those_of_the_epoch(self, queue: Queue) -> None:
        fill(queue, 1, epoch="e1")
        fill(queue, 1, epoch="e2")

        assert [(taken.window.id.epoch, taken.generation) for taken in take(queue)] == [("e1", 1), ("e2", 2)]

    def test_an_epoch_has_ended_once_its_last_tombstone_is_there(self, queue: Queue) -> None:
        assert not queue.epoch_ended("yard")

        fill(queue, 1)
        assert not queue.epoch_ended("yard")

        end(queue, 1)
        assert queue.epoch_ended("yard")
        assert queue.epoch_ended("yard", "e1")
        assert not queue.epoch_ended("yard", "e2")
        assert queue.begin_epoch("yard", "e1", live=False) == 2

    def test_names_of_any_kind_come_back_as_they_were(self, queue: Queue) -> None:
        fill(queue, 1, source="Hof: süd/{1} 'x'", epoch="a:b c\n")
        queue.begin_epoch("Hof: süd/{1} 'x'", "e2", live=False)

        assert take(queue)[0].window.id == WindowId("Hof: süd/{1} 'x'", "a:b c\n", 0)
        assert waiting_scores(queue)[0].id == WindowId("Hof: süd/{1} 'x'", "a:b c\n", 1)


class TestAddingWindows:
    def test_a_window_comes_out_as_it_went_in(self, queue: Queue) -> None:
        fill(queue, 1, live=True)

        (taken,) = take(queue)
        assert taken.window == window(0, live=True)
        assert taken.deliveries == 1
        np.testing.assert_array_equal(taken.window.frames, PIXELS)

    def test_windows_are_added_in_the_order_of_their_seq(self, queue: Queue) -> None:
        queue.begin_epoch("yard", "e1", live=False)

        assert queue.add_window(window(0)) == Admitted(Admission.ADDED, 1)
        assert queue.add_window(window(1)) == Admitted(Admission.ADDED, 2)
        assert [taken.window.id.seq for taken in take(queue)] == [0, 1]

    def test_a_window_added_twice_is_there_once(self, queue: Queue) -> None:
        fill(queue, 2)

        assert queue.add_window(window(0)) == Admitted(Admission.ALREADY_DONE, 2)
        assert queue.add_window(window(1)) == Admitted(Admission.ALREADY_DONE, 2)
        assert len(take(queue)) == 2

    def test_a_window_too_early_makes_its_source_rewind(self, queue: Queue) -> None:
        fill(queue, 1)

        assert queue.add_window(window(5)) == Admitted(Admission.REWIND, 1)
        assert len(take(queue)) == 1

    def test_a_reader_whose_epoch_is_not_current_any_more_begins_it_again(self, queue: Queue) -> None:
        fill(queue, 1, epoch="e1")
        queue.begin_epoch("yard", "e2", live=False)

        assert queue.add_window(window(1, epoch="e1")) == Admitted(Admission.REWIND, 0)

    def test_a_source_that_the_queue_has_forgotten_begins_again(self, queue: Queue) -> None:
        fill(queue, 3)
        queue.forget_source("yard")

        assert queue.add_window(window(3)) == Admitted(Admission.REWIND, 0)
        assert queue.begin_epoch("yard", "e1", live=False) == 0
        assert queue.add_window(window(0)) == Admitted(Admission.ADDED, 1)

    def test_nothing_is_added_after_the_end_of_an_epoch(self, queue: Queue) -> None:
        fill(queue, 1)
        end(queue, 1)

        assert queue.add_window(window(0)) == Admitted(Admission.ALREADY_DONE, 2)
        assert queue.add_window(window(1)) == Admitted(Admission.ALREADY_DONE, 2)
        assert queue.add_window(window(2)).answer is Admission.STALE

    def test_a_window_that_is_unchanged_takes_a_seq_and_names_the_one_that_stands_for_it(self, queue: Queue) -> None:
        fill(queue, 1, live=True)

        assert add_unchanged(queue, 1) == Admitted(Admission.ADDED, 2)
        (unchanged,) = waiting_scores(queue)
        assert summary([unchanged]) == [(1, "e1", 1, "unchanged")]
        assert (unchanged.live, unchanged.same_as, unchanged.is_scored) == (True, 0, False)
        assert (unchanged.first_pts_s, unchanged.last_pts_s, unchanged.captured_at) == (1.5, 5.0, 1_000_001.75)
        assert not queue.epoch_ended("yard")

    def test_a_window_that_is_unchanged_is_refused_as_any_other(self, queue: Queue) -> None:
        fill(queue, 2, live=True)

        assert add_unchanged(queue, 1) == Admitted(Admission.ALREADY_DONE, 2)
        assert add_unchanged(queue, 3) == Admitted(Admission.REWIND, 2)
        queue.begin_epoch("yard", "e1", live=True, token=7)
        assert add_unchanged(queue, 2).answer is Admission.STALE
        assert add_unchanged(queue, 2, token=7).answer is Admission.ADDED
        end(queue, 3, token=7)
        assert add_unchanged(queue, 4, token=7).answer is Admission.STALE

    def test_a_tombstone_takes_a_seq_and_is_published_at_once(self, queue: Queue) -> None:
        fill(queue, 1, live=True)
        answer = queue.add_tombstone(
            WindowId("yard", "e1", 1), status=ScoreStatus.DROPPED, live=True, pts_s=7.5, captured_at=1_000_007.75
        )

        assert answer == Admitted(Admission.ADDED, 2)
        (dropped,) = waiting_scores(queue)
        assert summary([dropped]) == [(1, "e1", 1, "dropped")]
        assert (dropped.first_pts_s, dropped.last_pts_s, dropped.captured_at) == (7.5, 7.5, 1_000_007.75)
        assert dropped.logits.size == 0
        assert queue.add_window(window(2, live=True)) == Admitted(Admission.ADDED, 3)

    @pytest.mark.parametrize(
        ("seq", "answer"),
        [(0, Admitted(Admission.ALREADY_DONE, 1)), (2, Admitted(Admission.REWIND, 1))],
    )
    def test_a_tombstone_has_to_be_the_next_one_too(self, queue: Queue, seq: int, answer: Admitted) -> None:
        fill(queue, 1)
        window_id = WindowId("yard", "e1", seq)

        assert queue.add_tombstone(window_id, status=ScoreStatus.DROPPED, live=False, pts_s=0, captured_at=0) == answer
        assert waiting_scores(queue) == []


class TestFencing:
    """A token is that of the lease under which a reader was started."""

    def test_a_reader_goes_on_with_its_own_token(self, queue: Queue) -> None:
        assert queue.begin_epoch("yard", "e1", live=False, token=7) == 0

        assert queue.add_window(window(0), token=7) == Admitted(Admission.ADDED, 1)
        assert queue.begin_epoch("yard", "e1", live=False, token=7) == 1

    def test_a_reader_that_was_replaced_writes_nothing_more_not_even_in_the_same_epoch(self, queue: Queue) -> None:
        queue.begin_epoch("yard", "e1", live=False, token=7)
        queue.add_window(window(0), token=7)

        assert queue.begin_epoch("yard", "e1", live=False, token=8) == 1
        assert queue.add_window(window(1), token=7).answer is Admission.STALE
        ended = WindowId("yard", "e1", 1)
        assert (
            queue.add_tombstone(
                ended, status=ScoreStatus.SOURCE_ENDED, live=False, pts_s=1, captured_at=1, token=7
            ).answer
            is Admission.STALE
        )
        with pytest.raises(StaleOwner):
            queue.begin_epoch("yard", "e1", live=False, token=7)
        with pytest.raises(StaleOwner):
            queue.begin_epoch("yard", "another", live=False, token=7)
        assert queue.add_window(window(1), token=8) == Admitted(Admission.ADDED, 2)
        assert [taken.window.id.seq for taken in take(queue)] == [0, 1]
        assert waiting_scores(queue) == []

    def test_a_reader_without_a_lease_is_older_than_any_with_one(self, queue: Queue) -> None:
        queue.begin_epoch("yard", "e1", live=False, token=1)

        assert queue.add_window(window(0)).answer is Admission.STALE
        with pytest.raises(StaleOwner):
            queue.begin_epoch("yard", "e1", live=False)

    def test_a_camera_that_is_taken_over_ends_the_epoch_of_the_reader_before(self, queue: Queue) -> None:
        queue.begin_epoch("yard", "old", live=True, token=7)
        queue.begin_epoch("yard", "new", live=True, token=8)

        assert summary(waiting_scores(queue)) == [(1, "old", 0, "source_ended")]
        assert queue.add_window(window(0, epoch="old", live=True), token=7).answer is Admission.STALE
        assert queue.add_window(window(0, epoch="new", live=True), token=8).answer is Admission.ADDED

    def test_a_queue_that_does_not_know_the_token_yet_asks_for_the_epoch(self, queue: Queue) -> None:
        """It came back older than the reader's own `begin_epoch`."""
        queue.begin_epoch("yard", "e1", live=False, token=7)
        queue.add_window(window(0), token=7)

        assert queue.add_window(window(3), token=8) == Admitted(Admission.REWIND, 0)
        assert queue.begin_epoch("yard", "e1", live=False, token=8) == 1

    def test_another_source_has_a_fence_of_its_own(self, queue: Queue) -> None:
        queue.begin_epoch("yard", "e1", live=False, token=8)

        assert queue.begin_epoch("gate", "e1", live=False, token=7) == 0

    def test_tokens_given_out_later_are_greater_than_one_that_a_reader_came_with(self, queue: Queue) -> None:
        far = 1 << 52
        queue.begin_epoch("yard", "e1", live=False, token=far)

        assert (queue.acquire_source("yard", ttl_s=60) or 0) > far


class TestLeases:
    def test_one_worker_reads_a_source_and_another_the_next(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        token = one.acquire_source("yard", ttl_s=60)
        assert token is not None

        assert two.acquire_source("yard", ttl_s=60) is None
        assert two.acquire_source("gate", ttl_s=60) is not None

        one.renew_source("yard", token, ttl_s=60)
        one.release_source("yard", token)
        assert (two.acquire_source("yard", ttl_s=60) or 0) > token
        with pytest.raises(StaleOwner):
            one.renew_source("yard", token, ttl_s=60)

    def test_a_worker_may_take_again_what_it_has_and_gets_a_newer_token(self, queue: Queue) -> None:
        first = queue.acquire_source("yard", ttl_s=60) or 0

        assert (queue.acquire_source("yard", ttl_s=60) or 0) > first
        with pytest.raises(StaleOwner):
            queue.renew_source("yard", first, ttl_s=60)

    def test_a_lease_that_is_not_renewed_runs_out(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        old = one.acquire_source("yard", ttl_s=0.05) or 0
        waiting = threading.Event()
        while (new := two.acquire_source("yard", ttl_s=60)) is None:
            waiting.wait(0.01)

        assert new > old
        with pytest.raises(StaleOwner):
            one.renew_source("yard", old, ttl_s=60)

    def test_the_workers_of_a_team_see_each_other_and_what_is_free(self, backend: Backend) -> None:
        one, two, three = (backend.queue(name) for name in ("one", "two", "three"))
        alone = one.join_ingest(["yard", "gate"], ttl_s=60)
        two.acquire_source("yard", ttl_s=60)
        two.join_ingest(["yard", "gate"], ttl_s=60)
        three.join_ingest([], ttl_s=60)
        seen = one.join_ingest(["yard", "gate"], ttl_s=60)

        assert (alone.others, alone.free) == (frozenset(), {"yard", "gate"})
        assert (len(seen.others), seen.free) == (2, {"gate"})

    def test_a_worker_that_does_not_join_again_is_not_counted_for_long(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        two.join_ingest([], ttl_s=0.05)
        waiting = threading.Event()
        while one.join_ingest([], ttl_s=60).others:
            waiting.wait(0.01)

        assert len(two.join_ingest([], ttl_s=60).others) == 1

    def test_a_worker_that_leaves_frees_what_it_holds_and_nothing_else(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        for queue, source in ((one, "yard"), (two, "gate")):
            queue.join_ingest([], ttl_s=60)
            queue.acquire_source(source, ttl_s=60)
        two.leave_ingest(["yard", "gate"])
        seen = one.join_ingest(["yard", "gate"], ttl_s=60)

        assert (seen.others, seen.free) == (frozenset(), {"gate"})

    def test_a_worker_that_is_known_to_be_dead_can_be_taken_out_by_another(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        two.acquire_source("yard", ttl_s=60)
        two.join_ingest([], ttl_s=60)
        (dead,) = one.join_ingest(["yard"], ttl_s=60).others
        one.leave_ingest(["yard"], worker=dead)
        seen = one.join_ingest(["yard"], ttl_s=60)

        assert dead.startswith("two")
        assert (seen.others, seen.free) == (frozenset(), {"yard"})


class TestCaps:
    def test_a_file_waits_while_it_has_enough_windows_in_the_queue(self, backend: Backend) -> None:
        backend.limit(file_windows=2)
        queue = backend.queue()
        fill(queue, 2)

        assert queue.add_window(window(2)) == Admitted(Admission.FULL, 2)

        taken = take(queue)
        assert queue.add_window(window(2)) == Admitted(Admission.FULL, 2)

        queue.publish_scores(taken[0], scores_of(taken[0]))
        assert queue.add_window(window(2)) == Admitted(Admission.ADDED, 3)

    def test_one_file_at_its_cap_does_not_hold_up_another(self, backend: Backend) -> None:
        backend.limit(file_windows=1)
        queue = backend.queue()
        fill(queue, 1, source="a")
        queue.begin_epoch("b", "e1", live=False)

        assert queue.add_window(window(0, source="b")).answer is Admission.ADDED

    def test_a_camera_is_refused_while_its_windows_are_not_scored_so_that_they_stay_young(
        self, backend: Backend
    ) -> None:
        backend.limit(live_windows=2)
        queue = backend.queue()
        fill(queue, 2, live=True)

        assert queue.add_window(window(2, live=True)) == Admitted(Admission.FULL, 2)

        (first, _) = take(queue)
        queue.bury_window(first, reason="broken")
        assert queue.add_window(window(2, live=True)) == Admitted(Admission.ADDED, 3)

    def test_a_new_epoch_is_not_held_up_by_the_windows_of_the_old_one(self, backend: Backend) -> None:
        backend.limit(file_windows=1)
        queue = backend.queue()
        fill(queue, 1, epoch="e1")
        fill(queue, 1, epoch="e2")
        old, new = take(queue)
        queue.publish_scores(old, scores_of(old))

        assert queue.add_window(window(1, epoch="e2")) == Admitted(Admission.FULL, 1)

        queue.publish_scores(new, scores_of(new))
        assert queue.add_window(window(1, epoch="e2")).answer is Admission.ADDED

    def test_files_leave_a_quarter_of_the_bytes_to_cameras(self, backend: Backend) -> None:
        backend.limit(max_bytes=4 * BYTES)
        queue = backend.queue()
        fill(queue, 4)
        fill(queue, 2, source="camera", live=True)

        assert queue.begin_epoch("yard", "e1", live=False) == 3
        assert queue.begin_epoch("camera", "e1", live=True) == 1
        assert queue.depths([]).window_bytes == 4 * BYTES

    def test_a_window_greater_than_the_cap_passes_through_an_empty_queue(self, backend: Backend) -> None:
        backend.limit(max_bytes=10)
        queue = backend.queue()
        fill(queue, 1)

        assert queue.add_window(window(1)) == Admitted(Admission.FULL, 1)
        assert len(take(queue)) == 1

    def test_a_camera_with_short_strides_takes_no_more_than_its_share(self, backend: Backend) -> None:
        backend.limit(live_windows=2)
        queue, wishes = backend.queue(), {"quick": 10, "slow": 1, "other": 1}
        shares = Counter[str]()
        for _ in range(20):
            for source, count in wishes.items():
                first = queue.begin_epoch(source, "e1", live=True)
                for seq in range(first, first + count):
                    queue.add_window(window(seq, source=source, live=True))
            for taken in queue.take_windows(max_count=3, block_s=0):
                shares[taken.window.id.source_id] += 1
                queue.publish_scores(taken, scores_of(taken))

        assert sum(shares.values()) == 60
        assert min(shares.values()) >= 18

    def test_windows_that_are_unchanged_pass_every_cap(self, backend: Backend) -> None:
        backend.limit(live_windows=1)
        queue = backend.queue()
        fill(queue, 1, live=True)

        assert queue.add_window(window(1, live=True)).answer is Admission.FULL
        assert add_unchanged(queue, 1) == Admitted(Admission.ADDED, 2)

    def test_tombstones_pass_every_cap(self, backend: Backend) -> None:
        backend.limit(max_bytes=10, live_windows=1, max_scores=1)
        queue = backend.queue()
        fill(queue, 1, live=True)
        answers = [
            queue.add_tombstone(
                WindowId("yard", "e1", seq), status=ScoreStatus.DROPPED, live=True, pts_s=1.0, captured_at=1.0
            )
            for seq in (1, 2, 3)
        ]

        assert [admitted.answer for admitted in answers] == [Admission.ADDED] * 3

    def test_files_wait_while_the_rules_lag_behind(self, backend: Backend) -> None:
        backend.limit(max_scores=2)
        queue = backend.queue()
        fill(queue, 2)
        for taken in take(queue):
            queue.publish_scores(taken, scores_of(taken))

        assert queue.add_window(window(2)) == Admitted(Admission.FULL, 2)

        token = alert_token(queue)
        first, _ = queue.take_scores(token, max_count=9, block_s=0)
        commit(queue, token, done=[first.entry_id])
        assert queue.add_window(window(2)).answer is Admission.ADDED

    def test_bytes_are_counted_in_and_out(self, queue: Queue) -> None:
        fill(queue, 3)
        before = queue.depths([])
        first, second, *_ = take(queue)
        queue.publish_scores(first, scores_of(first))
        queue.bury_window(second, reason="broken")
        after = queue.depths([])

        assert (before.windows, before.window_bytes) == (3, 3 * BYTES)
        assert (after.windows, after.window_bytes) == (1, BYTES)


class TestScoring:
    def test_each_window_goes_to_one_consumer(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        fill(one, 4)
        first, second = take(one, 2), take(two, 9)

        assert [taken.window.id.seq for taken in first + second] == [0, 1, 2, 3]
        assert len(first) == 2

    def test_scores_come_out_as_they_went_in(self, queue: Queue) -> None:
        fill(queue, 1)
        (taken,) = take(queue)
        sent = scores_of(taken)

        assert queue.publish_scores(taken, sent)
        (found,) = waiting_scores(queue)
        assert found == sent
        np.testing.assert_array_equal(found.logits, sent.logits)

    def test_a_window_is_gone_once_its_scores_are_published(self, backend: Backend) -> None:
        queue = backend.queue()
        fill(queue, 1)
        (taken,) = take(queue)
        queue.publish_scores(taken, scores_of(taken))

        assert queue.depths([]).windows == 0
        assert take(backend.queue("two", claim_idle_s=0)) == []

    def test_a_window_held_by_a_live_consumer_is_not_taken_by_another(self, backend: Backend) -> None:
        fill(backend.queue("one"), 1)
        take(backend.queue("one"))

        assert take(backend.queue("two")) == []

    def test_a_window_of_a_dead_consumer_is_taken_over(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two", claim_idle_s=0)
        fill(one, 1)
        take(one)

        (taken,) = take(two)
        assert (taken.window, taken.deliveries, taken.generation) == (window(0), 2, 1)
        assert two.publish_scores(taken, scores_of(taken))

    def test_a_window_that_is_held_on_is_not_taken_over_and_counts_no_delivery(self, backend: Backend) -> None:
        fill(backend.queue(), 2)
        slow = backend.queue("slow")
        held, left = take(slow)
        other = backend.queue("other", claim_idle_s=1.0)
        found: list[TakenWindow] = []
        while not found:
            slow.hold_windows([held])
            found = other.take_windows(max_count=1, block_s=0.05)

        assert [(taken.window.id, taken.deliveries) for taken in found] == [(left.window.id, 2)]
        (again,) = take(backend.queue("next", claim_idle_s=0.0))
        assert (again.window.id, again.deliveries) == (held.window.id, 2)

    def test_a_window_that_another_has_taken_over_is_not_taken_back_by_holding_it(self, backend: Backend) -> None:
        fill(backend.queue(), 1)
        slow = backend.queue("slow")
        (held,) = take(slow)
        take(backend.queue("other", claim_idle_s=0.0))

        slow.hold_windows([held])

        (again,) = take(backend.queue("other", claim_idle_s=0.0))
        assert again.deliveries == 3
        assert take(slow) == []

    def test_holding_what_was_let_go_of_or_was_never_there_does_nothing(self, backend: Backend) -> None:
        fill(backend.queue(), 1)
        queue = backend.queue()
        (held,) = take(queue)
        queue.publish_scores(held, scores_of(held))

        queue.hold_windows([held])
        queue.hold_windows([])

        assert take(backend.queue("other", claim_idle_s=0.0)) == []
        assert queue.depths([]).windows == 0

    def test_a_window_that_was_delivered_before_comes_first_and_alone(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two", claim_idle_s=0)
        fill(one, 3)
        take(one, 2)
        batches = []
        for _ in range(3):
            batch = take(two, 8)
            batches.append([taken.window.id.seq for taken in batch])
            for taken in batch:
                two.publish_scores(taken, scores_of(taken))

        assert batches == [[0], [1], [2]]

    def test_a_consumer_that_wakes_up_late_publishes_nothing(self, backend: Backend) -> None:
        sleeper, other = backend.queue("sleeper"), backend.queue("other", claim_idle_s=0)
        fill(sleeper, 1)
        (held,) = take(sleeper)
        (claimed,) = take(other)

        assert other.publish_scores(claimed, scores_of(claimed))
        assert not sleeper.publish_scores(held, scores_of(held))
        assert not sleeper.bury_window(held, reason="late")
        assert len(waiting_scores(other)) == 1
        assert other.depths([]).dead == 0

    def test_publishing_again_says_that_it_was_done_and_does_nothing(self, queue: Queue) -> None:
        fill(queue, 2)
        first, second = take(queue)

        assert queue.publish_scores(first, scores_of(first))
        assert queue.publish_scores(first, scores_of(first))
        assert queue.bury_window(second, reason="broken")
        assert queue.bury_window(second, reason="broken")
        assert summary(waiting_scores(queue)) == [(1, "e1", 0, "scored"), (1, "e1", 1, "failed")]
        assert queue.depths([]).dead == 1

    def test_a_buried_window_leaves_a_tombstone_and_a_dead_letter(self, queue: Queue) -> None:
        fill(queue, 1)
        (taken,) = take(queue)

        assert queue.bury_window(taken, reason="the model is not amused")
        (failed,) = waiting_scores(queue)
        assert summary([failed]) == [(1, "e1", 0, "failed")]
        assert (failed.last_pts_s, failed.captured_at, failed.produced_at) == (3.5, 1_000_000.25, 1_000_001.125)
        (letter,) = queue.list_dead(max_count=9)
        assert (letter.origin, letter.subject, letter.reason) == ("windows", "yard/e1/0", "the model is not amused")
        assert letter.deliveries == 1
        assert decode_window(letter.payload) == window(0)

    def test_a_window_delivered_too_often_is_buried_instead(self, backend: Backend) -> None:
        backend.limit(max_deliveries=3)
        queue = backend.queue("one", claim_idle_s=0)
        fill(queue, 2)
        deliveries = [taken.deliveries for _ in range(3) for taken in take(queue, 1)]
        (good,) = take(queue, 9)

        assert deliveries == [1, 2, 3]
        assert good.window.id.seq == 1
        assert summary(waiting_scores(queue)) == [(1, "e1", 0, "failed")]
        (letter,) = queue.list_dead(max_count=9)
        assert (letter.subject, letter.deliveries) == ("yard/e1/0", 3)
        assert letter.reason == "not scored in 3 deliveries: each worker that had it died or hung"

    def test_cameras_are_served_before_files(self, queue: Queue) -> None:
        fill(queue, 2, source="file")
        fill(queue, 2, source="camera", live=True)

        assert [taken.window.id.source_id for taken in take(queue)] == ["camera", "camera", "file", "file"]

    def test_cameras_in_overload_do_not_starve_a_file(self, queue: Queue) -> None:
        fill(queue, 1, source="file")
        served = []
        for number in range(8):
            fill(queue, 1, source=f"camera {number}", live=True)
            served += [taken.window.id.source_id for taken in take(queue, 1)]

        assert "file" in served

    @pytest.mark.parametrize("max_count", [1, 8])
    def test_a_consumer_that_waits_is_woken_by_a_window(self, backend: Backend, max_count: int) -> None:
        queue, producer = backend.queue(), backend.queue("producer")
        take(queue)
        producer.begin_epoch("yard", "e1", live=False)
        thread = threading.Timer(0.05, lambda: producer.add_window(window(0)))
        thread.start()
        found = queue.take_windows(max_count=max_count, block_s=2)
        thread.join()

        assert [taken.window.id.seq for taken in found] == [0]

    def test_many_consumers_at_once_score_every_window_once(self, backend: Backend) -> None:
        backend.limit(file_windows=10_000)
        fill(backend.queue("ingest"), 60)

        def work(queue: Queue) -> None:
            while batch := take(queue, 4):
                for taken in batch:
                    queue.publish_scores(taken, scores_of(taken))

        threads = [threading.Thread(target=work, args=(backend.queue(f"{n}"),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(found.id.seq for found in waiting_scores(backend.queue())) == list(range(60))
        assert backend.queue().depths([]).window_bytes == 0


class TestAlert:
    def test_there_is_one_alert_worker(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        token = alert_token(one)

        assert two.acquire_alert(ttl_s=60) is None

        one.release_alert(token)
        assert alert_token(two) > token

    def test_a_worker_that_does_not_renew_is_replaced(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        old = one.acquire_alert(ttl_s=0.05)
        assert old is not None
        waiting = threading.Event()
        while (new := two.acquire_alert(ttl_s=60)) is None:
            waiting.wait(0.01)

        assert new > old
        with pytest.raises(StaleOwner):
            one.renew_alert(old, ttl_s=60)

        one.release_alert(old)
        two.renew_alert(new, ttl_s=60)

    def test_a_stale_token_commits_nothing(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        publish(one, 1)
        old = alert_token(one)
        (taken,) = one.take_scores(old, max_count=1, block_s=0)
        one.release_alert(old)
        alert_token(two)

        with pytest.raises(StaleOwner):
            commit(one, old, state=b"late", events=["m1"], sinks=["ops"], done=[taken.entry_id])
        depths = two.depths(["ops"])
        assert (depths.scores, depths.outbox) == (1, {"ops": 0})
        assert two.load_states() == {}
        assert two.last_event_id() == "0"

    def test_a_commit_stores_state_events_and_outboxes_and_lets_go_of_the_scores(self, queue: Queue) -> None:
        publish(queue, 2)
        token = alert_token(queue)
        first, _ = queue.take_scores(token, max_count=9, block_s=0)
        commit(queue, token, state=b"\x00\xff", events=["m1", "m2"], sinks=["ops", "log"], done=[first.entry_id])

        assert queue.load_states() == {"yard": b"\x00\xff"}
        assert [event for _, event in queue.read_events(after_id="0", max_count=9, block_s=0)] == [
            b'{"id":"m1"}',
            b'{"id":"m2"}',
        ]
        assert queue.depths(["ops", "log", "idle"]).outbox == {"ops": 2, "log": 2, "idle": 0}
        assert [taken.message for taken in take_messages(queue, "ops")] == [message("m1"), message("m2")]
        assert queue.depths([]).scores == 1

    def test_a_commit_repeated_after_a_lost_reply_does_nothing_and_succeeds(self, queue: Queue) -> None:
        publish(queue, 2)
        token = alert_token(queue)
        first, second = queue.take_scores(token, max_count=9, block_s=0)
        for _ in range(2):
            commit(queue, token, state=b"1", events=["m1"], sinks=["ops"], done=[first.entry_id])
        commit(queue, token, state=b"2", events=["m2"], sinks=["ops"], done=[second.entry_id])

        assert [event for _, event in queue.read_events(after_id="0", max_count=9, block_s=0)] == [
            b'{"id":"m1"}',
            b'{"id":"m2"}',
        ]
        assert queue.depths(["ops"]).outbox == {"ops": 2}
        assert queue.load_states() == {"yard": b"2"}

    def test_a_successor_gets_all_that_is_not_committed_in_order_and_then_what_is_new(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        publish(one, 4)
        token = alert_token(one)
        first, *_ = one.take_scores(token, max_count=3, block_s=0)
        commit(one, token, done=[first.entry_id])
        one.release_alert(token)
        token = alert_token(two)
        found = [taken.scores.id.seq for taken in two.take_scores(token, max_count=2, block_s=0)]
        found += [taken.scores.id.seq for taken in two.take_scores(token, max_count=9, block_s=0)]

        assert found == [1, 2, 3]
        assert two.take_scores(token, max_count=9, block_s=0) == []

    def test_an_alert_worker_that_waits_is_woken_by_scores(self, backend: Backend) -> None:
        queue, producer = backend.queue(), backend.queue("producer")
        fill(producer, 1)
        (taken,) = take(producer)
        token = alert_token(queue)
        thread = threading.Timer(0.05, lambda: producer.publish_scores(taken, scores_of(taken)))
        thread.start()
        found = queue.take_scores(token, max_count=8, block_s=2)
        thread.join()

        assert [taken.scores.id.seq for taken in found] == [0]

    def test_a_commit_may_let_go_of_thousands_of_scores(self, queue: Queue) -> None:
        queue.begin_epoch("yard", "e1", live=True)
        for seq in range(3000):
            queue.add_tombstone(
                WindowId("yard", "e1", seq), status=ScoreStatus.DROPPED, live=True, pts_s=seq, captured_at=seq
            )
        token = alert_token(queue)
        done = [taken.entry_id for taken in queue.take_scores(token, max_count=5000, block_s=0)]
        commit(queue, token, done=done)

        assert len(done) == 3000
        assert queue.depths([]).scores == 0


class TestDelivery:
    def test_one_worker_delivers_for_a_sink_and_another_for_the_next(self, backend: Backend) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        token = one.acquire_sink("ops", ttl_s=60)
        assert token is not None

        assert two.acquire_sink("ops", ttl_s=60) is None
        assert two.acquire_sink("log", ttl_s=60) is not None
        with pytest.raises(StaleOwner):
            two.take_messages("ops", max_count=1, block_s=0)

        one.release_sink("ops", token)
        assert two.acquire_sink("ops", ttl_s=60) is not None
        with pytest.raises(StaleOwner):
            one.renew_sink("ops", token, ttl_s=60)

    def test_messages_come_oldest_first_and_once(self, queue: Queue) -> None:
        post(queue, "m1", "m2", "m3")

        assert names(queue, max_count=2) == ["m1", "m2"]
        assert names(queue) == ["m3"]
        assert names(queue) == []

    def test_a_settled_message_is_gone_and_an_unsettled_one_comes_again_to_the_next_owner(
        self, backend: Backend
    ) -> None:
        one, two = backend.queue("one"), backend.queue("two")
        post(one, "m1", "m2", "m3")
        token = one.acquire_sink("ops", ttl_s=60)
        assert token is not None
        first, *_ = take_messages(one, "ops", max_count=2)
        one.settle_message("ops", first)
        one.settle_message("ops", first)
        one.release_sink("ops", token)
        two.acquire_sink("ops", ttl_s=60)
        again = take_messages(two, "ops")

        assert [(taken.message.message_id, taken.deliveries) for taken in again] == [("m2", 2), ("m3", 1)]
        assert two.depths(["ops"]).outbox == {"ops": 2}

    def test_a_buried_message_is_a_dead_letter_and_can_be_replayed(self, queue: Queue) -> None:
        post(queue, "m1", "m2")
        first, _ = take_messages(queue, "ops")
        queue.bury_message("ops", first, reason="410 Gone")
        queue.bury_message("ops", first, reason="410 Gone")

        (letter,) = queue.list_dead(max_count=9)
        assert (letter.origin, letter.subject, letter.reason, letter.deliveries) == ("outbox:ops", "m1", "410 Gone", 1)
        assert decode_message(letter.payload) == message("m1")

        assert queue.replay_dead(letter.id)
        assert not queue.replay_dead(letter.id)
        assert names(queue) == ["m1"]
        assert queue.depths(["ops"]).dead == 0

    def test_a_deliverer_that_waits_is_woken_by_a_message(self, backend: Backend) -> None:
        queue, alert = backend.queue(), backend.queue("alert")
        queue.acquire_sink("ops", ttl_s=60)
        thread = threading.Timer(0.05, lambda: post(alert, "m1"))
        thread.start()
        found = queue.take_messages("ops", max_count=8, block_s=2)
        thread.join()

        assert [taken.message.message_id for taken in found] == ["m1"]

    def test_the_messages_that_wait_can_be_named(self, queue: Queue) -> None:
        post(queue, "m1", "m2", "m3")

        assert queue.waiting_messages("ops", max_count=2) == ["m1", "m2"]
        assert queue.waiting_messages("other", max_count=2) == []


class TestEventStream:
    def test_the_newest_can_be_had_at_once(self, queue: Queue) -> None:
        assert queue.newest_events(max_count=9) == []

        post(queue, *(f"m{number}" for number in range(1200)))

        newest = queue.newest_events(max_count=1100)
        assert [body for _, body in newest] == [f'{{"id":"m{number}"}}'.encode() for number in range(100, 1200)]
        assert newest[-1][0] == queue.last_event_id()

    def test_a_reader_goes_on_after_the_last_id_that_it_saw(self, queue: Queue) -> None:
        post(queue, "m1")
        middle = queue.last_event_id()
        post(queue, "m2")

        (found,) = queue.read_events(after_id=middle, max_count=9, block_s=0)
        assert found == (queue.last_event_id(), b'{"id":"m2"}')
        assert queue.read_events(after_id=found[0], max_count=9, block_s=0.01) == []

    def test_a_reader_that_waits_is_woken_by_an_event(self, backend: Backend) -> None:
        queue, alert = backend.queue(), backend.queue("alert")
        last_id = queue.last_event_id()
        thread = threading.Timer(0.05, lambda: post(alert, "m1"))
        thread.start()
        found = queue.read_events(after_id=last_id, max_count=8, block_s=2)
        thread.join()

        assert [event for _, event in found] == [b'{"id":"m1"}']

    def test_the_stream_keeps_what_is_to_be_retained_and_not_much_more(self, backend: Backend) -> None:
        backend.limit(events_retained=10)
        queue = backend.queue()
        post(queue, *(f"m{number}" for number in range(500)))
        kept = [event for _, event in queue.read_events(after_id="0", max_count=1000, block_s=0)]

        assert 10 <= len(kept) <= 200
        assert kept[-1] == b'{"id":"m499"}'


class TestDeadLetters:
    def test_a_window_of_a_camera_waits_anew_when_it_is_replayed(self, queue: Queue) -> None:
        fill(queue, 1, live=True)
        (taken,) = take(queue)
        queue.bury_window(taken, reason="broken")
        (letter,) = queue.list_dead(max_count=9)
        queue.replay_dead(letter.id)

        (again,) = take(queue)

        assert 0.0 <= again.waited_s < again.window.produced_at

    def test_a_replayed_window_is_scored_again_and_counted_again(self, queue: Queue) -> None:
        fill(queue, 1)
        (taken,) = take(queue)
        queue.bury_window(taken, reason="broken")
        (letter,) = queue.list_dead(max_count=9)

        assert queue.replay_dead(letter.id)
        depths = queue.depths([])
        assert (depths.windows, depths.window_bytes, depths.dead) == (1, BYTES, 0)
        (again,) = take(queue)
        assert (again.window, again.deliveries, again.generation) == (window(0), 1, 1)
        assert queue.publish_scores(again, scores_of(again))
        assert summary(waiting_scores(queue)) == [(1, "e1", 0, "failed"), (1, "e1", 0, "scored")]
        assert queue.depths([]).window_bytes == 0
        assert queue.add_window(window(1)) == Admitted(Admission.ADDED, 2)

    @pytest.mark.parametrize("letter_id", ["", "77", "1-1", "nonsense", "-", "+", "0-0"])
    def test_a_letter_that_is_not_there_is_neither_replayed_nor_dropped(self, queue: Queue, letter_id: str) -> None:
        assert not queue.replay_dead(letter_id)
        assert not queue.drop_dead(letter_id)

    def test_a_dropped_letter_is_gone(self, queue: Queue) -> None:
        bury(queue, 2)
        first, second = queue.list_dead(max_count=9)

        assert queue.drop_dead(first.id)
        assert queue.list_dead(max_count=9) == [second]
        assert queue.list_dead(max_count=0) == []

    def test_only_so_many_letters_are_kept(self, backend: Backend) -> None:
        backend.limit(dead_letters=2)
        queue = backend.queue()
        bury(queue, 4)

        assert [letter.subject for letter in queue.list_dead(max_count=9)] == ["yard/e1/2", "yard/e1/3"]

    def test_a_letter_that_finds_no_room_for_its_payload_is_kept_without_it(self, backend: Backend) -> None:
        backend.limit(dead_bytes=2 * BYTES - 1)
        queue = backend.queue()
        bury(queue, 2)
        whole, bare = queue.list_dead(max_count=9)

        assert len(whole.payload) > BYTES
        assert (bare.subject, bare.payload) == ("yard/e1/1", b"")
        with pytest.raises(QueueError, match="without its payload"):
            queue.replay_dead(bare.id)
        assert queue.drop_dead(whole.id)
        assert queue.drop_dead(bare.id)


class TestOverview:
    def test_the_last_statuses_are_shown(self, queue: Queue) -> None:
        rules = RuleStatus("yard", 4, 1, 0, 0, 3.5, "climbing", 0.75, open_events=1, events=2, updated_at=9.5)
        queue.report_source(STATUS)
        queue.report_source(replace(STATUS, windows=5))
        queue.report_rules(rules)

        assert queue.source_statuses() == {"yard": replace(STATUS, windows=5)}
        assert queue.rule_statuses() == {"yard": rules}

    def test_a_new_queue_is_empty(self, queue: Queue) -> None:
        depths = queue.depths(["ops"])

        assert (depths.windows, depths.window_bytes, depths.scores, depths.outbox, depths.dead) == (
            0,
            0,
            0,
            {"ops": 0},
            0,
        )
        assert queue.last_event_id() == "0"
        assert queue.source_statuses() == {}
        assert queue.rule_statuses() == {}
        assert queue.load_states() == {}
        assert not queue.epoch_ended("yard")


class TestPictures:
    """What a source looked like last, for people, and only while they look."""

    def test_a_reader_hears_that_somebody_looks_until_nobody_does(self, queue: Queue) -> None:
        assert not queue.report_source(STATUS).picture

        queue.watch_pictures(["yard", "gate"], ttl_s=600)
        assert queue.report_source(STATUS).picture

        queue.watch_pictures(["yard"], ttl_s=0.001)
        assert becomes(lambda: not queue.report_source(STATUS).picture)

    def test_the_newest_picture_is_shown_to_whoever_asks(self, backend: Backend) -> None:
        reader, viewer = backend.queue(), backend.queue("viewer")
        assert viewer.latest_picture("yard") is None

        reader.put_picture("yard", Picture(1.5, b"old"), ttl_s=600)
        reader.put_picture("yard", Picture(2.5, b"\xff\xd8new"), ttl_s=600)

        assert viewer.latest_picture("yard") == Picture(2.5, b"\xff\xd8new")
        assert viewer.latest_picture("gate") is None

    def test_a_picture_that_no_other_one_followed_is_forgotten(self, queue: Queue) -> None:
        queue.put_picture("yard", Picture(1.5, b"old"), ttl_s=0.001)

        assert becomes(lambda: queue.latest_picture("yard") is None)

    def test_nobody_needs_to_look_at_anything(self, queue: Queue) -> None:
        queue.watch_pictures([], ttl_s=600)

        assert not queue.report_source(STATUS).picture


class TestEvidence:
    """What is wanted of the reader of a source, and what has become of it."""

    def test_a_request_comes_with_the_report_until_it_is_settled(self, backend: Backend) -> None:
        alert, reader = backend.queue(), backend.queue("reader")
        commit(alert, alert_token(alert), evidence=[WANTED, replace(WANTED, ends_at=9.0)])

        first, second = reader.report_source(STATUS).requests
        assert (first.request, second.request.ends_at) == (WANTED, 9.0)
        assert reader.report_source(STATUS).requests == ()
        assert reader.evidence_waiting(["yard", "gate"]) == 2

        another = backend.queue("another")
        assert another.report_source(STATUS).requests == (first, second)
        another.record_evidence("yard", "e1", EvidenceRecord(snapshot=True), ttl_s=600, settled=[first.entry_id])
        assert backend.queue("third").report_source(STATUS).requests == (second,)
        assert reader.evidence_waiting(["yard"]) == 1

    def test_a_request_is_for_the_reader_of_its_source_alone(self, queue: Queue) -> None:
        commit(queue, alert_token(queue), evidence=[WANTED])

        assert queue.report_source(replace(STATUS, source_id="gate")).requests == ()
        assert len(queue.report_source(STATUS).requests) == 1

    def test_a_commit_that_is_refused_asks_for_nothing(self, queue: Queue) -> None:
        token = alert_token(queue)
        queue.release_alert(token)

        with pytest.raises(StaleOwner):
            commit(queue, token, evidence=[WANTED])
        assert queue.report_source(STATUS).requests == ()

    def test_a_commit_that_is_repeated_asks_once(self, queue: Queue) -> None:
        token = alert_token(queue)
        commit(queue, token, evidence=[WANTED])
        commit(queue, token, evidence=[replace(WANTED, ends_at=9.0)])

        assert len(queue.report_source(STATUS).requests) == 2

    def test_what_has_become_of_it_is_known_for_a_while(self, queue: Queue) -> None:
        record = EvidenceRecord(snapshot=True, clip=True, is_complete=True)
        queue.record_evidence("yard", "e1", EvidenceRecord(snapshot=True), ttl_s=600)
        queue.record_evidence("yard", "e1", record, ttl_s=600)
        queue.record_evidence("yard", "e2", record, ttl_s=0.001)

        assert queue.evidence_of([]) == {}
        assert queue.evidence_of(["e1", "e3"]) == {"e1": record}
        assert becomes(lambda: queue.evidence_of(["e2"]) == {})

    def test_the_reader_of_a_file_hears_that_the_rules_are_through(self, queue: Queue) -> None:
        assert queue.report_source(STATUS).judged_epoch == ""

        token = alert_token(queue)
        commit(queue, token, judged_epoch="e1")
        commit(queue, token)
        assert queue.report_source(STATUS).judged_epoch == "e1"

    def test_nothing_is_wanted_of_a_source_that_was_forgotten(self, queue: Queue) -> None:
        commit(queue, alert_token(queue), evidence=[WANTED], judged_epoch="e1")
        queue.forget_source("yard")

        wishes = queue.report_source(STATUS)
        assert (wishes.requests, wishes.judged_epoch) == ((), "")


class TestRescoring:
    def test_the_reader_hears_for_a_while_which_window_can_stand_for_no_other(self, queue: Queue) -> None:
        assert queue.report_source(STATUS).rescore is None

        queue.want_rescored(WindowId("yard", "an:epoch", 3), ttl_s=600)
        queue.want_rescored(WindowId("gate", "e1", 4), ttl_s=600)
        assert queue.report_source(STATUS).rescore == WindowId("yard", "an:epoch", 3)

        queue.want_rescored(WindowId("yard", "e1", 5), ttl_s=0.001)
        assert becomes(lambda: queue.report_source(STATUS).rescore is None)

    def test_a_source_that_was_forgotten_hears_nothing(self, queue: Queue) -> None:
        queue.want_rescored(WindowId("yard", "e1", 3), ttl_s=600)
        queue.forget_source("yard")

        assert queue.report_source(STATUS).rescore is None


class TestForgetting:
    def test_a_forgotten_file_is_played_from_the_beginning(self, queue: Queue) -> None:
        publish(queue, 2)
        end(queue, 2)
        token = alert_token(queue)
        commit(queue, token, state=b"s")
        queue.forget_source("yard")

        assert not queue.epoch_ended("yard")
        assert queue.load_states() == {}
        assert queue.add_window(window(2)) == Admitted(Admission.REWIND, 0)
        assert queue.begin_epoch("yard", "e1", live=False) == 0
        assert waiting_scores(queue) == []

    def test_what_was_left_of_a_forgotten_file_does_not_mix_with_what_follows(self, queue: Queue) -> None:
        fill(queue, 3)
        left, buried, _ = take(queue)
        queue.bury_window(buried, reason="broken")
        (letter,) = queue.list_dead(max_count=1)
        queue.forget_source("yard")
        queue.replay_dead(letter.id)
        fill(queue, 1)

        assert queue.publish_scores(left, scores_of(left))
        assert waiting_scores(queue) == []

        for taken in take(queue):
            queue.publish_scores(taken, scores_of(taken))
        assert summary(waiting_scores(queue)) == [(1, "e1", 0, "scored")]

    def test_other_sources_are_not_touched(self, queue: Queue) -> None:
        publish(queue, 1, source="gate")
        publish(queue, 1)
        queue.forget_source("yard")

        assert [found.id.source_id for found in waiting_scores(queue)] == ["gate"]
        assert queue.begin_epoch("gate", "e1", live=False) == 1

    def test_of_a_sink_the_messages_are_dropped_that_wait_for_it_and_no_others(self, queue: Queue) -> None:
        token = alert_token(queue)
        commit(queue, token, events=["m1", "m2"], sinks=["ops", "log"])

        assert queue.forget_sink("ops") == 2
        assert queue.forget_sink("ops") == 0
        assert queue.depths(["ops", "log"]).outbox == {"ops": 0, "log": 2}

        commit(queue, token, events=["m3"], sinks=["ops"])
        queue.acquire_sink("ops", ttl_s=60)
        assert names(queue) == ["m3"]

    def test_who_has_still_a_message_of_a_forgotten_sink_does_not_settle_another_with_it(self, queue: Queue) -> None:
        token = alert_token(queue)
        commit(queue, token, events=["m1"], sinks=["ops"])
        lease = queue.acquire_sink("ops", ttl_s=60)
        assert lease is not None
        (taken,) = queue.take_messages("ops", max_count=9, block_s=0)
        queue.release_sink("ops", lease)
        queue.forget_sink("ops")
        commit(queue, token, events=["m2"], sinks=["ops"])

        queue.settle_message("ops", taken)

        assert queue.waiting_messages("ops", max_count=9) == ["m2"]

    def test_a_sink_that_is_delivered_for_is_not_forgotten(self, backend: Backend) -> None:
        queue, deliver = backend.queue(), backend.queue("deliver")
        post(queue, "m1")
        token = deliver.acquire_sink("ops", ttl_s=60)
        assert token is not None

        with pytest.raises(QueueError, match="sink ops: a worker delivers for it"):
            queue.forget_sink("ops")

        deliver.release_sink("ops", token)
        assert queue.forget_sink("ops") == 1

    def test_an_alert_worker_that_is_alive_has_to_read_the_states_again(self, queue: Queue) -> None:
        token = alert_token(queue)
        queue.forget_source("yard")

        with pytest.raises(StaleOwner):
            commit(queue, token, state=b"old")
        assert queue.load_states() == {}


def end(queue: Queue, seq: int, *, token: int = 0) -> None:
    queue.add_tombstone(
        WindowId("yard", "e1", seq),
        status=ScoreStatus.SOURCE_ENDED,
        live=False,
        pts_s=9.0,
        captured_at=9.0,
        token=token,
    )


def add_unchanged(queue: Queue, seq: int, *, token: int = 0) -> Admitted:
    window_id = WindowId("yard", "e1", seq)
    return queue.add_unchanged(window_id, same_as=0, first_pts_s=1.5, pts_s=5.0, captured_at=1_000_001.75, token=token)


def publish(queue: Queue, count: int, *, source: str = "yard") -> None:
    fill(queue, count, source=source)
    for taken in take(queue):
        queue.publish_scores(taken, scores_of(taken))


def bury(queue: Queue, count: int) -> None:
    fill(queue, count)
    for taken in take(queue):
        queue.bury_window(taken, reason="broken")


def commit(
    queue: Queue,
    token: int,
    *,
    state: bytes = b"state",
    events: list[str] | None = None,
    sinks: list[str] | None = None,
    done: list[str] | None = None,
    evidence: Sequence[EvidenceRequest] = (),
    judged_epoch: str = "",
) -> None:
    messages = [message(name) for name in events or []]
    queue.commit(
        token,
        source_id="yard",
        state=state,
        events=messages,
        outbox=[(sink, each) for each in messages for sink in sinks or []],
        done=done or [],
        evidence=evidence,
        judged_epoch=judged_epoch,
    )


def post(queue: Queue, *message_ids: str) -> None:
    token = alert_token(queue)
    commit(queue, token, events=list(message_ids), sinks=["ops"])
    queue.release_alert(token)


def take_messages(queue: Queue, sink_id: str, *, max_count: int = 100) -> list[TakenMessage]:
    return queue.take_messages(sink_id, max_count=max_count, block_s=0)


def names(queue: Queue, *, max_count: int = 100) -> list[str]:
    return [taken.message.message_id for taken in take_messages(queue, "ops", max_count=max_count)]
