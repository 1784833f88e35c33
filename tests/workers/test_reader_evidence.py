"""What a reader is told of evidence."""

from pathlib import Path

import pytest

from workers.reader_evidence import EvidenceOrder, evidence_order, patience_s
from xclip_stream.config import load_config


def order(folder: Path, *, min_duration_s: float) -> EvidenceOrder:
    path = folder / "site.yaml"
    path.write_text(
        f"""
version: 1
evidence: {{dir: evidence, pre_roll_s: 5}}
sources: [{{id: yard, url: "rtsp://camera/live", window: {{span_s: 4}}}}]
rules:
  - {{id: fall, prompts: [a person falling], min_duration_s: {min_duration_s}}}
  - {{id: run, prompts: [a person running]}}
"""
    )
    config = load_config(path)
    found = evidence_order(config, config.sources[0])
    assert found is not None
    return found


@pytest.mark.parametrize(("longest_s", "expected"), [(0.0, 5.0), (5.0, 5.0), (5.1, 10.0), (30.0, 40.0)])
def test_a_reader_waits_for_at_least_the_longest_of_its_rules(longest_s: float, expected: float) -> None:
    assert patience_s(longest_s) == expected


def test_of_a_camera_so_much_is_held_that_a_clip_has_the_beginning_of_an_event(tmp_path: Path) -> None:
    assert order(tmp_path, min_duration_s=30.0).held_s == 5.0 + 4.0 + 40.0 + 15.0


def test_a_rule_that_has_to_hold_a_little_longer_starts_no_reader_again(tmp_path: Path) -> None:
    assert order(tmp_path, min_duration_s=2.0) == order(tmp_path, min_duration_s=0.0)
