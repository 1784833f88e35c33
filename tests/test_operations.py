"""The pages for those who operate it say what the code does."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.faults.storm import all_storms
from xclip_stream.config.parts import IngestConfig, ModelConfig, QueueConfig, SourceConfig
from xclip_stream.config.sinks import WebhookSinkConfig
from xclip_stream.config.viewing import HistoryConfig
from xclip_stream.pipeline import attention

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs"
OPERATIONS = (PAGES / "operations.md").read_text()
FAILURES = (PAGES / "failures.md").read_text()
TUNING = (PAGES / "tuning.md").read_text()
SECTIONS: dict[str, type[BaseModel]] = {
    "queue": QueueConfig,
    "ingest": IngestConfig,
    "history": HistoryConfig,
    "model": ModelConfig,
    "sources[]": SourceConfig,
    "sinks[]": WebhookSinkConfig,
}
KNOBS = dict(re.findall(r"^\| `([a-z]+(?:\[\])?\.\w+)` \| (\S+) \|", TUNING, re.MULTILINE))


def test_every_knob_of_the_queue_is_told() -> None:
    assert {name.partition(".")[2] for name in KNOBS if name.startswith("queue.")} == set(QueueConfig.model_fields)


@pytest.mark.parametrize("knob", KNOBS)
def test_a_knob_has_the_default_that_is_told(knob: str) -> None:
    section, _, key = knob.partition(".")
    default: Any = SECTIONS[section].model_fields[key].default

    assert KNOBS[knob] == ("none" if default is None else f"{default:.10g}")


def test_every_event_of_the_log_that_is_told_is_logged() -> None:
    code = "".join(path.read_text() for folder in ("xclip_stream", "workers") for path in (ROOT / folder).rglob("*.py"))
    keys = {"backlog_windows", "stride_s", "retry_in_s", "max_delay_s", "max_age_s", "end_reason"}
    told = {name.removeprefix("xclip_stream_") for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", FAILURES)} - keys

    assert {name for name in told if f'"{name}"' not in code and f"{name}=" not in code} == set()


def test_the_bounds_of_what_needs_attention_are_those_of_the_code() -> None:
    assert f"nothing for {attention.SILENT_AFTER_S:.0f} s means" in OPERATIONS
    assert f"has taken a window for {attention.UNTAKEN_AFTER_S:.0f} s`" in OPERATIONS
    assert f"for more than {attention.UNDELIVERED_AFTER_S:.0f} s" in OPERATIONS
    assert f"{attention.FULL:.0%}".replace("%", " %") + " of" in OPERATIONS


def test_every_storm_is_told() -> None:
    told = set(re.findall(r"^\| `([a-z_]+)` \|", (PAGES / "storms.md").read_text(), re.MULTILINE))

    assert told == {storm.name for storm in all_storms()}
