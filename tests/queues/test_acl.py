"""The users of deploy/redis/users.acl on real servers: each can do what its role needs, and nothing of another's."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.guarded_redis import USERS, GuardedServer
from tests.queues.builders import alert_token, message, scores_of, take, window
from tests.queues.pipeline import Pipeline, event
from tests.redis_servers import VERSIONS, binary
from tests.statuses import rule_status, source_status
from xclip_stream.errors import QueueError, QueueUnavailable
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.queues.redis import RedisQueue, open_queue
from xclip_stream.types import Picture, ScoreStatus, WindowId

STATUS = source_status(live=False)
RULES = rule_status(windows=1)
WANTED = EvidenceRequest(
    event_id="e1",
    source_id="yard",
    rule_id="climbing",
    prompt="a person climbing",
    peak_score=0.75,
    begins_at=1.0,
    peak_at=2.0,
    ends_at=None,
    name="yard/1970-01-01/e1",
)
PICTURE = Picture(captured_at=1_000_000.5, jpeg=b"a picture")


@pytest.fixture(scope="module", params=VERSIONS)
def server(request: pytest.FixtureRequest) -> Iterator[GuardedServer]:
    with GuardedServer(request.param) as server:
        yield server


@pytest.fixture
def as_user(server: GuardedServer) -> Iterator[Callable[[str], RedisQueue]]:
    """What gives a queue of this user; the queue is empty at first."""
    with closing(server.client()) as client:
        client.flushall()
        client.acl_log_reset()
    queues: dict[str, RedisQueue] = {}

    def queue_of(user: str) -> RedisQueue:
        if user not in queues:
            queues[user] = open_queue(server.url_of(user), consumer=user)
        return queues[user]

    yield queue_of
    for queue in queues.values():
        queue.close()


AsUser = Callable[[str], RedisQueue]


def test_windows_go_all_the_way_with_a_user_for_each_role(server: GuardedServer, as_user: AsUser) -> None:
    roles = ("ingest", "score", "alert", "deliver")
    pipeline = Pipeline(server.url, length=10, urls={role: server.url_of(role) for role in roles})
    with pipeline.running():
        pipeline.wait_until(lambda: len(pipeline.delivered) == pipeline.length)

    status = as_user("status")
    assert pipeline.delivered == [event(seq).message_id for seq in range(10)]
    assert len(status.read_events(after_id="0", max_count=99, block_s=0.01)) == 10
    assert status.depths(["ops"]).outbox == {"ops": 0}
    assert server.refusals() == []


def test_every_other_step_of_a_role_is_allowed_too(server: GuardedServer, as_user: AsUser) -> None:
    ingest, score, alert = as_user("ingest"), as_user("score"), as_user("alert")
    deliver, status, operator = as_user("deliver"), as_user("status"), as_user("operator")
    web = as_user("web")

    ingest.join_ingest(["yard"], ttl_s=9)
    lease = ingest.acquire_source("yard", ttl_s=9)
    assert lease
    ingest.renew_source("yard", lease, ttl_s=9)
    ingest.begin_epoch("yard", "e0", live=True, token=lease)
    ingest.begin_epoch("yard", "e1", live=False, token=lease)  # closes the other one
    ingest.add_window(window(0), token=lease)
    ingest.add_window(window(1), token=lease)
    ingest.add_tombstone(
        WindowId("yard", "e1", 2), status=ScoreStatus.SOURCE_ENDED, live=False, pts_s=2, captured_at=2, token=lease
    )
    alert.want_rescored(WindowId("yard", "e1", 1), ttl_s=9)
    web.watch_pictures(["yard"], ttl_s=9)
    assert ingest.report_source(STATUS).picture
    ingest.put_picture("yard", PICTURE, ttl_s=9)
    assert web.latest_picture("yard") == PICTURE
    assert ingest.epoch_ended("yard")
    ingest.release_source("yard", lease)
    ingest.leave_ingest(["yard"])

    first, second = take(score)
    score.hold_windows([first, second])
    assert score.bury_window(first, reason="broken")
    assert score.publish_scores(second, scores_of(second))
    assert score.publish_scores(second, scores_of(second))  # asks whether it did
    score.forget_consumers(idle_s=0)

    token = alert_token(alert)
    alert.renew_alert(token, ttl_s=9)
    with closing(server.client()) as client:
        client.xadd("xclip:{main}:scores", {"source": "yard", "scores": "not readable"})
    taken = alert.take_scores(token, max_count=99, block_s=0)
    alert.load_states()
    messages = [message("m1"), message("m2")]
    outbox = [("ops", each) for each in messages]
    done = [each.entry_id for each in taken]
    judged = [each.scores for each in taken]
    alert.commit(
        token,
        source_id="yard",
        state=b"s",
        events=messages,
        outbox=outbox,
        done=done,
        judged=judged,
        evidence=[WANTED],
        judged_epoch="e1",
    )
    (request,) = ingest.report_source(STATUS).requests
    ingest.record_evidence("yard", "e1", EvidenceRecord(clip=True), ttl_s=9, settled=[request.entry_id])
    assert (
        alert.evidence_of(["e1"])
        == web.evidence_of(["e1"])
        == status.evidence_of(["e1"])
        == {"e1": EvidenceRecord(clip=True)}
    )
    assert status.evidence_waiting(["yard"]) == 0
    alert.keep_rulebook("abc", b"[]")
    alert.report_rules(RULES)
    alert.release_alert(token)

    lease = deliver.acquire_sink("ops", ttl_s=9)
    assert lease
    deliver.renew_sink("ops", lease, ttl_s=9)
    one, two = deliver.take_messages("ops", max_count=9, block_s=0.01)
    deliver.settle_message("ops", one)
    deliver.bury_message("ops", two, reason="refused")
    deliver.release_sink("ops", lease)

    assert status.inspect(["ops"]).dead.count == 3
    letters = status.list_dead(max_count=9)
    assert sorted(letter.origin for letter in letters) == ["outbox:ops", "scores", "windows"]
    assert status.last_event_id() != "0"
    assert len(status.read_history("yard", since=0, max_count=9)) == len(judged) > 0
    assert status.read_rulebook("abc") == b"[]"
    assert status.waiting_messages("ops", max_count=9) == []
    assert (list(status.source_statuses()), list(status.rule_statuses())) == (["yard"], ["yard"])
    assert operator.replay_dead(letters[0].id)
    assert operator.drop_dead(letters[1].id)
    assert web.drop_dead(letters[2].id)
    operator.forget_source("yard")
    assert operator.forget_sink("gone") == 0
    assert server.refusals() == []


def commit(queue: RedisQueue) -> None:
    queue.commit(1, source_id="yard", state=b"s", events=[message()], outbox=[], done=[])


STEPS: dict[Callable[[RedisQueue], object], set[str]] = {
    commit: {"alert"},
    take: {"score"},
    alert_token: {"alert"},
    lambda queue: queue.begin_epoch("yard", "e2", live=False): {"ingest"},
    lambda queue: queue.add_window(window(0)): {"ingest"},
    lambda queue: queue.take_messages("ops", max_count=1, block_s=0): {"deliver"},
    lambda queue: queue.acquire_sink("ops", ttl_s=1): {"deliver"},
    lambda queue: queue.acquire_source("yard", ttl_s=1): {"ingest"},
    lambda queue: queue.report_source(STATUS): {"ingest"},
    lambda queue: queue.read_events(after_id="0", max_count=1, block_s=0): {"alert"},
    lambda queue: queue.list_dead(max_count=1): {"score", "alert", "deliver"},
    lambda queue: queue.put_picture("yard", PICTURE, ttl_s=9): {"ingest"},
    lambda queue: queue.forget_source("yard"): set(),
    lambda queue: queue.forget_sink("ops"): {"deliver"},
}
"""Steps, and the roles that may do them."""


def test_no_role_can_do_what_another_one_does(as_user: AsUser) -> None:
    as_user("ingest").begin_epoch("yard", "e1", live=False)

    for step, allowed in STEPS.items():
        for user in {"ingest", "score", "alert", "deliver"} - allowed:
            with pytest.raises(QueueError, match="refuses this user") as refused:
                step(as_user(user))
            assert not isinstance(refused.value, QueueUnavailable)


def test_who_looks_changes_nothing(server: GuardedServer, as_user: AsUser) -> None:
    as_user("ingest").begin_epoch("yard", "e1", live=False)
    before = content_of(server)
    for step in STEPS:
        with suppress(QueueError):
            step(as_user("status"))

    assert content_of(server) == before
    assert {f"status: command {word}" for word in ("del", "xdel", "xadd")} <= set(server.refusals())


def test_the_dashboard_may_look_replay_and_drop_and_nothing_else(server: GuardedServer, as_user: AsUser) -> None:
    ingest, score, web = as_user("ingest"), as_user("score"), as_user("web")
    ingest.begin_epoch("yard", "e1", live=True)
    ingest.add_window(window(0, live=True))
    ingest.add_window(window(1, live=True))
    for taken in take(score):
        score.bury_window(taken, reason="broken")

    first, second = web.list_dead(max_count=9)
    assert web.replay_dead(first.id)
    assert web.drop_dead(second.id)
    assert web.inspect().live.waiting == 1
    assert web.read_events(after_id=web.last_event_id(), max_count=1, block_s=0.01) == []
    assert (web.source_statuses(), web.rule_statuses(), web.depths([]).dead) == ({}, {}, 0)
    assert server.refusals() == []

    for step in (take, alert_token, lambda queue: queue.forget_source("yard")):
        with pytest.raises(QueueError, match="refuses this user"):
            step(web)


def content_of(server: GuardedServer) -> dict[bytes, bytes]:
    with closing(server.client()) as client:
        return {key: client.dump(key) for key in client.scan_iter()}


def test_nobody_but_the_admin_sees_other_keys_or_ends_the_server(server: GuardedServer, as_user: AsUser) -> None:
    for user in ("ingest", "score", "alert", "deliver", "status", "web", "operator"):
        call = as_user(user)._call
        for words in (("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("SHUTDOWN",), ("GET", "other")):
            with pytest.raises(QueueError, match="refuses this user"):
                call(*words)


def test_the_default_user_is_not_let_in(server: GuardedServer) -> None:
    with open_queue(f"unix://{server.socket}") as queue, pytest.raises(QueueError, match="refuses this user"):
        queue.ping()


def test_windows_go_all_the_way_with_the_one_user_of_a_run(server: GuardedServer, as_user: AsUser) -> None:
    pipeline = Pipeline(server.url_of("operator"), length=5)
    with pipeline.running():
        pipeline.wait_until(lambda: len(pipeline.delivered) == pipeline.length)

    assert server.refusals() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_whose_passwords_were_not_set_is_not_loaded(version: str, tmp_path: Path) -> None:
    options = ["--port", "0", "--unixsocket", str(tmp_path / "s"), "--aclfile", str(USERS)]
    ended = subprocess.run([str(binary(version)), *options], capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 1
    assert "ACL" in ended.stdout + ended.stderr
