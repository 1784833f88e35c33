"""The quick form of some storms, so that `make test` sees at once what `make storms` would see in the evening."""

from pathlib import Path

import pytest

from tests.faults.storm import Scale, Storm, all_storms


@pytest.mark.parametrize("storm", [storm for storm in all_storms() if storm.in_tests], ids=lambda storm: storm.name)
def test_a_quick_storm_falls_short_nowhere(storm: Storm, tmp_path: Path) -> None:
    figures = storm.run(Scale(long=False, quick=True, seed=7, folder=tmp_path))

    assert [figure for figure in figures if not figure.ok] == []
    assert any(figure.bound for figure in figures)


def test_the_name_of_a_storm_is_that_of_its_module() -> None:
    storms = all_storms()

    assert [storm.name for storm in storms] == sorted({storm.name for storm in storms})
    assert all(storm.run.__module__ == f"tests.faults.{storm.name}" for storm in storms)
