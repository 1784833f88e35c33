"""Evidence in a folder: how it gets its place, and how it is let go of."""

import os
import tracemalloc
from pathlib import Path

import pytest

from xclip_stream.errors import EvidenceError
from xclip_stream.storage import LocalStore, Retention, Swept

NOW = 1_700_000_000.0
DAY = "yard/2023-11-14"
NOTHING = Swept(files=0, num_bytes=0, oldest_s=0.0, removed=0, removed_bytes=0)


def kept(folder: Path, number: int, *, age_s: float = 0.0, size: int = 100, suffix: str = ".mp4") -> Path:
    path = folder / DAY / f"{number:032x}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


def retention(folder: Path, *, max_age_s: float = 1000.0, max_bytes: int = 1_000_000) -> Retention:
    return Retention(folder, max_age_s=max_age_s, max_bytes=max_bytes, now=lambda: NOW)


def test_a_draft_takes_its_place_in_one_step_and_may_be_read_by_a_web_server(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "kept")
    place = store.place(f"{DAY}/a.mp4")
    place.write_text("growing")
    draft = place.with_name(".a.mp4.draft")
    draft.write_text("whole")
    draft.chmod(0o600)

    store.keep(draft, f"{DAY}/a.mp4")

    assert place.read_text() == "whole"
    assert (store.has(f"{DAY}/a.mp4"), store.has(f"{DAY}/b.mp4")) == (True, False)
    assert place.stat().st_mode & 0o777 == 0o644
    assert not draft.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")

    with pytest.raises(EvidenceError, match=r"kept/yard: cannot be made \(Not a directory\)"):
        LocalStore(tmp_path / "kept").place("yard/a.mp4")


def test_what_is_too_old_is_removed(tmp_path: Path) -> None:
    old, young = kept(tmp_path, 1, age_s=1001), kept(tmp_path, 2, age_s=999)

    assert retention(tmp_path).sweep() == Swept(files=1, num_bytes=100, oldest_s=999, removed=1, removed_bytes=100)
    assert (old.exists(), young.exists()) == (False, True)


def test_the_oldest_are_removed_until_the_rest_is_small_enough(tmp_path: Path) -> None:
    files = [kept(tmp_path, number, age_s=100 - number, size=100) for number in range(10)]

    swept = retention(tmp_path, max_bytes=350).sweep()

    assert [path.exists() for path in files] == [False] * 7 + [True] * 3
    assert swept == Swept(files=3, num_bytes=300, oldest_s=93, removed=7, removed_bytes=700)


def test_what_it_has_not_written_is_never_touched(tmp_path: Path) -> None:
    others = [tmp_path / "notes.txt", tmp_path / DAY / "holiday.mp4", tmp_path / "yard" / "letters" / f"{1:032x}.mp4"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (0, 0))
    target = tmp_path / "target"
    target.write_text("precious")
    link = tmp_path / DAY / f"{7:032x}.mp4"
    link.symlink_to(target)

    assert retention(tmp_path, max_bytes=1).sweep() == NOTHING
    assert all(path.exists() for path in [*others, target, link])


def test_a_draft_that_nobody_writes_any_more_is_removed_sooner(tmp_path: Path) -> None:
    draft = kept(tmp_path, 1, age_s=3700)
    draft = draft.rename(draft.with_name(f".{draft.name}.draft"))

    retention(tmp_path, max_age_s=1_000_000).sweep()

    assert not draft.exists()


def test_a_folder_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    assert retention(tmp_path / "nowhere").sweep() == NOTHING


def test_days_that_are_empty_are_removed_with_their_last_file(tmp_path: Path) -> None:
    kept(tmp_path, 1, age_s=2000)
    first = retention(tmp_path)
    first.sweep()
    os.utime(tmp_path / DAY, (NOW - 4000, NOW - 4000))
    first.sweep()

    assert not (tmp_path / DAY).exists()


def test_how_old_evidence_is_counts_from_when_it_was_made_not_from_when_it_happened(tmp_path: Path) -> None:
    new, older = kept(tmp_path, 1, age_s=1), kept(tmp_path, 2, age_s=2)
    of_an_old_film = tmp_path / "film" / "1999-12-31" / new.name
    of_an_old_film.parent.mkdir(parents=True)
    new.rename(of_an_old_film)

    retention(tmp_path, max_bytes=100).sweep()

    assert (of_an_old_film.exists(), older.exists()) == (True, False)


def test_memory_hardly_grows_with_the_files_that_are_kept(tmp_path: Path) -> None:
    files = 3000
    for number in range(files):
        kept(tmp_path, number, size=1)
    swept = retention(tmp_path, max_bytes=files)
    swept.sweep()  # what is made once is not counted

    tracemalloc.start()
    try:
        assert swept.sweep().files == files
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 100 * files
