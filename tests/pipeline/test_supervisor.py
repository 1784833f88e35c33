"""The supervisor over real child processes: small scripts in the place of the workers."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import structlog

from tests.waiting import wait_until
from xclip_stream.pipeline import children
from xclip_stream.pipeline.children import WorkerSpec, said
from xclip_stream.pipeline.lifecycle import StopFlag, SystemClock
from xclip_stream.pipeline.supervisor import Outcome, Supervisor, Verdict
from xclip_stream.protocols import QueueDepths

PRELUDE = """
import os, signal, sys, time
name, diary = sys.argv[1], sys.argv[2]
def note(text):
    with open(diary, "a") as file: file.write(f"{name} {text}\\n")
def on_term(*_):
    note("stopped"); sys.exit(0)
signal.signal(signal.SIGTERM, on_term)
note("started")
"""
WORKS = "time.sleep(600)"
EMPTY = QueueDepths(windows=0, window_bytes=0, scores=0, outbox={}, dead=0)


@dataclass
class Stage:
    """A supervisor over scripts, the diary that they write, and the lines that they print."""

    folder: Path
    stop: StopFlag = field(default_factory=StopFlag)
    lines: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    depths: QueueDepths = EMPTY

    @property
    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []

    def spec(
        self,
        name: str,
        body: str = WORKS,
        idle: Callable[[QueueDepths], bool] = lambda _: True,
        done: Callable[[], int] = lambda: 0,
    ) -> WorkerSpec:
        command = (sys.executable, "-c", PRELUDE + body, name, str(self.folder / "diary"))
        return WorkerSpec(name, command, idle, done=done)

    def supervisor(
        self,
        workers: Sequence[WorkerSpec],
        *,
        is_finished: Callable[[], bool] = lambda: False,
        drain_timeout_s: float = 30.0,
        stop_timeout_s: float = 30.0,
    ) -> Supervisor:
        return Supervisor(
            workers=workers,
            environ=os.environ,
            depths=lambda: self.depths,
            is_finished=is_finished,
            clock=SystemClock(self.stop),
            stop=self.stop,
            log=structlog.get_logger(),
            on_log=lambda name, line: self.lines.append(f"{name}: {line}"),
            on_output=lambda name, line: self.outputs.append(f"{name}: {line}"),
            drain_timeout_s=drain_timeout_s,
            stop_timeout_s=stop_timeout_s,
            first_restart_s=0.01,
        )

    def started(self, name: str, times: int = 1) -> bool:
        return self.diary.count(f"{name} started") >= times


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def when(condition: Callable[[], bool], then: Callable[[], object]) -> threading.Thread:
    def wait() -> None:
        wait_until(condition)
        then()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_it_ends_when_nothing_is_left_to_do(stage: Stage) -> None:
    supervisor = stage.supervisor(
        [stage.spec("ingest"), stage.spec("score")],
        is_finished=lambda: stage.started("ingest") and stage.started("score"),
    )

    outcome = supervisor.run()

    assert outcome == Outcome(Verdict.FINISHED)
    assert stage.diary.count("ingest started") == 1
    assert "score stopped" in stage.diary


def test_at_the_end_each_worker_may_finish_what_it_holds(stage: Stage) -> None:
    finishes = """
from xclip_stream.pipeline.lifecycle import StopFlag, stop_on_signals
stop = StopFlag()
with stop_on_signals(stop):
    note("ready")
    stop.wait()
    if name == "two":
        while "one finished" not in open(diary).read(): time.sleep(0.01)
        time.sleep(0.5)
note("finished")
"""
    supervisor = stage.supervisor(
        [stage.spec("one", finishes), stage.spec("two", finishes)], is_finished=lambda: len(stage.diary) == 4
    )
    supervisor.run()

    assert stage.diary[4:] == ["one finished", "two finished"]


def test_a_worker_that_crashes_is_started_again(stage: Stage) -> None:
    crashing_once = f"if open(diary).read().count(name + ' started') == 1: os.abort()\n{WORKS}"
    supervisor = stage.supervisor(
        [stage.spec("score", crashing_once)], is_finished=lambda: stage.started("score", times=2)
    )

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.FINISHED
    assert stage.diary.count("score started") == 2


def test_a_worker_that_somebody_stops_alone_is_started_again(stage: Stage) -> None:
    def stop_score() -> None:
        pid = int(next(line.split()[-1] for line in stage.diary if "pid" in line))
        os.kill(pid, signal.SIGTERM)

    supervisor = stage.supervisor(
        [stage.spec("score", "note(f'pid {os.getpid()}')\n" + WORKS)],
        is_finished=lambda: stage.started("score", times=2),
    )
    when(lambda: any("pid" in line for line in stage.diary), stop_score)

    assert supervisor.run().verdict is Verdict.FINISHED


def test_a_worker_that_crashes_again_and_again_is_given_up_with_its_last_error(stage: Stage) -> None:
    crash = "print('error: the cable is cut', file=sys.stderr); sys.exit(1)"
    supervisor = stage.supervisor([stage.spec("ingest"), stage.spec("score", crash)])

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.GIVEN_UP
    assert outcome.reason == "score: crashed 5 times in a row (exit code 1): the cable is cut"
    assert stage.diary.count("score started") == 5
    assert "ingest stopped" in stage.diary


def test_a_worker_that_gets_something_done_between_its_crashes_is_not_given_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a scorer that two windows among many good ones kill, three times each."""
    monkeypatch.setattr(children, "MAX_IDLE_S", 0.0)
    crashes = 0

    def done() -> int:
        nonlocal crashes
        crashes += 1
        return min(crashes, 4) // 2

    supervisor = stage.supervisor([stage.spec("score", "sys.exit(1)", done=done)])

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.GIVEN_UP
    assert outcome.reason.startswith("score: crashed 5 times in a row")
    assert stage.diary.count("score started") == 3 + 5


def test_one_that_has_done_something_may_crash_for_as_long_as_a_dead_letter_takes(stage: Stage) -> None:
    spec = stage.spec("score", "sys.exit(1)", done=lambda: 1)
    supervisor = stage.supervisor([spec], is_finished=lambda: stage.started("score", times=8))

    assert supervisor.run().verdict is Verdict.FINISHED


def test_a_worker_that_is_killed_is_named_with_its_signal(stage: Stage) -> None:
    supervisor = stage.supervisor([stage.spec("score", "os.kill(os.getpid(), signal.SIGKILL)")])

    outcome = supervisor.run()

    assert "killed by SIGKILL" in outcome.reason


@pytest.mark.parametrize("exit_code", [1, 2])
def test_a_worker_that_is_not_vital_ends_nothing_however_often_it_fails(
    stage: Stage, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "MAX_RESTART_S", 0.01)
    page = replace(stage.spec("page", f"sys.exit({exit_code})"), vital=False)
    many = children.MAX_FAST_CRASHES + 2

    outcome = stage.supervisor(
        [stage.spec("alert"), page], is_finished=lambda: stage.diary.count("page started") >= many
    ).run()

    assert outcome == Outcome(Verdict.FINISHED)
    assert stage.diary.count("alert started") == 1


def test_a_wrong_configuration_ends_everything_at_once(stage: Stage) -> None:
    wrong = "print('error: site.yaml:3:5: rules: is missing', file=sys.stderr); sys.exit(2)"
    supervisor = stage.supervisor([stage.spec("ingest"), stage.spec("score", wrong)])

    outcome = supervisor.run()

    assert outcome == Outcome(Verdict.MISCONFIGURED, "site.yaml:3:5: rules: is missing")
    assert stage.diary.count("score started") == 1


def test_a_wrong_configuration_ends_everything_also_where_it_took_long_to_be_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FAST_CRASH_S", 0.0)  # as if a large model had been loaded first
    supervisor = stage.supervisor(
        [stage.spec("score", "sys.exit(2)")], is_finished=lambda: stage.started("score", times=2)
    )

    assert supervisor.run().verdict is Verdict.MISCONFIGURED


def test_a_worker_that_has_worked_waits_for_a_right_configuration_and_the_others_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "FAST_CRASH_S", 0.0)
    monkeypatch.setattr(children, "MAX_RESTART_S", 0.01)
    body = "if open(diary).read().count(name + ' started') in range(2, 9): sys.exit(2)\n"
    crashing = body + f"if open(diary).read().count(name + ' started') == 1: sys.exit(1)\n{WORKS}"
    supervisor = stage.supervisor(
        [stage.spec("alert"), stage.spec("score", crashing)], is_finished=lambda: stage.started("score", times=9)
    )

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.FINISHED
    assert stage.diary.count("alert started") == 1


def test_a_stop_ends_the_workers_in_the_order_in_which_the_work_flows(stage: Stage) -> None:
    names = ["ingest", "score", "alert", "deliver"]
    supervisor = stage.supervisor([stage.spec(name) for name in names])
    when(lambda: all(stage.started(name) for name in names), stage.stop.set)

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.STOPPED
    assert [line for line in stage.diary if line.endswith("stopped")] == [f"{name} stopped" for name in names]


def test_a_stop_lets_a_worker_finish_what_waits_for_it(stage: Stage) -> None:
    stage.depths = QueueDepths(windows=3, window_bytes=9, scores=0, outbox={}, dead=0)
    supervisor = stage.supervisor([stage.spec("ingest"), stage.spec("score", idle=lambda depths: depths.windows == 0)])
    when(lambda: stage.started("ingest") and stage.started("score"), stage.stop.set)
    seen: list[list[str]] = []

    def drain() -> None:
        seen.append(stage.diary)
        stage.depths = EMPTY

    when(lambda: "ingest stopped" in stage.diary, drain)

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.STOPPED
    assert "score stopped" not in seen[0]
    assert stage.diary[-1] == "score stopped"


def test_a_drain_that_never_ends_is_cut_off(stage: Stage) -> None:
    stage.depths = QueueDepths(windows=3, window_bytes=9, scores=0, outbox={}, dead=0)
    supervisor = stage.supervisor([stage.spec("score", idle=lambda depths: depths.windows == 0)], drain_timeout_s=0.1)
    when(lambda: stage.started("score"), stage.stop.set)

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.STOPPED
    assert stage.diary[-1] == "score stopped"


def test_a_worker_that_does_not_stop_is_killed(stage: Stage) -> None:
    deaf = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf')\n{WORKS}"
    supervisor = stage.supervisor([stage.spec("score", deaf)], stop_timeout_s=0.2)
    when(lambda: "score deaf" in stage.diary, stage.stop.set)

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.STOPPED
    assert "score stopped" not in stage.diary


def test_force_ends_everything_at_once(stage: Stage) -> None:
    stage.depths = QueueDepths(windows=3, window_bytes=9, scores=0, outbox={}, dead=0)
    deaf = f"signal.signal(signal.SIGTERM, signal.SIG_IGN); note('deaf')\n{WORKS}"
    supervisor = stage.supervisor(
        [stage.spec("score", deaf, idle=lambda depths: depths.windows == 0)], drain_timeout_s=600
    )
    when(lambda: "score deaf" in stage.diary, lambda: (stage.stop.set(), supervisor.force()))

    outcome = supervisor.run()

    assert outcome.verdict is Verdict.FORCED


def test_no_child_is_left_behind_and_none_of_their_children(stage: Stage) -> None:
    parent = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"note(f'child {{child.pid}}')\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WORKS}"
    )
    supervisor = stage.supervisor([stage.spec("ingest", parent)], stop_timeout_s=0.2)
    when(lambda: any("child" in line for line in stage.diary), stage.stop.set)

    supervisor.run()

    grandchild = int(next(line.split()[-1] for line in stage.diary if "child" in line))
    wait_until(lambda: not is_alive(grandchild))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_ctrl_c_on_the_terminal_does_not_reach_the_workers(stage: Stage) -> None:
    supervisor = stage.supervisor(
        [stage.spec("score", "note(f'group {os.getpgid(0)}')\n" + WORKS)],
        is_finished=lambda: any("group" in line for line in stage.diary),
    )

    supervisor.run()

    group = int(next(line.split()[-1] for line in stage.diary if "group" in line))
    assert group != os.getpgid(0)


def test_lines_of_a_worker_arrive_whole(stage: Stage) -> None:
    talk = "print('an event', flush=True); print('a log line', file=sys.stderr, flush=True); note('said')\n" + WORKS
    supervisor = stage.supervisor(
        [stage.spec("deliver", talk)],
        is_finished=lambda: bool(stage.lines) and bool(stage.outputs),
    )

    supervisor.run()

    assert stage.outputs == ["deliver: an event"]
    assert stage.lines == ["deliver: a log line"]


def test_an_unexpected_error_leaves_no_child_behind(stage: Stage) -> None:
    def boom() -> bool:
        wait_until(lambda: stage.started("score"))
        raise RuntimeError("boom")

    supervisor = stage.supervisor([stage.spec("score", "note(os.getpid())\n" + WORKS)], is_finished=boom)

    with pytest.raises(RuntimeError):
        supervisor.run()

    pids = [int(line.split()[1]) for line in stage.diary if line.split()[1].isdecimal()]
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ('{"event": "worker_failed", "level": "error", "error": "no model"}', "error", "no model"),
        ('{"event": "batch_scored", "level": "info"}', "info", "batch_scored"),
        ("error: site.yaml: is empty", "error", "site.yaml: is empty"),
        ("RuntimeError: boom", "error", "RuntimeError: boom"),
        ("  in a traceback", "info", "in a traceback"),
        ("", "info", ""),
    ],
)
def test_the_gist_of_a_line_is_found(line: str, level: str, text: str) -> None:
    assert said(line) == (level, text)
