from pathlib import Path

import pytest

from xclip_stream.processors import processor_limit


def limit(tmp_path: Path, own: str, **quotas: str) -> int | None:
    """The limit where the control groups have such quotas; `pod__score` is the group /pod/score."""
    root = tmp_path / "cgroup"
    for name, quota in quotas.items():
        folder = root / name.replace("__", "/").removeprefix("root")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(f"{quota}\n")
    (tmp_path / "own").write_text(f"{own}\n")
    return processor_limit(root, tmp_path / "own")


@pytest.mark.parametrize(
    ("quota", "processors"),
    [("max 100000", None), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("1000 100000", 1)],
)
def test_a_container_sees_the_quota_of_its_group(tmp_path: Path, quota: str, processors: int | None) -> None:
    assert limit(tmp_path, "0::/", root=quota) == processors


def test_the_tightest_quota_around_a_group_counts(tmp_path: Path) -> None:
    quotas = {"pod": "300000 100000", "pod__score": "800000 100000", "other": "100000 100000"}
    assert limit(tmp_path, "0::/pod/score", **quotas) == 3


def test_no_group_is_no_limit(tmp_path: Path) -> None:
    assert limit(tmp_path, "12:cpu:/pod") is None
    assert processor_limit(tmp_path, tmp_path / "missing") is None


def test_a_group_that_is_not_in_sight_is_no_limit(tmp_path: Path) -> None:
    assert limit(tmp_path, "0::/../..", other="100000 100000") is None
