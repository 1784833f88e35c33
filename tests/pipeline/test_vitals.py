from collections.abc import Callable

import pytest
import structlog

from tests.fakes import FakeClock
from xclip_stream.errors import QueueUnavailable
from xclip_stream.pipeline.backoff import QueueOutage
from xclip_stream.pipeline.vitals import STARTING, Vitals


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vitals(clock: FakeClock) -> Vitals:
    return Vitals(now=clock.monotonic)


def never() -> bool:
    return False


def test_a_worker_that_starts_is_alive_and_not_ready(vitals: Vitals) -> None:
    assert vitals.silence() is None
    assert vitals.obstacle() == STARTING


def test_a_loop_says_what_it_waits_for_and_is_not_silent_however_long_that_takes(
    vitals: Vitals, clock: FakeClock
) -> None:
    with vitals.pulse("score", within_s=60, waits_for="the model is not loaded yet"):
        clock.advance(3600)

        assert vitals.silence() is None
        assert vitals.obstacle() == "score: the model is not loaded yet"


def test_a_loop_is_silent_only_after_its_bound(vitals: Vitals, clock: FakeClock) -> None:
    with vitals.pulse("score", within_s=60) as pulse:
        pulse.ready()
        clock.advance(60)
        in_time = (vitals.silence(), vitals.obstacle())
        clock.advance(1)

        assert in_time == (None, None)
        assert vitals.silence() == vitals.obstacle() == "score: no progress for 61 s"

        pulse.beat()

        assert vitals.silence() is None


def test_one_loop_of_many_is_enough_to_be_unwell(vitals: Vitals, clock: FakeClock) -> None:
    with vitals.pulse("sink ops", within_s=60) as ops, vitals.pulse("sink log", within_s=60) as log:
        ops.ready()
        log.unready("the queue is away")
        waiting = vitals.obstacle()
        clock.advance(61)
        log.ready()

        assert waiting == "sink log: the queue is away"
        assert vitals.silence() == "sink ops: no progress for 61 s"


def test_a_loop_that_has_ended_is_asked_no_more(vitals: Vitals, clock: FakeClock) -> None:
    with vitals.pulse("sink log", within_s=60) as log:
        log.ready()
        with vitals.pulse("sink ops", within_s=60) as ops:
            ops.unready("the queue is away")

        assert vitals.obstacle() is None


@pytest.fixture
def outage_of(clock: FakeClock) -> Callable[..., QueueOutage]:
    return lambda pulse: QueueOutage(clock=clock, stopping=never, log=structlog.get_logger(), pulse=pulse)


def test_an_outage_of_the_queue_is_an_obstacle_until_it_is_over(
    vitals: Vitals, outage_of: Callable[..., QueueOutage]
) -> None:
    with vitals.pulse("alert", within_s=60) as pulse:
        outage = outage_of(pulse)
        outage.over()
        before = vitals.obstacle()
        outage.wait(QueueUnavailable("Redis at redis://queue does not answer"))

        assert before is None
        assert vitals.obstacle() == "alert: Redis at redis://queue does not answer"

        outage.over()

        assert vitals.obstacle() is None


def test_a_loop_that_waits_for_the_queue_is_not_dead(
    vitals: Vitals, clock: FakeClock, outage_of: Callable[..., QueueOutage]
) -> None:
    with vitals.pulse("alert", within_s=60) as pulse:
        outage = outage_of(pulse)
        until = clock.monotonic() + 600
        while clock.monotonic() < until:
            outage.wait(QueueUnavailable("away"))
            assert vitals.silence() is None

        assert vitals.obstacle() == "alert: away"
