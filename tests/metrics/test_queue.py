"""What the exporter shows of a queue."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from tests.metrics.reading import Shown, shown
from tests.queues.builders import alert_token, fill, message, take, window
from tests.redis_servers import RedisServer
from tests.statuses import source_status
from xclip_stream.metrics import ALL, Expected, QueueCollector
from xclip_stream.protocols import Overview, SourceState, SourceStatus
from xclip_stream.queues.redis import open_queue
from xclip_stream.types import IdleState

BYTES = window().frames.nbytes


def look(queue: Overview, expected: Expected | None = None) -> Shown:
    registry = CollectorRegistry()
    registry.register(QueueCollector(queue, expected=lambda: expected))
    return shown(registry)


def status(source_id: str, state: SourceState, *, live: bool = True) -> SourceStatus:
    return source_status(
        source_id=source_id, state=state, live=live, fps=5.0, position_s=9.0, windows=3, lag_s=0.25, updated_at=1.0
    )


def test_what_waits_and_what_is_held_is_shown() -> None:
    with RedisServer("7") as server, open_queue(server.url, max_bytes=10**6) as queue:
        fill(queue, 3, live=False)
        take(queue, 1)
        outbox = [("ops", message("one")), ("ops", message("two"))]
        queue.commit(alert_token(queue), source_id="yard", state=b"s", events=[message()], outbox=outbox, done=[])

        of = look(queue, Expected({"yard"}, ["ops", "log"]))

        assert of("queue_windows", kind="file", state="waiting") == 2
        assert of("queue_windows", kind="file", state="held") == 1
        assert of("queue_windows", kind="live", state="waiting") == 0
        assert (of("queue_window_bytes"), of("queue_window_max_bytes")) == (3 * BYTES, 10**6)
        assert (of("outbox_messages", sink="ops"), of("outbox_messages", sink="log")) == (2, 0)
        assert (of("events_retained"), of("dead_letters"), of("queue_up")) == (1, 0, 1)
        assert list(of.series("lease_held")) == [(("role", "alert"),)]


def test_each_state_of_a_source_is_a_series_and_one_of_them_is_1() -> None:
    with RedisServer("7") as server, open_queue(server.url) as queue:
        queue.report_source(status("yard", SourceState.STALLED))

        of = look(queue)

        states = {state: of("source_state", source="yard", state=state) for state in SourceState}
        assert states == {state: float(state is SourceState.STALLED) for state in SourceState}
        assert of("source_lag_seconds", source="yard") == 0.25
        assert of("source_window_step", source="yard") == 1
        assert of("source_report_age_seconds", source="yard") > 1e6


def test_whether_a_camera_is_decoded_is_shown_of_those_that_may_be_idle() -> None:
    with RedisServer("7") as server, open_queue(server.url) as queue:
        queue.report_source(replace(status("yard", SourceState.RUNNING), idle=IdleState.IDLE, decoded_share=0.05))
        queue.report_source(replace(status("gate", SourceState.RUNNING), idle=IdleState.AWAKE))
        queue.report_source(status("film", SourceState.RUNNING, live=False))

        of = look(queue)

        assert {dict(labels)["source"]: value for labels, value in of.series("source_idle").items()} == {
            "yard": 1.0,
            "gate": 0.0,
        }


def test_a_source_that_was_removed_from_the_configuration_is_not_shown() -> None:
    with RedisServer("7") as server, open_queue(server.url) as queue:
        queue.report_source(status("yard", SourceState.RUNNING))
        queue.report_source(status("removed", SourceState.STALLED))

        of = look(queue, Expected({"yard"}, []))

        assert {dict(labels)["source"] for labels in of.series("source_state")} == {"yard"}


def test_while_redis_is_away_a_scrape_says_so_and_nothing_else() -> None:
    with RedisServer("7") as server, open_queue(server.url) as queue:
        server.kill()
        away = look(queue)
        server.start()
        back = look(queue)

    assert away.names == {"queue_up"}
    assert away("queue_up") == 0
    assert back("queue_up") == 1
    assert back.names <= {each.name for each in ALL}
