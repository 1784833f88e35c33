import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from tests.readers import act
from xclip_stream.pipeline import reader_process as module
from xclip_stream.pipeline.reader_process import Outcome
from xclip_stream.pipeline.readers import Readers


class Team:
    """Readers that do as they are told, and the diaries of their lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.readers = Readers(read=act, preload=["tests.readers"], log=structlog.get_logger())
        self.ended: dict[str, Outcome | None] = {}

    def add(self, what: str, *, silence_s: float = 30.0, max_deaths: int | None = None) -> None:
        self.readers.add(what, (what, self._folder / what), silence_s=silence_s, max_deaths=max_deaths)

    def run(self, until: Callable[[], bool] = lambda: False) -> dict[str, Outcome | None]:
        """Look after the readers until all have ended, or until something holds."""
        tick = threading.Event()
        while self.readers.names and not until():
            self.ended |= self.readers.look_after()
            tick.wait(0.02)
        return self.ended

    def lives(self, what: str) -> list[list[str]]:
        """Return what each life of a reader has written down: its process id and its epoch number."""
        diary = self._folder / what
        return [line.split() for line in diary.read_text().splitlines()] if diary.exists() else []

    def epochs(self, what: str) -> list[int]:
        return [int(epoch) for _, epoch in self.lives(what)]

    def is_running(self, what: str) -> bool:
        return any(Path(f"/proc/{pid}").exists() for pid, _ in self.lives(what))


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.setattr(module, "GRACE_S", 1.0)
    return Team(tmp_path)


def test_all_readers_run_until_each_has_an_outcome(team: Team) -> None:
    team.add("finish")
    team.add("reject")

    assert team.run() == {"finish": Outcome.DONE, "reject": Outcome.REJECTED}


def test_a_reader_that_dies_is_started_again_and_keeps_its_epoch(team: Team) -> None:
    team.add("crash once")

    assert team.run() == {"crash once": Outcome.DONE}
    assert team.epochs("crash once") == [0, 1]


def test_a_reader_that_is_started_again_is_told_what_is_new(team: Team, tmp_path: Path) -> None:
    team.add("crash once")
    team.readers.look_after()
    team.readers.change_order("crash once", ("reject", tmp_path / "crash once"))

    assert team.run() == {"crash once": Outcome.REJECTED}


def test_a_reader_that_hangs_is_killed_and_started_again(team: Team) -> None:
    team.add("hang once", silence_s=1.0)

    assert team.run() == {"hang once": Outcome.DONE}
    assert len(team.epochs("hang once")) == 2


def test_a_reader_that_dies_again_and_again_is_given_up(team: Team) -> None:
    team.add("crash", max_deaths=2)

    assert team.run() == {"crash": Outcome.GIVEN_UP}
    assert len(team.epochs("crash")) == 2


def test_readers_are_asked_to_stop_first_and_killed_when_they_do_not_listen(team: Team) -> None:
    team.add("read on")
    team.add("ignore the stop")
    team.run(until=lambda: bool(team.lives("read on") and team.lives("ignore the stop")))
    for name in team.readers.names:
        team.readers.ask_to_stop(name)

    assert team.run() == {"read on": None, "ignore the stop": None}
    assert not team.is_running("read on")
    assert not team.is_running("ignore the stop")


def test_one_reader_is_killed_at_once_and_the_others_go_on(team: Team) -> None:
    team.add("ignore the stop")
    team.add("read on")
    team.run(until=lambda: bool(team.lives("read on") and team.lives("ignore the stop")))
    team.readers.kill("ignore the stop")

    assert not team.is_running("ignore the stop")
    assert team.is_running("read on")
    assert team.readers.names == ["read on"]
    team.readers.kill("read on")


def test_a_reader_that_is_stopped_before_it_was_started_never_is(team: Team) -> None:
    team.add("finish")
    team.readers.ask_to_stop("finish")

    assert team.run() == {"finish": None}
    assert team.lives("finish") == []


def test_of_very_many_readers_all_are_started_in_the_end(team: Team) -> None:
    for number in range(20):
        team.add(f"finish {number}")

    assert set(team.run().values()) == {Outcome.DONE}
