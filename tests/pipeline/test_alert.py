import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import LogCapture

from tests.fakes import FakeClock
from tests.score_builders import FALL, rule, tombstone
from tests.score_builders import window as scores_of
from tests.statuses import source_status
from xclip_stream.errors import DecodeError, QueueUnavailable
from xclip_stream.events import parse_event
from xclip_stream.ordering import PATIENCE_S
from xclip_stream.pipeline.alert import STRANGER_PATIENCE_S, AlertLoop, Rulebook
from xclip_stream.protocols import AlertQueue, TakenWindow
from xclip_stream.queues.limits import QueueLimits
from xclip_stream.queues.memory import MemoryQueue
from xclip_stream.rules import Rule
from xclip_stream.types import Event, Phase, ScoreStatus, Window, WindowId

SHARES = (0.1, 0.9, 0.9, 0.97, 0.1, 0.1, 0.8, 0.8)
CLIMBING = rule(cooldown_s=2, sinks=("ops", "log"))


class ScriptedClock(FakeClock):
    """Time that passes only while somebody waits, and what happens meanwhile."""

    def __init__(self) -> None:
        super().__init__(now=5000.0)
        self._plans: list[tuple[float, Callable[[], object]]] = []

    def after(self, duration_s: float, act: Callable[[], object]) -> None:
        """Let something happen once so much time has passed."""
        self._plans.append((self.monotonic() + duration_s, act))

    def sleep(self, duration_s: float) -> None:
        super().sleep(max(duration_s, 0.01))
        due = [plan for plan in self._plans if plan[0] <= self.monotonic()]
        for plan in due:
            self._plans.remove(plan)
            plan[1]()


class Killed(BaseException):
    """What nothing catches, as SIGKILL."""


class Faulty:
    """A queue whose `at`-th call fails: before it does anything, or `after`, when only the reply is lost."""

    def __init__(self, queue: MemoryQueue, *, at: int, error: BaseException, after: bool) -> None:
        self._queue = queue
        self._at = at
        self._error = error
        self._after = after
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            self.calls += 1
            if self.calls == self._at and not self._after:
                raise self._error
            answer = getattr(self._queue, name)(*args, **options)
            if self.calls == self._at:
                raise self._error
            return answer

        return call


def rulebook(
    *rules: Rule, sinks: Sequence[str] = ("ops", "log"), sources: Sequence[str] = ("yard",), config_hash: str = "c0"
) -> Rulebook:
    return Rulebook(rules=rules, sink_ids=frozenset(sinks), gap_s=dict.fromkeys(sources, 8.0), config_hash=config_hash)


class Bench:
    """A queue in memory with everything around the alert loop."""

    def __init__(self) -> None:
        self.clock = ScriptedClock()
        self.queue = MemoryQueue(clock=self.clock, limits=QueueLimits(live_windows=1000))
        self.logged = LogCapture()
        self.workers = 0

    def loop(
        self,
        *rules: Rule,
        queue: object = None,
        idle_s: float = 2.0,
        block_s: float = 1.0,
        sinks: Sequence[str] = ("ops", "log"),
        new: Rulebook | None = None,
        when: Callable[[], bool] = lambda: True,
        hurry: Callable[[], None] = lambda: None,
    ) -> AlertLoop:
        """A loop in a worker of its own, which stops when it has waited for `idle_s` in all.

        It gets the rulebook `new` as soon as `when` holds.
        """
        news = [new]
        self.workers += 1
        given: AlertQueue = queue or self.queue.consumer(f"alert-{self.workers}")  # type: ignore[assignment] # Faulty
        return AlertLoop(
            queue=given,
            rulebook=rulebook(*(rules or [CLIMBING]), sinks=sinks),
            new_rulebook=lambda: news.pop() if news and when() else None,
            hurry=hurry,
            clock=self.clock,
            block_s=block_s,
            stopping=self.clock.stopping_after(idle_s),
            log=structlog.wrap_logger(
                None, processors=[self.logged], wrapper_class=structlog.make_filtering_bound_logger(0)
            ),
        )

    def faulty(self, *, at: int, error: BaseException, after: bool) -> Faulty:
        self.workers += 1
        return Faulty(self.queue.consumer(f"alert-{self.workers}"), at=at, error=error, after=after)

    def take(self, count: int, *, source: str = "yard", epoch: str = "e1", live: bool = False) -> list[TakenWindow]:
        """Add windows and have a scorer hold them."""
        first = self.queue.begin_epoch(source, epoch, live=live)
        return [self._take_one(WindowId(source, epoch, first + n), live=live) for n in range(count)]

    def _take_one(self, window_id: WindowId, *, live: bool) -> TakenWindow:
        like = scores_of(window_id.seq)
        window = Window(
            id=window_id,
            live=live,
            first_pts_s=like.first_pts_s,
            last_pts_s=like.last_pts_s,
            captured_at=like.captured_at,
            produced_at=like.produced_at,
            frame_ids=(0, 1),
            regions=("",),
            frames=np.zeros((1, 2, 4, 4, 3), np.uint8),
        )
        self.queue.add_window(window)
        (taken,) = self.queue.take_windows(max_count=1, block_s=0)
        return taken

    def publish(self, taken: TakenWindow, share: float) -> None:
        window_id = taken.window.id
        place = {"source": window_id.source_id, "epoch": window_id.epoch, "live": taken.window.live}
        assert self.queue.publish_scores(taken, scores_of(window_id.seq, share, **place))

    def end(self, seq: int, status: ScoreStatus = ScoreStatus.SOURCE_ENDED, *, live: bool = False) -> None:
        end = tombstone(seq, status)
        self.queue.add_tombstone(
            WindowId("yard", "e1", seq), status=status, live=live, pts_s=end.last_pts_s, captured_at=end.captured_at
        )

    def stand(self, seq: int, *, same_as: int) -> None:
        """Add a window of a camera that shows what another one shows."""
        like = scores_of(seq)
        self.queue.add_unchanged(
            WindowId("yard", "e1", seq),
            same_as=same_as,
            first_pts_s=like.first_pts_s,
            pts_s=like.last_pts_s,
            captured_at=like.captured_at,
        )

    def rescore(self) -> WindowId | None:
        """Return what the reader of the camera hears of windows that can stand for no other."""
        return self.queue.report_source(source_status()).rescore

    def play(self, shares: Sequence[float] = SHARES, *, order: Sequence[int] | None = None, ended: bool = True) -> None:
        taken = [self.take(1)[0] for _ in shares]
        for seq in order or range(len(shares)):
            self.publish(taken[seq], shares[seq])
        if ended:
            self.end(len(shares))

    def events(self) -> list[Event]:
        entries = self.queue.read_events(after_id="0", max_count=10_000, block_s=0)
        return [replace(parse_event(body), latency=None) for _, body in entries]

    def outbox(self, sink_id: str) -> list[str]:
        taken = self.queue.take_messages(sink_id, max_count=10_000, block_s=0)
        return [each.message.message_id for each in taken]

    def pending(self) -> int:
        return self.queue.depths([]).scores

    def lines(self, name: str) -> list[dict[str, object]]:
        return [dict(entry) for entry in self.logged.entries if entry["event"] == name]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def phases(events: Sequence[Event]) -> list[str]:
    return [str(event.phase) for event in events]


ALL_PHASES = ["started", "updated", "ended", "started", "ended"]


def test_scores_become_events_on_the_public_stream_and_in_the_outbox_of_each_sink(bench):
    bench.play()

    bench.loop().run()

    ids = [event.message_id for event in bench.events()]
    assert phases(bench.events()) == ALL_PHASES
    assert bench.outbox("ops") == bench.outbox("log") == ids
    assert bench.pending() == 0


def test_messages_of_a_source_are_numbered_without_gaps(bench):
    bench.play()

    bench.loop().run()

    bodies = [json.loads(body) for _, body in bench.queue.read_events(after_id="0", max_count=100, block_s=0)]
    assert [int(body["sequence"]) for body in bodies] == [0, 1, 2, 3, 4]


def test_a_sink_that_nobody_empties_gets_nothing(bench):
    bench.play()

    bench.loop(sinks=["ops"]).run()

    assert len(bench.outbox("ops")) == 5
    assert bench.outbox("log") == []


def test_scores_before_their_turn_stay_unacknowledged_until_it_has_come(bench):
    taken = bench.take(3)
    for each in taken[1:]:
        bench.publish(each, 0.9)

    bench.loop().run()
    waiting = bench.pending()
    bench.publish(taken[0], 0.9)
    bench.loop().run()

    assert waiting == 2
    assert bench.pending() == 0
    assert [event.window.seq for event in bench.events()] == [0]


def test_a_stop_leaves_events_open_and_the_next_loop_goes_on_with_them(bench):
    bench.play(SHARES[:3], ended=False)
    bench.loop().run()
    open_events = bench.events()
    taken = bench.take(1)[0]
    bench.publish(taken, 0.1)
    bench.loop().run()

    started, ended = bench.events()
    assert phases(open_events) == ["started"]
    assert ended.event_id == started.event_id
    assert bench.queue.rule_statuses()["yard"].open_events == 0


def test_the_next_loop_need_not_wait_for_the_lease_of_one_that_was_stopped(bench):
    bench.loop().run()
    bench.play()

    bench.loop(idle_s=0.5).run()

    assert phases(bench.events()) == ALL_PHASES


def test_an_event_of_a_rule_that_is_gone_after_a_restart_ends(bench):
    bench.play(SHARES[:3], ended=False)
    bench.loop().run()

    bench.loop(rule("another"), sinks=["ops"]).run()

    assert [event.end_reason for event in bench.events()] == [None, "configuration"]
    assert len(bench.outbox("ops")) == 2


def test_a_state_that_cannot_be_read_stops_the_loop_with_a_reason(bench):
    token = bench.queue.acquire_alert(ttl_s=5)
    bench.queue.commit(token, source_id="yard", state=b"{}", events=[], outbox=[], done=[])
    bench.queue.release_alert(token)

    with pytest.raises(DecodeError, match="source yard: the stored rule state"):
        bench.loop().run()


def test_an_event_of_a_state_that_cannot_be_told_stops_the_loop_with_a_reason(bench):
    bench.play(SHARES[:3], ended=False)
    bench.loop().run()
    token = bench.queue.acquire_alert(ttl_s=5)
    state = json.loads(bench.queue.load_states()["yard"])
    state["holdings"][0]["score"] = 5.0
    bench.queue.commit(token, source_id="yard", state=json.dumps(state).encode(), events=[], outbox=[], done=[])
    bench.queue.release_alert(token)

    with pytest.raises(DecodeError, match="source yard: the stored rule state has an event that cannot be told"):
        bench.loop(rule("another")).run()


def test_a_state_of_no_source_is_passed_over_with_a_line(bench):
    token = bench.queue.acquire_alert(ttl_s=5)
    bench.queue.commit(token, source_id="\ufffdyard", state=b"x", events=[], outbox=[], done=[])
    bench.queue.release_alert(token)

    bench.play()
    bench.loop().run()

    assert phases(bench.events()) == ALL_PHASES
    assert [line["names"] for line in bench.lines("foreign_states")] == [["\ufffdyard"]]


# ------------------------------------------------------------------------------------------------------ live sources


def test_a_camera_goes_on_without_a_window_that_nobody_scored_and_drops_it_when_it_comes(bench):
    taken = bench.take(3, live=True)
    bench.publish(taken[0], 0.9)
    bench.publish(taken[2], 0.9)
    seen: list[int] = []
    bench.clock.after(PATIENCE_S - 1, lambda: seen.append(bench.pending()))
    bench.clock.after(PATIENCE_S + 2, lambda: seen.append(bench.pending()))
    bench.clock.after(PATIENCE_S + 2, lambda: bench.publish(taken[1], 0.1))

    bench.loop(idle_s=PATIENCE_S + 5).run()

    assert [*seen, bench.pending()] == [1, 0, 0]
    assert phases(bench.events()) == ["started"]
    assert [line["late"] for line in bench.lines("scores_committed")] == [0, 0, 1]


def test_a_lost_camera_ends_what_is_open(bench):
    bench.play(SHARES[:3], ended=False)
    bench.end(3, ScoreStatus.SOURCE_LOST)

    bench.loop().run()

    assert bench.events()[-1].end_reason == "source_lost"


def test_the_next_loop_judges_unchanged_windows_by_the_scores_that_the_last_one_has_committed(bench):
    steady = rule(min_duration_s=2)
    bench.publish(bench.take(1, live=True)[0], 0.9)
    bench.loop(steady).run()

    for seq in (1, 2, 3):
        bench.stand(seq, same_as=0)
    bench.loop(steady).run()

    (_, body), *_ = bench.queue.read_events(after_id="0", max_count=1, block_s=0)
    event = parse_event(body)
    assert (event.window.seq, event.window.reused, event.score) == (2, True, 0.9)
    assert event.latency is not None
    assert bench.queue.rule_statuses()["yard"].unchanged == 3
    history = [scores for _, scores in bench.queue.read_history("yard", since=0, max_count=10)]
    assert [(scores.status, scores.prompts) for scores in history[1:]] == [("unchanged", history[0].prompts)] * 3
    assert bench.rescore() is None


def test_unchanged_windows_wait_for_the_scores_that_stand_for_them(bench):
    (taken,) = bench.take(1, live=True)
    bench.stand(1, same_as=0)
    bench.clock.after(1.0, lambda: bench.publish(taken, 0.9))

    bench.loop().run()

    assert [(event.window.seq, event.window.reused) for event in bench.events()] == [(0, False)]
    assert bench.pending() == 0


def test_the_reader_hears_of_a_window_that_has_no_scores_for_others(bench):
    first, second = bench.take(2, live=True)
    bench.publish(first, 0.1)
    bench.queue.bury_window(second, reason="broken")
    bench.stand(2, same_as=1)

    bench.loop().run()

    assert bench.rescore() == WindowId("yard", "e1", 1)
    assert bench.queue.rule_statuses()["yard"].unchanged == 0


def test_the_reader_hears_when_the_rules_ask_for_what_was_not_scored(bench):
    bench.publish(bench.take(1, live=True)[0], 0.9)
    bench.loop().run()
    bench.stand(1, same_as=0)
    newer = rule("running", prompts=("a person running",))

    bench.loop(CLIMBING, newer).run()

    assert bench.rescore() == WindowId("yard", "e1", 0)
    assert phases(bench.events()) == ["started"]


@pytest.mark.parametrize(("live", "produced_ms", "committed_ms"), [(True, 0.0, 3_999_000.0), (False, 0.0, 3_999_000.0)])
def test_an_event_tells_where_the_time_went(bench, live, produced_ms, committed_ms):
    taken = bench.take(2, live=live)
    bench.publish(taken[0], 0.1)
    bench.publish(taken[1], 0.9)

    bench.loop().run()

    (_, body), *_ = bench.queue.read_events(after_id="0", max_count=1, block_s=0)
    latency = parse_event(body).latency
    assert (latency.produced_ms, latency.scored_ms, latency.committed_ms) == (produced_ms, 500.0, committed_ms)


def test_no_latency_is_negative_when_a_clock_was_set_back(bench):
    (taken,) = bench.take(1, live=True)
    bench.clock.set_back(10_000_000.0)
    bench.publish(taken, 0.9)

    bench.loop().run()

    (_, body), *_ = bench.queue.read_events(after_id="0", max_count=1, block_s=0)
    assert parse_event(body).latency.committed_ms == 0.0


# ----------------------------------------------------------------------------------------------------------- a change

STAYS = rule("stays", sinks=("ops",))


def story(events: Sequence[Event]) -> list[tuple[str, str, str | None]]:
    return [(event.rule_id, str(event.phase), event.end_reason) for event in events]


def test_a_new_rulebook_ends_the_events_of_removed_rules_alone_and_its_rules_judge_the_next_window(bench):
    bench.play([0.9, 0.9], ended=False)
    bench.clock.after(1.5, lambda: bench.play([0.9, 0.1], ended=False))
    new = rulebook(STAYS, rule("new"), config_hash="c1")

    bench.loop(rule("goes"), STAYS, new=new, when=bench.events, idle_s=4).run()

    assert story(bench.events()) == [
        ("goes", "started", None),
        ("stays", "started", None),
        ("goes", "ended", "configuration"),
        ("new", "started", None),
        ("stays", "ended", "released"),
        ("new", "ended", "released"),
    ]
    assert [event.config_hash for event in bench.events()] == ["c0", "c0", "c1", "c1", "c1", "c1"]
    assert [event.window.seq for event in bench.events()] == [0, 0, 1, 2, 3, 3]
    assert bench.queue.rule_statuses()["yard"].windows == 4
    assert bench.pending() == 0


def test_the_events_of_a_source_that_was_removed_end_and_its_last_scores_are_let_go(bench):
    everywhere = rule(sources=("yard", "gate"))
    bench.play([0.9], ended=False)
    bench.clock.after(1.5, lambda: bench.play([0.9, 0.9], ended=False))

    new = rulebook(rule(sources=("gate",)), sources=["gate"])
    bench.loop(everywhere, new=new, when=bench.events, idle_s=4).run()

    assert story(bench.events()) == [("climbing", "started", None), ("climbing", "ended", "configuration")]
    assert bench.pending() == 0


def test_scores_wait_for_the_rulebook_that_names_their_source(bench):
    bench.publish(bench.take(1, source="gate")[0], 0.9)
    bench.clock.after(STRANGER_PATIENCE_S - 1, lambda: seen.append(bench.pending()))
    seen: list[int] = []

    bench.loop(new=rulebook(CLIMBING, sources=["yard", "gate"]), when=lambda: bool(seen), idle_s=60).run()

    assert (seen, bench.pending()) == ([1], 0)
    assert [(event.source_id, event.phase) for event in bench.events()] == [("gate", "started")]


def test_a_rulebook_that_scores_wait_for_is_looked_for_at_once(bench):
    hurried_at: list[float] = []
    loop = bench.loop(
        new=rulebook(CLIMBING, sources=["yard", "gate"]),
        when=lambda: len(hurried_at) == 2,
        hurry=lambda: hurried_at.append(bench.clock.monotonic()),
        block_s=30.0,
        idle_s=40.0,
    )
    start_s = bench.clock.monotonic()
    bench.publish(bench.take(1, source="gate")[0], 0.9)

    loop.run()

    assert [event.source_id for event in bench.events()] == ["gate"]
    assert [at_s - start_s < 1.0 for at_s in hurried_at] == [True, True]


def test_scores_of_a_source_that_no_rulebook_names_are_let_go_in_the_end_with_one_line(bench):
    bench.publish(bench.take(1, source="gate")[0], 0.1)
    bench.clock.after(STRANGER_PATIENCE_S + 5, lambda: bench.publish(bench.take(1, source="gate")[0], 0.1))

    bench.loop(idle_s=STRANGER_PATIENCE_S + 10).run()

    assert bench.pending() == 0
    assert [line["source"] for line in bench.lines("unknown_source")] == ["gate"]


def test_a_loop_that_stands_by_takes_over_with_the_newest_rulebook(bench):
    bench.play([0.9], ended=False)
    bench.loop().run()
    token = bench.queue.consumer("other").acquire_alert(ttl_s=5)
    bench.clock.after(3, lambda: bench.queue.consumer("other").release_alert(token))

    bench.loop(new=rulebook(STAYS), idle_s=10).run()

    assert story(bench.events()) == [("climbing", "started", None), ("climbing", "ended", "configuration")]


def changing(bench: Bench, queue: object = None) -> AlertLoop:
    """A loop whose rulebook changes when the first event has started."""
    new = rulebook(STAYS, rule("new", prompts=(FALL,)))
    return bench.loop(rule("goes"), STAYS, new=new, when=bench.events, queue=queue, idle_s=4)


def calls_of_a_change() -> int:
    bench = Bench()
    bench.play([0.9, 0.9], ended=False)
    counter = bench.faulty(at=0, error=Killed(), after=False)
    changing(bench, counter).run()
    return counter.calls


@pytest.mark.parametrize("error", [Killed(), QueueUnavailable("gone")], ids=["kill", "outage"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, calls_of_a_change() + 1))
def test_a_failure_at_any_call_around_a_change_ends_removed_rules_once_and_nothing_else(bench, at, after, error):
    bench.play([0.9, 0.9], ended=False)

    with suppress(Killed):
        changing(bench, bench.faulty(at=at, error=error, after=after)).run()
    bench.clock.advance(10.0)
    changing(bench).run()

    assert story(bench.events())[:3] == [
        ("goes", "started", None),
        ("stays", "started", None),
        ("goes", "ended", "configuration"),
    ]
    assert len(bench.events()) == 3
    assert bench.pending() == 0


# ---------------------------------------------------------------------------------------------------------- failures


def oracle() -> list[Event]:
    bench = Bench()
    bench.play()
    bench.loop().run()
    return bench.events()


def calls_of_a_run() -> int:
    bench = Bench()
    bench.play()
    counter = bench.faulty(at=0, error=Killed(), after=False)
    bench.loop(queue=counter).run()
    return counter.calls


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, calls_of_a_run() + 1))
def test_a_kill_at_any_call_of_the_queue_loses_nothing_and_doubles_nothing(bench, at, after):
    bench.play()

    with pytest.raises(Killed):
        bench.loop(queue=bench.faulty(at=at, error=Killed(), after=after)).run()
    bench.loop(idle_s=8).run()

    ids = [event.message_id for event in bench.events()]
    assert bench.events() == oracle()
    assert bench.outbox("ops") == bench.outbox("log") == ids
    assert bench.pending() == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, calls_of_a_run() + 1))
def test_a_queue_that_fails_at_any_call_is_asked_again(bench, at, after):
    bench.play()
    queue = bench.faulty(at=at, error=QueueUnavailable("the queue is away"), after=after)

    bench.loop(queue=queue, idle_s=12).run()

    assert bench.events() == oracle()
    assert bench.outbox("ops") == [event.message_id for event in oracle()]
    assert bench.pending() == 0


def test_a_second_loop_stands_by_until_the_first_one_is_gone(bench):
    bench.play()
    token = bench.queue.consumer("someone").acquire_alert(ttl_s=60)

    bench.loop(idle_s=30).run()
    meanwhile = bench.events()
    bench.queue.release_alert(token)
    bench.loop().run()

    assert meanwhile == []
    assert len(bench.lines("standing_by")) == 1
    assert phases(bench.events()) == ALL_PHASES


def test_a_loop_that_slept_through_its_lease_commits_nothing_and_stands_by(bench):
    bench.play(SHARES[:2], ended=False)

    def sleep_while_another_works() -> None:
        bench.clock.advance(30)
        for each, share in zip(bench.take(6), SHARES[2:], strict=True):
            bench.publish(each, share)
        bench.loop().run()
        bench.end(8)

    bench.clock.after(1, sleep_while_another_works)
    bench.loop(idle_s=60).run()

    ids = [event.message_id for event in bench.events()]
    assert len(bench.lines("alert_taken_over")) == 1
    assert phases(bench.events()) == ALL_PHASES
    assert bench.outbox("ops") == ids


def test_a_file_that_is_forgotten_under_a_working_loop_gives_the_same_events_again(bench):
    bench.play()
    bench.clock.after(1, lambda: bench.queue.forget_source("yard"))
    bench.clock.after(2, bench.play)

    bench.loop(idle_s=8).run()

    assert bench.events() == oracle() + oracle()


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(len(SHARES))), st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=4))
def test_any_order_of_scores_with_any_kills_gives_the_same_events(order, kills):
    bench = Bench()
    taken = [bench.take(1)[0] for _ in SHARES]
    bench.end(len(SHARES))
    for n, seq in enumerate(order):
        bench.publish(taken[seq], SHARES[seq])
        if n < len(kills):
            at, after = kills[n]
            with suppress(Killed):
                bench.loop(queue=bench.faulty(at=at, error=Killed(), after=after), idle_s=8).run()

    bench.loop(idle_s=8).run()

    assert bench.events() == oracle()
    assert bench.outbox("log") == [event.message_id for event in oracle()]


# ------------------------------------------------------------------------------------------------- status and logging


def test_the_state_of_the_rules_is_reported(bench):
    bench.play(SHARES[:3], ended=False)

    bench.loop().run()

    status = bench.queue.rule_statuses()["yard"]
    assert (status.windows, status.events, status.open_events, status.position_s) == (3, 1, 1, 5.5)
    assert (status.top_rule, round(status.top_score, 3)) == ("climbing", 0.9)


def test_the_end_of_a_source_is_reported_at_once(bench):
    bench.play(SHARES[:3], ended=False)
    reported: list[int] = []

    def note() -> None:
        reported.append(bench.queue.rule_statuses()["yard"].windows)

    bench.clock.after(0.1, lambda: bench.publish(bench.take(1)[0], 0.1))
    bench.clock.after(0.3, note)
    bench.clock.after(0.3, lambda: bench.end(4))
    bench.clock.after(0.5, note)

    bench.loop(block_s=0.1).run()

    assert reported == [3, 4]


def test_each_commit_and_each_phase_of_an_event_has_one_line(bench):
    bench.play()

    bench.loop().run()

    (commit,) = bench.lines("scores_committed")
    assert commit["log_level"] == "debug", "with fifty cameras they would fill the log, and push out all else"
    assert (commit["source"], commit["count"], commit["events"], commit["next_seq"]) == ("yard", 9, 5, 9)
    for phase in Phase:
        told = [event.message_id for event in bench.events() if event.phase is phase]
        assert [line["message_id"] for line in bench.lines(f"event_{phase}")] == told
