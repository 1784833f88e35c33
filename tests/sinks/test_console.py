import io
import json
import os

import pytest

from tests.event_builders import NOON, a_message
from xclip_stream.errors import DeliveryRejected
from xclip_stream.sinks.console import ConsoleSink
from xclip_stream.sinks.wording import show_time
from xclip_stream.types import EndReason, Message, Phase


def written(message: Message, **options: object) -> str:
    stream = io.StringIO()
    with ConsoleSink(stream=stream, **options) as sink:
        sink.deliver(message)
    return stream.getvalue()


def test_a_start_is_one_line_with_time_rule_place_score_and_prompt():
    line = written(a_message(region="gate"))

    assert line == (
        '2026-03-01 12:00:00Z  started  critical  climbing  yard/gate  score 0.93  "a person climbing over a fence"\n'
    )


def test_an_end_tells_when_it_was_how_long_it_lasted_and_why():
    ended = {"phase": Phase.ENDED, "end_time": NOON + 12.5, "end_reason": EndReason.RELEASED, "peak_score": 0.97}

    line = written(a_message(**ended))

    assert line.startswith("2026-03-01 12:00:12Z  ended    critical  climbing  yard  peak 0.97")
    assert line.endswith("lasted 12.5 s (released)\n")


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (0.0, "0:00:00.0"),
        (59.96, "0:01:00.0"),
        (3723.44, "1:02:03.4"),
        (90000.0, "25:00:00.0"),
        (NOON, "2026-03-01 12:00:00Z"),
    ],
)
def test_a_recording_without_a_start_time_is_shown_by_position(at, shown):
    assert show_time(at) == shown


def test_a_prompt_with_line_breaks_stays_on_one_line():
    assert written(a_message(prompt="a person\nfalls")).count("\n") == 1


def test_json_lines_are_the_event_as_it_is():
    message = a_message()

    line = written(message, format="json")

    assert line.encode() == message.body + b"\n"
    assert json.loads(line)["id"] == "e1:0"


def test_each_line_is_flushed():
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as stream:
        ConsoleSink(stream=stream).deliver(a_message())

        assert "climbing" in reader.readline()


def test_a_terminal_that_lacks_a_letter_still_gets_the_alert():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    ConsoleSink(stream=stream).deliver(a_message(prompt="jemand fällt"))

    assert b"jemand f\\xe4llt" in raw.getvalue()


def test_a_pipe_that_nobody_reads_rejects_the_message():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")

    with pytest.raises(DeliveryRejected, match="output is closed"):
        ConsoleSink(stream=stream).deliver(a_message())
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_closed_stream_rejects_the_message():
    stream = io.StringIO()
    stream.close()

    with pytest.raises(DeliveryRejected, match="output is closed"):
        ConsoleSink(stream=stream).deliver(a_message())


def test_a_body_that_is_no_event_is_rejected_with_the_reason(message):
    with pytest.raises(DeliveryRejected, match="not an event"):
        ConsoleSink(stream=io.StringIO()).deliver(message("e1:0", b"{}"))
