import threading
from pathlib import Path

import pytest
import structlog

from tests.readers import act
from xclip_stream.pipeline import readers as module
from xclip_stream.pipeline.readers import Outcome, Readers


class Team:
    """Readers that do as they are told, and the diaries of their lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.readers = Readers(read=act, preload=["tests.readers"], log=structlog.get_logger())
        self.told: list[tuple[str, Outcome]] = []
        self.stop = threading.Event()

    def add(self, what: str, *, silence_s: float = 30.0, max_deaths: int | None = None) -> None:
        self.readers.add(what, (what, self._folder / what), silence_s=silence_s, max_deaths=max_deaths)

    def run(self) -> dict[str, Outcome | None]:
        return dict(self.readers.run(self.stop, on_outcome=lambda name, outcome: self.told.append((name, outcome))))

    def epochs(self, what: str) -> list[int]:
        """Return the epoch number that each life of a reader began with."""
        return [int(line.split()[1]) for line in (self._folder / what).read_text().splitlines()]


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.setattr(module, "_GRACE_S", 1.0)
    return Team(tmp_path)


def test_all_readers_run_until_each_has_an_outcome(team: Team) -> None:
    team.add("finish")
    team.add("reject")

    outcomes = team.run()

    assert outcomes == {"finish": Outcome.DONE, "reject": Outcome.REJECTED}
    assert sorted(team.told) == [("finish", Outcome.DONE), ("reject", Outcome.REJECTED)]


def test_a_reader_that_dies_is_started_again_and_keeps_its_epoch(team: Team) -> None:
    team.add("crash once")

    assert team.run() == {"crash once": Outcome.DONE}
    assert team.epochs("crash once") == [0, 1]


def test_a_reader_that_hangs_is_killed_and_started_again(team: Team) -> None:
    team.add("hang once", silence_s=1.0)

    assert team.run() == {"hang once": Outcome.DONE}
    assert len(team.epochs("hang once")) == 2


def test_a_reader_that_dies_again_and_again_is_given_up(team: Team) -> None:
    team.add("crash", max_deaths=2)

    assert team.run() == {"crash": Outcome.GIVEN_UP}
    assert len(team.epochs("crash")) == 2
    assert team.told == [("crash", Outcome.GIVEN_UP)]


def test_at_the_stop_readers_are_asked_first_and_killed_when_they_do_not_listen(team: Team, tmp_path: Path) -> None:
    team.add("read on")
    team.add("ignore the stop")
    diaries = [tmp_path / "read on", tmp_path / "ignore the stop"]
    thread = threading.Thread(target=lambda: (wait_for(diaries), team.stop.set()))
    thread.start()

    outcomes = team.run()

    thread.join()
    pids = [int(diary.read_text().split()[0]) for diary in diaries]
    assert outcomes == {"read on": None, "ignore the stop": None}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def wait_for(files: list[Path]) -> None:
    tick = threading.Event()
    while not all(file.exists() and file.read_text() for file in files):
        tick.wait(0.02)
