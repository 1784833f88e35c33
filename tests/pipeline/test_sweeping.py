"""Sweeping beside the work of an ingest worker, over a real folder."""

import os
from pathlib import Path

import structlog

from xclip_stream.meters import EvidenceKept
from xclip_stream.pipeline.sweeping import SweepingThread
from xclip_stream.storage import Retention, Swept

NOW = 1_700_000_000.0


def kept(folder: Path, number: int, *, age_s: float) -> None:
    path = folder / "yard" / "2023-11-14" / f"{number:032x}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(100))
    os.utime(path, (NOW - age_s, NOW - age_s))


class Sweeping:
    """A thread that sweeps a folder, run here in the test's own thread."""

    def __init__(self, folder: Path | None) -> None:
        self._retention = folder and Retention(folder, max_age_s=1000.0, max_bytes=1000, now=lambda: NOW)
        self.thread = SweepingThread(self._sweep, log=structlog.get_logger())

    def run(self) -> EvidenceKept | None:
        """Sweep once."""
        self.thread.over.set()
        self.thread.run()
        return self.thread.kept()

    def _sweep(self) -> Swept | None:
        return self._retention.sweep() if self._retention else None


def test_what_is_left_is_told_and_what_was_removed_adds_up(tmp_path: Path) -> None:
    sweeping = Sweeping(tmp_path)
    for number, age_s in enumerate((2000, 3000, 50)):
        kept(tmp_path, number, age_s=age_s)
    assert sweeping.run() == EvidenceKept(files=1, num_bytes=100, oldest_s=50, removed_files=2, removed_bytes=200)

    kept(tmp_path, 4, age_s=1500)
    assert sweeping.run() == EvidenceKept(files=1, num_bytes=100, oldest_s=50, removed_files=3, removed_bytes=300)


def test_where_nothing_is_kept_nothing_is_told() -> None:
    sweeping = Sweeping(None)
    assert sweeping.thread.kept() is None

    assert sweeping.run() is None
