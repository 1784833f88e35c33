"""The results file: every key is there, and what is null has a reason."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.parts import PARTS, complete, measure, part_of, read_report, write_report
from benchmarks.ratios import spread_of
from benchmarks.results import KEYS, Figure, PartReport, document, figures_of, table, write

LATENCY = Figure(
    key="queue_latency_p95_ms",
    value=20.0,
    unit="ms",
    rival="three bare hops",
    spread=spread_of([18.0, 20.0, 21.0]),
    at_most=50.0,
    times_the_floor=4.0,
    details={"events": 200},
)


def report(*figures: Figure, name: str = "queue_latency", error: str = "") -> PartReport:
    return PartReport(
        name=name,
        figures=figures,
        measured_at="2026-01-01T00:00:00+00:00",
        took_s=1.0,
        load_before=(0.0, 0.0, 0.0),
        load_after=(1.0, 0.5, 0.1),
        error=error,
    )


def test_every_key_belongs_to_one_part() -> None:
    assert sorted(key for part in PARTS for key in part.keys) == sorted(KEYS)


def test_a_results_file_has_every_key_and_a_reason_for_each_null() -> None:
    results = document([report(LATENCY)], machine={"cores": 2}, run={"quick": False})

    assert results["queue_latency_p95_ms"] == 20.0
    assert results.keys() >= set(KEYS)
    assert results["reasons"].keys() == {key for key in KEYS if results[key] is None}
    assert all(results["reasons"].values())


def test_an_older_file_keeps_what_was_not_measured_again() -> None:
    before = document([report(LATENCY)], machine={}, run={})

    linear = Figure(key="linear_64_sources", value=0.05, unit="share", at_most=0.1)
    results = document([report(linear, name="linear")], machine={}, run={}, before=json.loads(json.dumps(before)))

    assert (results["queue_latency_p95_ms"], results["linear_64_sources"]) == (20.0, 0.05)
    assert results["parts"].keys() == {"queue_latency", "linear"}


def test_a_results_file_gives_its_figures_back(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write(document([report(LATENCY)], machine={}, run={}), path)

    read = {figure.key: figure for figure in figures_of(json.loads(path.read_text()))}

    assert asdict(read[LATENCY.key]) == asdict(LATENCY)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_report_crosses_the_border_of_its_process(tmp_path: Path) -> None:
    sent = report(LATENCY, error="")

    write_report(sent, tmp_path / "report.json")

    assert read_report(tmp_path / "report.json") == sent


@pytest.mark.parametrize(
    ("value", "bounds", "met"),
    [(1.5, {"at_least": 1.4}, True), (0.06, {"at_most": 0.05}, False), (1.0, {}, None), (None, {"at_most": 1.0}, None)],
)
def test_a_figure_says_whether_it_is_what_is_wanted(
    value: float | None, bounds: dict[str, float], met: bool | None
) -> None:
    assert Figure(key="any", value=value, **bounds).met is met


def test_a_part_that_is_not_there_gives_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    found = measure(part_of("idle"), quick=True, folder=tmp_path)

    (figure,) = found.figures
    assert (figure.key, figure.value) == ("idle_cameras_vs_full_decode", None)
    assert "benchmarks/idle.py" in figure.reason


def test_a_key_that_a_part_does_not_give_has_a_reason() -> None:
    part = part_of("end_to_end")
    found = complete(part, [Figure(key=part.keys[0], value=1.3)], error="")

    assert [figure.key for figure in found] == list(part.keys)
    assert found[1].reason


def test_the_table_shows_each_figure_with_its_rival_or_its_reason() -> None:
    results = document([report(LATENCY)], machine={}, run={})
    console = Console(record=True, width=200)

    console.print(table(figures_of(results)))

    text = console.export_text()
    assert "three bare hops" in text
    assert all(key in text for key in KEYS)
