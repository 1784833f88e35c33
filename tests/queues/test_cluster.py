"""The queue in a cluster of three nodes: each namespace has one slot, and so one node."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.queues.builders import alert_token, fill, message, scores_of, take, window
from tests.queues.pipeline import Pipeline, event
from tests.redis_cluster import Cluster
from xclip_stream.errors import QueueUnavailable
from xclip_stream.protocols import Admission, Admitted
from xclip_stream.queues.redis import open_queue
from xclip_stream.queues.redis_client import open_client
from xclip_stream.queues.redis_connection import RedisKeys
from xclip_stream.redis_url import RedisUrl
from xclip_stream.sinks.redis_stream import RedisStreamSink

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


def test_every_step_works_and_namespaces_stand_on_different_nodes(cluster: Cluster) -> None:
    owners = {cluster.owner(RedisKeys(name).counters): name for name in "abcdefghijkl"}
    pipelines = [Pipeline(cluster.url, length=20, namespace=name) for name in owners.values()]
    with pipelines[0].running(), pipelines[1].running(), pipelines[2].running():
        for pipeline in pipelines:
            pipeline.wait_until(lambda pipeline=pipeline: len(pipeline.delivered) == pipeline.length)

    assert len(owners) == 3
    for owner, name in owners.items():
        with closing(owner.client()) as client:
            keys = set(client.scan_iter("xclip:*"))
        assert {key.decode().partition(":")[2].partition(":")[0] for key in keys} == {f"{{{name}}}"}
    assert [pipeline.delivered for pipeline in pipelines] == [[event(seq).message_id for seq in range(20)]] * 3
    assert [pipeline.outages for pipeline in pipelines] == [0, 0, 0]


def test_dead_letters_statuses_and_forgetting_work(cluster: Cluster) -> None:
    with open_queue(cluster.url, namespace="dead", consumer="one") as queue:
        fill(queue, 2)
        first, second = take(queue)
        assert queue.bury_window(first, reason="broken")
        (letter,) = queue.list_dead(max_count=9)
        assert queue.replay_dead(letter.id)
        (again,) = take(queue)
        assert queue.publish_scores(again, scores_of(again))
        assert queue.publish_scores(second, scores_of(second))
        queue.forget_source("yard")

        assert queue.depths(["ops"]).scores == 0
        assert queue.source_statuses() == {}


def test_a_queue_that_moves_to_another_node_is_followed(cluster: Cluster) -> None:
    key = RedisKeys("moves").counters
    with open_queue(cluster.url, namespace="moves", consumer="one") as queue:
        fill(queue, 2)
        old = cluster.owner(key)
        new = next(server for server in cluster.servers.values() if server is not old)
        cluster.move_slot(key, new)
        with pytest.raises(QueueUnavailable, match="has given the queue to another node"):
            queue.add_window(window(2))

        assert queue.add_window(window(2)) == Admitted(Admission.ADDED, 3)
        assert [taken.window.id.seq for taken in take(queue)] == [0, 1, 2]


def test_one_node_that_is_left_of_those_in_the_url_is_enough(cluster: Cluster) -> None:
    *_, last = RedisUrl.parse(cluster.url).hosts
    url = f"redis+cluster://app:p%40ss@127.0.0.1:1,127.0.0.1:{last[1]}"
    with open_queue(url, namespace="b") as queue:
        queue.ping()


def test_a_sink_finds_the_node_of_its_stream(cluster: Cluster) -> None:
    for stream in ("alerts", "events", "others"):

        def connect(stream: str = stream):
            return open_client(cluster.url, key=stream, connect_timeout_s=3, reply_timeout_s=3)

        with RedisStreamSink(open_client=connect, stream=stream) as sink:
            sink.deliver(message("m1"))
        with closing(cluster.owner(stream).client()) as client:
            assert client.xlen(stream) == 1


def test_a_cluster_over_tls_works_too(tmp_path: Path) -> None:
    with Cluster(Certificates.make(tmp_path)) as cluster, open_queue(cluster.url) as queue:
        fill(queue, 1)

        assert [taken.window.id.seq for taken in take(queue)] == [0]
        assert alert_token(queue) > 0
