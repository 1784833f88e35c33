"""A master that dies, and a replica that the Sentinels make the master, over TLS and with passwords."""

import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.certificates import Certificates
from tests.queues.builders import fill, take, window
from tests.queues.pipeline import Pipeline, event
from tests.redis_groups import SentinelGroup
from xclip_stream.errors import QueueError, QueueUnavailable
from xclip_stream.protocols import Admission, Admitted
from xclip_stream.queues.redis import open_queue

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    with SentinelGroup(Certificates.make(tmp_path_factory.mktemp("ca"))) as group:
        yield group


def test_a_master_that_became_a_replica_is_left(group: SentinelGroup) -> None:
    old = group.master
    with open_queue(group.url, consumer="one") as queue:
        fill(queue, 1)
        with closing(old.client()) as client:
            # Without the Sentinels, which would send its clients away.
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(QueueUnavailable, match="is a replica now"):
            queue.add_window(window(1))
        with closing(old.client()) as client:
            client.execute_command("REPLICAOF", "NO", "ONE")

        assert queue.add_window(window(1)) == Admitted(Admission.ADDED, 2)
        assert [taken.window.id.seq for taken in take(queue)] == [0, 1]


def test_a_wrong_password_for_the_sentinels_is_told_without_it(group: SentinelGroup) -> None:
    url = group.url.replace("s%26ntinel", "hunter2")
    with (
        open_queue(url) as queue,
        pytest.raises(QueueError, match=r"nobody names.*invalid username") as refused,
    ):
        queue.ping()

    assert "hunter2" not in str(refused.value)


def test_a_wrong_password_for_the_servers_is_an_error_and_no_outage(group: SentinelGroup) -> None:
    url = group.url.replace("operator-p%40ss", "hunter2")
    with open_queue(url) as queue, pytest.raises(QueueError, match="refuses this user") as refused:
        queue.ping()

    assert not isinstance(refused.value, QueueUnavailable)
    assert "hunter2" not in str(refused.value)


def test_a_service_that_no_sentinel_knows_is_named(group: SentinelGroup) -> None:
    url = group.url.replace("/mymaster/", "/another/")
    with open_queue(url) as queue, pytest.raises(QueueUnavailable, match="knows no service another"):
        queue.ping()


def test_the_work_goes_on_with_the_new_master_and_each_event_is_there_once(group: SentinelGroup) -> None:
    group.wait_until_whole()
    pipeline = Pipeline(group.url, length=150, pause_s=0.005)
    old, replica = group.master, group.replica
    with closing(old.client()) as client:
        client.flushall()
    with pipeline.running():
        pipeline.wait_until(lambda: len(pipeline.delivered) > 20)
        # A replica that is behind: what the master acknowledges from here on is lost with it.
        replica.signal(signal.SIGSTOP)
        with closing(old.client()) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        added = pipeline.added
        pipeline.wait_until(lambda: pipeline.added >= added + 20)
        old.kill()
        replica.signal(signal.SIGCONT)
        group.wait_for_another_master(than=old)
        pipeline.wait_until(lambda: len(set(pipeline.delivered)) == pipeline.length)
    with open_queue(group.url) as queue:
        events = queue.read_events(after_id="0", max_count=1000, block_s=0)
        depths = queue.depths(["ops"])

    expected = [event(seq) for seq in range(pipeline.length)]
    assert [body for _, body in events] == [each.body for each in expected]
    assert list(dict.fromkeys(pipeline.delivered)) == [each.message_id for each in expected]
    assert (depths.windows, depths.window_bytes, depths.scores, depths.outbox["ops"], depths.dead) == (0, 0, 0, 0, 0)
    assert pipeline.rewinds > 0
    assert pipeline.outages > 0
    assert group.master.refusals() == []
