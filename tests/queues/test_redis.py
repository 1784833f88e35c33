"""What only a server can do to the queue: die, forget, fill up, fall silent, and cut a reply."""

import contextlib
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from tests.queues.builders import (
    PIXELS,
    alert_token,
    fill,
    message,
    scores_of,
    take,
    waiting_scores,
    window,
)
from tests.queues.conftest import Backend
from tests.redis_servers import RedisServer
from xclip_stream.errors import ConfigError, QueueError, QueueUnavailable, StaleOwner
from xclip_stream.protocols import Admission, Admitted, RuleStatus, SourceState, SourceStatus
from xclip_stream.queues import redis as redis_queue_module
from xclip_stream.queues import redis_windows
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.queues.redis_connection import RedisConnection, RedisKeys
from xclip_stream.types import ScoreStatus, WindowId

PREFIX = "xclip:{main}:"


@pytest.fixture
def queue(own_server: RedisServer) -> Iterator[RedisQueue]:
    with open_queue(own_server.url, consumer="one") as queue:
        yield queue


class TestEntriesThatCannotBeRead:
    def test_a_window_that_cannot_be_decoded_is_buried_with_a_tombstone_and_the_others_go_on(
        self, redis_backend: Backend
    ) -> None:
        queue = redis_queue(redis_backend)
        fill(queue, 2)
        damage(redis_backend, "windows:file", 0, field=b"window", value=b"garbage")

        assert [taken.window.id.seq for taken in take(queue)] == [1]
        (failed,) = waiting_scores(queue)
        assert (failed.id, failed.generation, failed.status) == (WindowId("yard", "e1", 0), 1, ScoreStatus.FAILED)
        (letter,) = queue.list_dead(max_count=9)
        assert (letter.origin, letter.subject) == ("windows", "yard/e1/0")
        assert queue.depths([]).window_bytes == PIXELS.nbytes

    @pytest.mark.parametrize(
        "fields", [{b"hello": b"world"}, {b"generation": b"x", b"window": b"\xff", b"run": b"\xff"}]
    )
    def test_an_entry_that_somebody_else_wrote_is_buried(
        self, redis_backend: Backend, fields: dict[bytes, bytes]
    ) -> None:
        queue = redis_queue(redis_backend)
        with closing(redis_server(redis_backend).client()) as client:
            client.xadd(redis_backend.key("windows:live"), fields)
            client.xadd(redis_backend.key("outbox:ops"), fields)
            client.xadd(redis_backend.key("scores"), fields)
        fill(queue, 1)

        assert [taken.window.id.seq for taken in take(queue)] == [0]
        assert waiting_scores(queue) == []
        assert queue.take_messages("ops", max_count=9, block_s=0) == []
        assert sorted(letter.origin for letter in queue.list_dead(max_count=9)) == ["outbox:ops", "scores", "windows"]
        assert queue.depths(["ops"]).outbox == {"ops": 0}

    def test_scores_of_another_version_wait_among_the_dead_letters_for_a_worker_that_knows_it(
        self, redis_backend: Backend
    ) -> None:
        queue = redis_queue(redis_backend)
        fill(queue, 1)
        (taken,) = take(queue)
        queue.publish_scores(taken, scores_of(taken))
        original = damage(redis_backend, "scores", 0, field=b"scores", value=b"of version 9")

        assert waiting_scores(queue) == []
        (letter,) = queue.list_dead(max_count=9)
        assert (letter.origin, letter.subject, letter.payload) == ("scores", "yard", b"of version 9")
        assert queue.replay_dead(letter.id)
        damage(redis_backend, "scores", 0, field=b"scores", value=original)
        assert [found.id.seq for found in waiting_scores(queue)] == [0]

    def test_a_pending_entry_that_was_deleted_is_let_go_of(self, redis_backend: Backend) -> None:
        queue = redis_queue(redis_backend)
        fill(queue, 2)
        take(queue)
        with closing(redis_server(redis_backend).client()) as client:
            stream = redis_backend.key("windows:file")
            client.xdel(stream, client.xrange(stream)[0][0])
            (claimed,) = take(redis_queue(redis_backend, "two", claim_idle_s=0))
            pending = client.xpending(stream, "score")

        assert claimed.window.id.seq == 1
        assert pending["pending"] == 1

    def test_what_others_have_left_is_not_looked_for_at_each_batch(self, redis_backend: Backend) -> None:
        queue, takes = redis_queue(redis_backend), 60
        with closing(redis_server(redis_backend).client()) as client:
            client.config_resetstat()
            for _ in range(takes):
                assert queue.take_windows(max_count=1, block_s=0.0) == []
            looked = client.info("commandstats")["cmdstat_xpending"]["calls"]

        assert 2 <= looked < takes  # two streams; each batch would look into both


class TestAServerThatDies:
    def test_what_was_acknowledged_is_there_after_kill_nine(self, own_server: RedisServer, queue: RedisQueue) -> None:
        fill(queue, 3)
        (first, second, _) = take(queue)
        queue.publish_scores(first, scores_of(first))
        restart(own_server, queue)

        assert [found.id.seq for found in waiting_scores(queue)] == [0]
        assert queue.depths([]).window_bytes == 2 * PIXELS.nbytes
        assert queue.publish_scores(second, scores_of(second))
        assert queue.add_window(window(3)) == Admitted(Admission.ADDED, 4)

    def test_a_consumer_goes_on_with_what_it_holds_and_does_not_get_it_twice(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        fill(queue, 3)
        held = take(queue, 2)
        restart(own_server, queue)

        assert [taken.window.id.seq for taken in take(queue)] == [2]
        assert all(queue.publish_scores(taken, scores_of(taken)) for taken in held)

    def test_a_stopped_server_is_unavailable_in_bounded_time(self, own_server: RedisServer, queue: RedisQueue) -> None:
        fill(queue, 1)
        own_server.kill()
        calls: list[Callable[[], object]] = [
            lambda: queue.add_window(window(1)),
            lambda: queue.take_windows(max_count=1, block_s=1),
            lambda: queue.depths([]),
            queue.last_event_id,
        ]

        for call in calls:
            with pytest.raises(QueueUnavailable, match="does not answer"):
                call()

    @pytest.mark.timeout(60)
    def test_a_frozen_server_is_unavailable_in_bounded_time_and_goes_on_when_it_wakes(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        fill(queue, 1)
        own_server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(QueueUnavailable):
                queue.add_window(window(1))
        finally:
            own_server.signal(signal.SIGCONT)

        # The step was done when the server woke up, or it was not: the answer to the repeated one is right.
        assert queue.add_window(window(1)).next_seq == 2
        assert [taken.window.id.seq for taken in take(queue)] == [0, 1]

    def test_a_reader_rewinds_when_the_server_came_back_older(self, own_server: RedisServer, queue: RedisQueue) -> None:
        fill(queue, 2)
        with older(own_server, queue):
            queue.add_window(window(2))
            queue.add_window(window(3))

        assert queue.add_window(window(4)) == Admitted(Admission.REWIND, 2)
        assert queue.add_window(window(2)) == Admitted(Admission.ADDED, 3)

    def test_a_reader_goes_on_where_the_server_has_forgotten_that_it_took_over(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        queue.begin_epoch("yard", "e1", live=False, token=7)
        queue.add_window(window(0), token=7)
        with older(own_server, queue):
            queue.begin_epoch("yard", "e1", live=False, token=8)
            queue.add_window(window(1), token=8)

        assert queue.add_window(window(2), token=8) == Admitted(Admission.REWIND, 0)
        assert queue.begin_epoch("yard", "e1", live=False, token=8) == 1
        assert queue.add_window(window(1), token=8) == Admitted(Admission.ADDED, 2)
        assert queue.add_window(window(2), token=7).answer is Admission.STALE

    def test_an_alert_worker_reads_the_state_again_when_the_server_has_lost_a_commit(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        publish(queue, 2)
        token = alert_token(queue)
        first, second = queue.take_scores(token, max_count=9, block_s=0)
        commit(queue, token, b"after 0", done=[first.entry_id])
        with older(own_server, queue):
            commit(queue, token, b"after 1", events=["m1"], done=[second.entry_id])

        with pytest.raises(StaleOwner):
            queue.renew_alert(token, ttl_s=60)
        with pytest.raises(StaleOwner):
            commit(queue, token, b"after 2", events=["m2"])
        token = alert_token(queue)
        assert queue.load_states() == {"yard": b"after 0"}
        assert [taken.scores.id.seq for taken in queue.take_scores(token, max_count=9, block_s=0)] == [1]

    def test_what_the_server_has_forgotten_was_settled_comes_again(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        commit(queue, alert_token(queue), b"state", events=["m1", "m2"])
        assert queue.acquire_sink("ops", ttl_s=600) is not None
        first, second = queue.take_messages("ops", max_count=9, block_s=0)
        queue.settle_message("ops", first)
        with older(own_server, queue):
            queue.settle_message("ops", second)

        assert [taken.message for taken in queue.take_messages("ops", max_count=9, block_s=0)] == [message("m2")]

    def test_windows_that_the_server_has_forgotten_were_published_are_scored_again(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        fill(queue, 1)
        (taken,) = take(queue)
        with older(own_server, queue):
            queue.publish_scores(taken, scores_of(taken))

        (again,) = take(queue)
        assert again.deliveries == 2
        assert queue.publish_scores(again, scores_of(again))
        assert len(waiting_scores(queue)) == 1


class TestAServerThatCameBackEmpty:
    def test_a_reader_begins_again(self, own_server: RedisServer, queue: RedisQueue) -> None:
        fill(queue, 3)
        flush(own_server)

        assert queue.add_window(window(3)) == Admitted(Admission.REWIND, 0)
        assert queue.begin_epoch("yard", "e1", live=False) == 0
        assert queue.add_window(window(0)) == Admitted(Admission.ADDED, 1)

    def test_a_reader_goes_on_with_its_token_and_fences_those_before_it(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        old, new = queue.acquire_source("yard", ttl_s=60) or 0, queue.acquire_source("yard", ttl_s=60) or 0
        queue.begin_epoch("yard", "e1", live=False, token=new)
        flush(own_server)

        with pytest.raises(StaleOwner):
            queue.renew_source("yard", new, ttl_s=60)
        assert queue.add_window(window(0), token=new) == Admitted(Admission.REWIND, 0)
        assert queue.begin_epoch("yard", "e1", live=False, token=new) == 0
        assert queue.add_window(window(0), token=old).answer is Admission.STALE
        assert queue.add_window(window(0), token=new) == Admitted(Admission.ADDED, 1)
        assert (queue.acquire_source("yard", ttl_s=60) or 0) > new

    def test_a_scorer_publishes_nothing_that_it_held_and_finds_what_is_new(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        fill(queue, 1)
        (held,) = take(queue)
        flush(own_server)

        assert not queue.publish_scores(held, scores_of(held))
        assert take(queue) == []
        fill(queue, 2)
        assert [taken.window.id.seq for taken in take(queue)] == [0, 1]

    def test_an_alert_worker_has_to_become_it_again_and_old_tokens_stay_stale(
        self, own_server: RedisServer, queue: RedisQueue
    ) -> None:
        old = alert_token(queue)
        commit(queue, old, b"state")
        flush(own_server)

        with pytest.raises(StaleOwner):
            queue.renew_alert(old, ttl_s=60)
        assert alert_token(queue) > old
        with pytest.raises(StaleOwner):
            commit(queue, old, b"state")
        assert queue.load_states() == {}


class TestWaiting:
    def test_a_window_of_a_camera_tells_how_long_it_has_waited_by_the_clock_of_the_server(
        self, queue: RedisQueue, own_server: RedisServer
    ) -> None:
        fill(queue, 1, live=True)
        with closing(own_server.client()) as client:
            ((entry_id, fields),) = client.xrange(PREFIX + "windows:live")
            client.delete(PREFIX + "windows:live")
            added_ms = int(entry_id.split(b"-")[0]) - 3_600_000
            client.xadd(PREFIX + "windows:live", fields, id=f"{added_ms}-0")

        (taken,) = take(queue)

        assert 3600.0 <= taken.waited_s < 3660.0

    def test_a_server_whose_clock_was_set_back_makes_no_wait_negative(
        self, queue: RedisQueue, own_server: RedisServer
    ) -> None:
        with closing(own_server.client()) as client:
            seconds, _ = client.time()
            client.xadd(PREFIX + "windows:live", {"x": "y"}, id=f"{1000 * (seconds + 3600)}-0")
            client.xdel(PREFIX + "windows:live", f"{1000 * (seconds + 3600)}-0")
        fill(queue, 1, live=True)

        (taken,) = take(queue)

        assert taken.waited_s == 0.0


class TestLooking:
    def test_windows_that_come_one_by_one_are_waited_for_at_once(
        self, queue: RedisQueue, own_server: RedisServer
    ) -> None:
        fill(queue, 1)
        queue.take_windows(max_count=4, block_s=1)
        assert queue.take_windows(max_count=4, block_s=0.001) == []
        with closing(own_server.client()) as client:
            client.config_resetstat()
            for count in (2, 3, 4):
                fill(queue, count)
                assert [taken.window.id.seq for taken in queue.take_windows(max_count=4, block_s=1)] == [count - 1]
            looks = client.info("commandstats")["cmdstat_xreadgroup"]["calls"]

        assert looks == 3

    def test_a_backlog_after_a_wait_is_taken_in_whole_batches_the_cameras_first(self, queue: RedisQueue) -> None:
        assert queue.take_windows(max_count=4, block_s=0.001) == []
        fill(queue, 6, source="film")
        for camera in ("yard", "gate", "door"):
            fill(queue, 2, source=camera, live=True)

        batches = [
            [taken.window.id.source_id for taken in queue.take_windows(max_count=4, block_s=1)] for _ in range(2)
        ]

        assert batches == [["yard", "yard", "film", "film"], ["gate", "gate", "door", "door"]]


class TestAFullServer:
    def test_a_source_is_told_to_wait_and_what_is_there_can_still_be_finished(self, own_server: RedisServer) -> None:
        with open_queue(own_server.url, consumer="one") as queue:
            fill(queue, 2, live=True)
            first, second = take(queue)
            token = alert_token(queue)
            make_full(own_server)

            assert queue.add_window(window(2, live=True)) == Admitted(Admission.FULL, 2)
            assert queue.publish_scores(first, scores_of(first))
            assert queue.bury_window(second, reason="broken")
            dropped = queue.add_tombstone(
                WindowId("yard", "e1", 2), status=ScoreStatus.DROPPED, live=True, pts_s=1.0, captured_at=1.0
            )
            assert dropped == Admitted(Admission.ADDED, 3)
            done = queue.take_scores(token, max_count=9, block_s=0)
            commit(queue, token, b"state", events=["m1"], done=[taken.entry_id for taken in done])
            queue.renew_alert(token, ttl_s=60)
            assert queue.load_states() == {"yard": b"state"}
            assert queue.acquire_sink("ops", ttl_s=60) is not None
            (taken,) = queue.take_messages("ops", max_count=9, block_s=0)
            queue.settle_message("ops", taken)
            queue.release_alert(token)
            assert queue.begin_epoch("gate", "e1", live=True) == 0
            assert queue.begin_epoch("yard", "e2", live=True) == 0
            reader = queue.acquire_source("yard", ttl_s=60)
            assert reader is not None
            assert queue.join_ingest(["yard"], ttl_s=60).free == frozenset()
            queue.renew_source("yard", reader, ttl_s=60)
            assert queue.begin_epoch("yard", "e2", live=True, token=reader) == 0
            queue.release_source("yard", reader)
            queue.leave_ingest(["yard"])

    def test_tombstones_that_nobody_takes_do_not_fill_it_further(self, own_server: RedisServer) -> None:
        with limited_queue(own_server, max_scores=5) as queue:
            publish_by_turns(queue, "yard", count=4)
            make_full(own_server)

            assert tombstone(queue, 4) == Admitted(Admission.ADDED, 5)
            assert tombstone(queue, 5) == Admitted(Admission.FULL, 5)
            assert unchanged(queue, 5, same_as=0) == Admitted(Admission.FULL, 5)
            assert tombstone(queue, 5, status=ScoreStatus.SOURCE_STOPPED) == Admitted(Admission.ADDED, 6)
            assert [found.id.seq for found in waiting_scores(queue)] == list(range(6))

    def test_where_there_is_memory_tombstones_that_nobody_takes_wait(self, own_server: RedisServer) -> None:
        with limited_queue(own_server, max_scores=5) as queue:
            publish_by_turns(queue, "yard", count=10)

            assert len(waiting_scores(queue)) == 10

    def test_it_lets_its_first_consumer_in(self, own_server: RedisServer) -> None:
        with open_queue(own_server.url) as queue:
            fill(queue, 2)
            make_full(own_server)

            assert [taken.window.id.seq for taken in take(queue)] == [0, 1]

    def test_an_alert_worker_can_begin_there_with_rules_that_are_not_kept_yet(self, own_server: RedisServer) -> None:
        with open_queue(own_server.url) as queue:
            queue.keep_rulebook("c0", b"rules")
            make_full(own_server)

            queue.keep_rulebook("c1", b"other rules")
            queue.want_rescored(WindowId("yard", "e1", 0), ttl_s=60)

            assert queue.read_rulebook("c1") == b"other rules"

    def test_it_still_hears_what_workers_report(self, own_server: RedisServer) -> None:
        with open_queue(own_server.url) as queue:
            make_full(own_server)

            queue.report_source(SourceStatus("yard", SourceState.RUNNING, True, 5.0, 1.0, None, 1, 0, 0.5, "", 7.0))
            queue.report_rules(RuleStatus("yard", 1, 0, 0, 0, 1.0, "", 0.0, open_events=0, events=0, updated_at=7.0))

            assert queue.source_statuses().keys() == queue.rule_statuses().keys() == {"yard"}

    def test_windows_fill_a_third_of_the_memory_at_most_and_never_more_than_half(self, own_server: RedisServer) -> None:
        configure(own_server, "maxmemory", "48mb")
        big = np.zeros((1, 1, 1024, 1024, 3), np.uint8)
        caps = {}
        for wanted in (None, 1 << 40):
            with open_queue(own_server.url, namespace=str(wanted), live_windows=100, max_bytes=wanted) as queue:
                queue.begin_epoch("yard", "e1", live=True)
                seq = 0
                while queue.add_window(pictured(seq, big)).answer is Admission.ADDED:
                    seq += 1
                caps[wanted] = queue.depths([]).window_bytes / (48 << 20)
            flush(own_server)

        assert caps[None] <= 1 / 3
        assert 1 / 3 < caps[1 << 40] <= 1 / 2


class TestALostReply:
    def test_every_step_that_is_repeated_after_a_lost_reply_was_done_once(self, own_server: RedisServer) -> None:
        with LossyLink(own_server.socket) as link, open_queue(link.url, consumer="one") as queue:
            for name in ("warm", "up"):
                publish(queue, 1, source=name)
            assert link.twice(lambda: queue.begin_epoch("yard", "e1", live=False)) == 0
            answers = [link.twice(lambda seq=seq: queue.add_window(window(seq))).next_seq for seq in range(2)]
            first, second = link.lost(lambda: take(queue)) or take_all(queue, 2)
            assert link.twice(lambda: queue.publish_scores(first, scores_of(first)))
            assert link.twice(lambda: queue.bury_window(second, reason="broken"))
            ended = WindowId("yard", "e1", 2)
            link.twice(
                lambda: queue.add_tombstone(
                    ended, status=ScoreStatus.SOURCE_ENDED, live=False, pts_s=1.0, captured_at=1.0
                )
            )
            token = link.twice(lambda: queue.acquire_alert(ttl_s=60))
            taken = link.twice(lambda: queue.take_scores(token, max_count=99, block_s=0))
            done = [each.entry_id for each in taken]
            link.twice(lambda: commit(queue, token, b"state", events=["m1"], done=done))
            commit(queue, token, b"more", events=["m2"])
            link.twice(lambda: queue.acquire_sink("ops", ttl_s=60))
            messages = link.twice(lambda: queue.take_messages("ops", max_count=9, block_s=0))
            link.twice(lambda: queue.settle_message("ops", messages[0]))
            link.twice(lambda: queue.bury_message("ops", messages[1], reason="410"))
            depths = queue.depths(["ops"])

            assert answers == [1, 2]
            assert len(done) == 5
            assert [each.message.message_id for each in messages] == ["m1", "m2"]
            assert (depths.windows, depths.window_bytes, depths.scores, depths.dead) == (0, 0, 0, 2)
            assert depths.outbox == {"ops": 0}
            assert len(queue.read_events(after_id="0", max_count=9, block_s=0)) == 2
            assert queue.epoch_ended("yard")


class TestErrors:
    def test_a_refused_address_is_unavailable_without_the_password(self) -> None:
        with (
            open_queue("redis://user:s3cret@127.0.0.1:1/0") as queue,
            pytest.raises(QueueUnavailable) as refused,
        ):
            queue.ping()

        assert "127.0.0.1:1" in str(refused.value)
        assert "s3cret" not in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_scripts_that_are_forgotten_again_and_again_are_an_outage_and_not_an_error(
        self, queue: RedisQueue, own_server: RedisServer
    ) -> None:
        is_over = threading.Event()

        def forget_scripts() -> None:
            with closing(own_server.client()) as client:
                while not is_over.is_set():
                    client.script_flush()

        def run_scripts() -> None:
            while True:
                queue.watch_pictures(["yard"], ttl_s=1)

        flushing = threading.Thread(target=forget_scripts)
        flushing.start()
        try:
            with pytest.raises(QueueUnavailable, match="has forgotten a script"):
                run_scripts()
        finally:
            is_over.set()
            flushing.join()

    def test_a_url_of_something_else_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="is not a Redis URL") as refused:
            open_queue("http://user:s3cret@example.org")

        assert "s3cret" not in str(refused.value)

    def test_a_wrong_password_is_an_error_and_not_an_outage(self, own_server: RedisServer) -> None:
        configure(own_server, "requirepass", "right")
        with open_queue(f"unix://:wrong-s3cret@{own_server.socket}") as queue, pytest.raises(QueueError) as refused:
            queue.ping()

        assert not isinstance(refused.value, QueueUnavailable)
        assert "s3cret" not in str(refused.value)

    def test_a_key_of_another_kind_is_an_error_that_names_the_trouble(
        self, queue: RedisQueue, own_server: RedisServer
    ) -> None:
        with closing(own_server.client()) as client:
            client.set(PREFIX + "scores", "mine")

        with pytest.raises(QueueError, match="WRONGTYPE"):
            queue.depths([])

    def test_namespaces_do_not_see_each_other(self, own_server: RedisServer) -> None:
        with open_queue(own_server.url, namespace="a") as one, open_queue(own_server.url, namespace="b") as other:
            fill(one, 1)

            assert other.depths([]).windows == 0

    def test_all_keys_have_the_one_hash_tag(self, own_server: RedisServer, queue: RedisQueue) -> None:
        publish(queue, 1)
        commit(queue, alert_token(queue), b"state", events=["m1"])
        with closing(own_server.client()) as client:
            keys = [key.decode() for key in client.scan_iter()]

        assert len(keys) > 5
        assert all(key.startswith("xclip:{main}:") for key in keys)


def test_a_reply_that_an_interrupt_has_left_is_not_given_to_the_next_step(queue: RedisQueue) -> None:
    commit(queue, alert_token(queue), b"state")
    (connection,) = queue._connection._client.connection_pool._available_connections
    send = connection.send_command

    def interrupted(*words: Any, **options: Any) -> None:
        send(*words, **options)
        connection.send_command = send
        raise KeyboardInterrupt

    connection.send_command = interrupted
    with pytest.raises(KeyboardInterrupt):
        queue.read_events(after_id="0", max_count=1, block_s=0.5)

    assert queue.load_states() == {"yard": b"state"}


def test_any_number_of_threads_may_wait_at_once(queue: RedisQueue) -> None:
    pool = queue._connection._client.connection_pool
    connections = [pool.get_connection() for _ in range(150)]
    try:
        queue.ping()
    finally:
        for connection in connections:
            pool.release(connection)


def test_any_consumer_group_can_read_the_event_stream(own_server: RedisServer, queue: RedisQueue) -> None:
    commit(queue, alert_token(queue), b"state", events=["m1"])
    with closing(own_server.client()) as client:
        client.xgroup_create(PREFIX + "events", "mine", id="0")
        ((_, entries),) = client.xreadgroup("mine", "me", {PREFIX + "events": ">"})

    assert [fields for _, fields in entries] == [{b"id": b"m1", b"event": b'{"id":"m1"}'}]


def test_a_window_costs_the_server_little_more_than_its_pixels(own_server: RedisServer) -> None:
    frames = np.zeros((1, 8, 224, 224, 3), np.uint8)
    with open_queue(own_server.url, live_windows=100) as queue, closing(own_server.client()) as client:
        queue.begin_epoch("yard", "e1", live=True)
        queue.add_window(pictured(0, frames))
        before = client.info("memory")["used_memory"]
        for seq in range(1, 21):
            queue.add_window(pictured(seq, frames))
        grown = client.info("memory")["used_memory"] - before

    assert grown < 20 * 1.15 * frames.nbytes


def test_consumers_that_are_gone_for_long_are_forgotten_but_not_what_they_hold(redis_backend: Backend) -> None:
    fill(redis_queue(redis_backend), 1)
    take(redis_queue(redis_backend, "holder"))
    for number in range(3):
        take(redis_queue(redis_backend, f"gone {number}"))
    forgetful = redis_queue(redis_backend, "new")
    forgetful.forget_consumers(idle_s=0)
    with closing(redis_server(redis_backend).client()) as client:
        names = [found["name"] for found in client.xinfo_consumers(redis_backend.key("windows:file"), "score")]

    assert names == [b"holder"]


class TestForgettingASourceWithManyScores:
    def test_they_are_looked_for_in_short_steps_among_those_of_others(
        self, own_server: RedisServer, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_queue_module, "_LOOKED_AT_ONCE", 3)
        publish_by_turns(queue, "yard", "gate", count=10)
        with closing(own_server.client()) as client:
            client.config_resetstat()
            queue.forget_source("yard")
            looks = client.info("commandstats")["cmdstat_xrange"]["calls"]

        assert looks >= 20 // 3
        assert [found.id.source_id for found in waiting_scores(queue)] == ["gate"] * 10

    def test_those_that_come_meanwhile_are_forgotten_too(
        self, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish_by_turns(queue, "yard", "gate", count=3)
        before_all = [b"0-0"]
        monkeypatch.setattr(queue, "_scores_of", lambda _source_id: before_all)
        queue.forget_source("yard")

        assert [found.id.source_id for found in waiting_scores(queue)] == ["gate"] * 3


def test_windows_that_failed_here_and_went_to_others_are_forgotten_one_day(
    redis_backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_windows, "_MAX_HELD", 4)
    fails, scores = redis_queue(redis_backend), redis_queue(redis_backend, "two", claim_idle_s=0)
    fails.begin_epoch("yard", "e1", live=True)
    for seq in range(20):
        fails.add_window(window(seq, live=True))
        (failed,) = take(fails)
        (claimed,) = take(scores)
        assert scores.publish_scores(claimed, scores_of(claimed))

    assert len(fails._held) == 4
    assert not fails.publish_scores(failed, scores_of(failed))
    fails.add_window(window(20, live=True))
    (taken,) = take(fails)
    assert fails.publish_scores(taken, scores_of(taken))


class LossyLink:
    """A unix socket in front of a server's. It can lose a reply: the step is done, and the client does not know."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name("link.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        self._lose = threading.Event()
        self.url = f"unix://{self._path}"

    def __enter__(self) -> "LossyLink":
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake a thread that is accepting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink()

    def lost(self, step: Any) -> Any:
        """Run a step whose reply is lost."""
        self._lose.set()
        with pytest.raises(QueueUnavailable):
            step()
        assert not self._lose.is_set()

    def twice(self, step: Any) -> Any:
        """Run a step whose reply is lost, and again."""
        self.lost(step)
        return step()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._target))
            while True:
                for source in select.select([client, server], [], [])[0]:
                    chunk = source.recv(1 << 20)
                    # The reply to the greeting of a new connection is not the one that is to be lost.
                    is_lost = source is server and self._lose.is_set() and not chunk.startswith(b"+OK")
                    if is_lost or not chunk:
                        self._lose.clear()
                        return
                    (server if source is client else client).sendall(chunk)


class older:  # noqa: N801 - reads as what it does
    """What is done inside is lost: the server comes back as it was before, as after a power cut."""

    def __init__(self, server: RedisServer, queue: RedisQueue) -> None:
        self._server = server
        self._queue = queue

    def __enter__(self) -> None:
        self._kept = self._server.copy()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._server.kill()
            self._server.put_back(self._kept)
            self._server.start()
            notice_outage(self._queue)


def restart(server: RedisServer, queue: RedisQueue) -> None:
    server.kill()
    server.start()
    notice_outage(queue)


def notice_outage(queue: RedisQueue) -> None:
    """Let the client find out that its connection is gone."""
    with contextlib.suppress(QueueUnavailable):
        queue.ping()


def redis_queue(backend: Backend, consumer: str = "one", *, claim_idle_s: float | None = None) -> RedisQueue:
    queue = backend.queue(consumer, claim_idle_s=claim_idle_s)
    assert isinstance(queue, RedisQueue)
    return queue


@contextlib.contextmanager
def limited_queue(server: RedisServer, **limits: Any) -> Iterator[RedisQueue]:
    keys = RedisKeys("main")
    connection = RedisConnection(server.url, key=keys.counters)
    with RedisQueue(connection, keys, consumer="one", limits=QueueLimits(**limits), claim_idle_s=30.0) as queue:
        yield queue


def tombstone(queue: RedisQueue, seq: int, *, status: ScoreStatus = ScoreStatus.DROPPED) -> Admitted:
    return queue.add_tombstone(WindowId("yard", "e1", seq), status=status, live=True, pts_s=seq, captured_at=seq)


def unchanged(queue: RedisQueue, seq: int, *, same_as: int) -> Admitted:
    window_id = WindowId("yard", "e1", seq)
    return queue.add_unchanged(window_id, same_as=same_as, first_pts_s=seq, pts_s=seq, captured_at=seq)


def publish_by_turns(queue: RedisQueue, *sources: str, count: int) -> None:
    for source in sources:
        queue.begin_epoch(source, "e1", live=True)
    for seq in range(count):
        for source in sources:
            window_id = WindowId(source, "e1", seq)
            queue.add_tombstone(window_id, status=ScoreStatus.DROPPED, live=True, pts_s=seq, captured_at=seq)


def redis_server(backend: Backend) -> RedisServer:
    assert backend.server is not None
    return backend.server


def damage(backend: Backend, stream: str, number: int, *, field: bytes, value: bytes) -> bytes:
    """Replace one field of an entry, keeping the others and their order; return what it was."""
    key = backend.key(stream)
    with closing(redis_server(backend).client()) as client:
        entries: Any = client.xrange(key)
        group = stream.startswith("windows")
        client.delete(key)
        for position, (entry_id, fields) in enumerate(entries):
            client.xadd(key, {**fields, field: value} if position == number else fields, id=entry_id)
        if group:
            client.xgroup_create(key, "score", id="0")
    original: bytes = entries[number][1][field]
    return original


def flush(server: RedisServer) -> None:
    with closing(server.client()) as client:
        client.flushall()
        client.script_flush()


def configure(server: RedisServer, option: str, value: str) -> None:
    with closing(server.client()) as client:
        client.config_set(option, value)


def make_full(server: RedisServer) -> None:
    with closing(server.client()) as client:
        client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("more", "of it")


def pictured(seq: int, frames: Any) -> Any:
    regions, count = frames.shape[:2]
    return replace(window(seq, live=True), frames=frames, frame_ids=tuple(range(count)), regions=tuple("abc"[:regions]))


def publish(queue: RedisQueue, count: int, *, source: str = "yard") -> None:
    fill(queue, count, source=source)
    for taken in take(queue):
        queue.publish_scores(taken, scores_of(taken))


def take_all(queue: RedisQueue, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += take(queue)
    return found


def commit(
    queue: RedisQueue, token: int, state: bytes, *, events: list[str] | None = None, done: list[str] | None = None
) -> None:
    messages = [message(name) for name in events or []]
    queue.commit(
        token,
        source_id="yard",
        state=state,
        events=messages,
        outbox=[("ops", each) for each in messages],
        done=done or [],
    )
