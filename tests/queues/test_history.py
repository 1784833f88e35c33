"""The history of scores, and the rules of configurations, over the queue in memory and over Redis 6.2 and 7."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from tests import score_builders
from tests.queues.builders import Queue, alert_token
from tests.queues.conftest import Backend
from tests.redis_servers import RedisServer
from xclip_stream.errors import DecodeError, StaleOwner
from xclip_stream.history_codec import decode_judged, decode_layout, encode_judged, encode_layout, layout_digest
from xclip_stream.queues.limits import RULEBOOKS_KEPT
from xclip_stream.queues.redis import open_queue
from xclip_stream.types import Scores, ScoreStatus


def judged(seq: int, *, status: ScoreStatus = ScoreStatus.SCORED) -> Scores:
    """Scores as the history gives them back: of the clocks of a window it keeps the event time."""
    scores = score_builders.window(seq, 0.7, status=status)
    return replace(scores, produced_at=scores.captured_at, scored_at=scores.captured_at)


def commit(queue: Queue, token: int, *, judged: Sequence[Scores]) -> None:
    queue.commit(token, source_id="yard", state=b"state", events=[], outbox=[], done=[], judged=judged)


def test_what_was_judged_comes_back_with_its_logits_in_order(queue: Queue) -> None:
    first, second = judged(0), judged(1)
    commit(queue, alert_token(queue), judged=[first, second])

    found = [scores for _, scores in queue.read_history("yard", since=0, max_count=9)]

    assert found == [first, second]
    assert [scores.logits.tolist() for scores in found] == [first.logits.tolist()] * 2


def test_a_tombstone_is_kept_too(queue: Queue) -> None:
    lost = judged(3, status=ScoreStatus.SOURCE_LOST)
    commit(queue, alert_token(queue), judged=[lost])

    assert [scores for _, scores in queue.read_history("yard", since=0, max_count=9)] == [lost]


def test_it_is_read_on_from_an_id_and_source_by_source(queue: Queue) -> None:
    commit(queue, alert_token(queue), judged=[judged(seq) for seq in range(5)])

    page = queue.read_history("yard", since=0, max_count=3)
    rest = queue.read_history("yard", since=0, after_id=page[-1][0], max_count=9)

    assert [scores.id.seq for _, scores in page + rest] == [0, 1, 2, 3, 4]
    assert queue.read_history("gate", since=0, max_count=9) == []


def test_what_is_older_than_asked_for_is_not_read(queue: Queue) -> None:
    commit(queue, alert_token(queue), judged=[judged(0)])

    assert queue.read_history("yard", since=time.time() - 3600, max_count=9)
    assert queue.read_history("yard", since=time.time() + 3600, max_count=9) == []


def test_it_has_a_length(backend: Backend) -> None:
    backend.limit(history_entries=10)
    queue = backend.queue()
    token = alert_token(queue)
    for seq in range(0, 500, 100):
        commit(queue, token, judged=[judged(seq + n) for n in range(100)])

    kept = [scores.id.seq for _, scores in queue.read_history("yard", since=0, max_count=999)]

    assert 10 <= len(kept) <= 210  # a server cuts by whole nodes
    assert kept[-1] == 499


def test_it_has_an_age(backend: Backend) -> None:
    backend.limit(history_s=0.05)
    queue = backend.queue()
    token = alert_token(queue)
    commit(queue, token, judged=[judged(seq) for seq in range(250)])
    time.sleep(0.2)
    commit(queue, token, judged=[judged(250)])
    kept = [scores.id.seq for _, scores in queue.read_history("yard", since=0, max_count=999)]

    assert len(kept) <= 100  # a server cuts by whole nodes
    assert kept[-1] == 250


def test_a_server_whose_clock_is_younger_than_the_history_commits_all_of_a_step(own_server: RedisServer) -> None:
    with open_queue(own_server.url, history_s=2 * time.time()) as queue:
        commit(queue, alert_token(queue), judged=[judged(0)])

        assert queue.load_states() == {"yard": b"state"}
        assert [scores for _, scores in queue.read_history("yard", since=0, max_count=9)] == [judged(0)]


def test_it_makes_room_where_memory_is_short(own_server: RedisServer) -> None:
    with closing(open_queue(own_server.url)) as queue, closing(own_server.client()) as client:
        token = alert_token(queue)
        commit(queue, token, judged=[judged(seq) for seq in range(100)])
        client.config_set("maxmemory", client.info("memory")["used_memory"])
        commit(queue, token, judged=[judged(100)])
        short = [scores.id.seq for _, scores in queue.read_history("yard", since=0, max_count=999)]
        client.config_set("maxmemory", 0)
        commit(queue, token, judged=[judged(101)])
        after = [scores.id.seq for _, scores in queue.read_history("yard", since=0, max_count=999)]

    assert short == list(range(10, 100))
    assert after == [*short, 101]


def test_none_is_kept_where_none_is_wanted(backend: Backend) -> None:
    backend.limit(history_s=0)
    queue = backend.queue()
    commit(queue, alert_token(queue), judged=[judged(0)])

    assert queue.read_history("yard", since=0, max_count=9) == []


def test_a_source_that_is_forgotten_has_none(queue: Queue) -> None:
    commit(queue, alert_token(queue), judged=[judged(0)])
    queue.forget_source("yard")

    assert queue.read_history("yard", since=0, max_count=9) == []


def test_a_stale_worker_adds_nothing(backend: Backend) -> None:
    queue = backend.queue()
    with pytest.raises(StaleOwner):
        commit(queue, 1, judged=[judged(0)])

    assert queue.read_history("yard", since=0, max_count=9) == []


def test_the_rules_of_a_configuration_are_kept(queue: Queue) -> None:
    queue.keep_rulebook("one", b"[1]")
    queue.keep_rulebook("two", b"[2]")
    queue.keep_rulebook("two", b"[2]")

    assert (queue.read_rulebook("one"), queue.read_rulebook("two")) == (b"[1]", b"[2]")
    assert queue.read_rulebook("three") is None


def test_the_rules_of_many_configurations_make_room_for_the_newest(queue: Queue) -> None:
    for number in range(RULEBOOKS_KEPT + 1):
        queue.keep_rulebook(str(number), b"[]")

    assert queue.read_rulebook("0") is None
    assert queue.read_rulebook("1") == b"[]"


def test_a_damaged_entry_is_refused() -> None:
    scores = judged(0)
    layout = encode_layout(scores)
    entry = encode_judged(scores, layout_digest(layout))

    for broken in (b"", entry[:20], entry[:-1], b"\xff" + entry[1:]):
        with pytest.raises(DecodeError):
            decode_judged(broken, source_id="yard", layout=decode_layout(layout))
    with pytest.raises(DecodeError):
        decode_judged(entry, source_id="yard", layout=None)
    with pytest.raises(DecodeError):
        decode_layout(b"[1, 2]")
    with pytest.raises(DecodeError):
        decode_layout(b"[" * 100_000)


def test_what_cannot_be_read_is_passed_over(redis_backend: Backend) -> None:
    queue = redis_backend.queue()
    other = replace(judged(1), prompts=("a", "other"))
    commit(queue, alert_token(queue), judged=[judged(0), other])
    assert redis_backend.server is not None
    with closing(redis_backend.server.client()) as client:
        client.set(redis_backend.key(f"layout:{layout_digest(encode_layout(other))}"), b"nonsense")
        client.xadd(redis_backend.key("history:yard"), {"s": b"nonsense"})

    assert [scores.id.seq for _, scores in queue.read_history("yard", since=0, max_count=9)] == [0]
