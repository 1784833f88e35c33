"""docs/metrics.md says what the code shows, and the names follow the conventions of Prometheus."""

import re
from pathlib import Path

import pytest

from xclip_stream.metrics import ALL, Definition, Kind

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)
UNITS = ("_seconds", "_bytes", "_windows")


def test_the_document_has_each_metric_as_the_code_has_it() -> None:
    told = ROW.findall((ROOT / "docs" / "metrics.md").read_text())

    assert told == [(each.full_name, each.kind, ", ".join(each.labels) or "–", each.meaning) for each in ALL]


def test_no_name_stands_for_two_metrics() -> None:
    assert len({each.name for each in ALL}) == len(ALL)


@pytest.mark.parametrize("metric", ALL, ids=[each.name for each in ALL])
def test_a_name_follows_the_conventions(metric: Definition) -> None:
    assert re.fullmatch(r"xclip_stream_[a-z]+(_[a-z]+)*", metric.full_name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.kind is not Kind.HISTOGRAM or metric.name.endswith(UNITS)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert set(metric.labels) <= {"source", "rule", "sink", "outcome", "phase", "state", "kind", "role", "version"}
