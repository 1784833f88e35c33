"""The folder of a run: gone with the run, and with the next one where the run was killed."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import run, start
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video
from xclip_stream.cli.run_folder import run_folder

WATCH = (
    *("watch", "film.mp4", "anything at all", "-b", "an empty yard"),
    *("--enter", "0.001", "--span", "2", "--stride", "0.5", "--checkpoint", "model", "--device", "cpu"),
)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A place for temporary files whose name is short, as the paths of sockets have to be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_two_runs_leave_each_other_alone_and_nothing_behind(tmp_path: Path) -> None:
    with run_folder(tmp_path) as first, run_folder(tmp_path) as second:
        there = {first, second} == set(tmp_path.iterdir())

    assert there
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_has_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "xclip-stream-notes").mkdir()
    (tmp_path / "xclip-stream-notes" / "a.txt").touch()

    with run_folder(tmp_path):
        pass

    assert (tmp_path / "xclip-stream-notes" / "a.txt").exists()


def test_what_killed_runs_have_left_is_removed_by_the_next(tmp_path: Path, temporary: Path) -> None:
    write_tiny_checkpoint(tmp_path / "model", num_frames=4)
    write_video(tmp_path / "film.mp4", steady(5, 10))
    (tmp_path / "site.yaml").write_text(
        "model: {checkpoint: ./model}\nsources: [{id: film, url: film.mp4, realtime: true, window: {span_s: 2}}]\n"
        "rules: [{id: anything, prompts: [anything at all], enter: 0.001, exit: 0.0005}]\n"
        "sinks: [{id: console, type: console}]\n"
    )
    processes = [start(*words, home=tmp_path, TMPDIR=str(temporary)) for words in (("run", "site.yaml"), WATCH)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline()

        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    left = list(temporary.iterdir())
    done = run(*WATCH, home=tmp_path, TMPDIR=str(temporary))

    assert len(left) >= 2
    assert done.returncode == 0, done.stderr
    assert list(temporary.iterdir()) == []
