"""What `make demo` does beside watching: how it ends, and what it says of what it was told."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from xclip_stream.demo import play
from xclip_stream.demo.agreement import Told, compare
from xclip_stream.demo.play import Pass, sum_up, watch
from xclip_stream.demo.script import TruthEvent

TRUTH = (TruthEvent("climb", 3.0, 9.0),)
EVENT = {
    "data": {
        "window": {"last_pts_s": 5.0},
        "rule_id": "climb",
        "phase": "started",
        "peak_score": 0.9,
        "prompt": "a person climbing over a fence",
    }
}


@pytest.fixture
def run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in place of `xclip-stream` that tells of one event and ends as it is told."""

    def put(ending: str) -> None:
        program = tmp_path / "program"
        telling = f"print({json.dumps(json.dumps(EVENT))}, flush=True)"
        program.write_text(f"#!{sys.executable}\nimport sys, time\n{telling}\n{ending}\n")
        program.chmod(0o755)
        monkeypatch.setattr(play, "PROGRAM", str(program))

    return put


def test_an_interrupted_demo_leaves_nothing_that_would_be_waited_for(
    run_ends: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[subprocess.Popen[str]] = []
    start = play.start_run

    def interrupt(*_: object) -> list[Told]:
        raise KeyboardInterrupt

    run_ends("time.sleep(600)")
    monkeypatch.setattr(play, "start_run", lambda *words: runs.append(start(*words)) or runs[-1])
    monkeypatch.setattr(play, "show", interrupt)
    with pytest.raises(KeyboardInterrupt):
        watch("file", "any.mp4", tmp_path / "any.yaml", tmp_path, TRUTH)

    assert runs[0].returncode is not None
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize(("ending", "exit_code"), [("sys.exit(0)", 0), ("sys.exit(3)", 1)])
def test_a_run_that_fails_is_not_right_whatever_it_told(
    ending: str, exit_code: int, run_ends: Callable[[str], None], tmp_path: Path
) -> None:
    run_ends(ending)
    found = watch("file", "any.mp4", tmp_path / "any.yaml", tmp_path, TRUTH)

    assert found.agreement.is_right
    assert sum_up([found]) == exit_code


@pytest.mark.parametrize(
    ("told", "exit_code"),
    [
        ([Told("climb", 5.0)], 0),
        ([Told("climb", 2.1)], 0),
        ([Told("climb", 12.9)], 0),
        ([], 1),
        ([Told("climb", 5.0), Told("climb", 6.0)], 1),
        ([Told("climb", 1.9)], 1),
        ([Told("climb", 13.1)], 1),
        ([Told("fall", 5.0)], 1),
    ],
    ids=["right", "first", "last", "missed", "double", "early", "late", "other"],
)
def test_the_exit_code_is_0_only_where_all_of_the_truth_was_told_and_nothing_else(
    told: list[Told], exit_code: int
) -> None:
    assert sum_up([Pass("file", "any.mp4", 0, compare(TRUTH, told))]) == exit_code


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()

    command = [sys.executable, "-m", "xclip_stream.demo.play", "--out", str(tmp_path / "taken")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: cannot write to {tmp_path / 'taken'}: ")
    assert len(done.stderr.splitlines()) == 1
