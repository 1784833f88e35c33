import json
from dataclasses import replace
from pathlib import Path

from tests.faults.told import Difference, Told, by_source, compare, jsonl_events, read_told

A, B, C = (Told("yard", f"{name}:0", "body") for name in "abc")
GATE = Told("gate", "g:0", "body")
EXPECTED = {"yard": [A, B, C], "gate": [GATE]}
RIGHT = Difference(lost=0, extra=0, changed=0, repeated=0, misplaced=0)


def test_sources_may_be_mixed_as_long_as_each_is_in_order() -> None:
    assert compare(EXPECTED, [A, GATE, B, C]) == RIGHT


def test_what_is_missing_is_lost_and_what_nobody_expected_is_extra() -> None:
    stranger = Told("yard", "z:0", "body")

    assert compare(EXPECTED, [A, C, GATE, stranger]) == replace(RIGHT, lost=1, extra=1)


def test_another_body_under_an_expected_id_is_a_change() -> None:
    assert compare(EXPECTED, [A, replace(B, body="other"), C, GATE]) == replace(RIGHT, changed=1)


def test_what_is_told_again_keeps_the_place_where_it_was_told_first() -> None:
    assert compare(EXPECTED, [A, B, A, B, C, GATE]) == replace(RIGHT, repeated=2)


def test_a_message_told_before_one_that_precedes_it_is_out_of_order() -> None:
    assert compare(EXPECTED, [B, A, C, GATE]) == replace(RIGHT, misplaced=1)


def test_a_place_where_messages_may_come_again_falls_short_for_no_repetition() -> None:
    repeated = replace(RIGHT, repeated=1)

    assert [figure.ok for figure in repeated.figures("stream", once=True)] == [True, False]
    assert [figure.ok for figure in repeated.figures("webhook", once=False)] == [True, True]
    assert not replace(RIGHT, lost=1).figures("webhook", once=False)[0].ok


def test_two_runs_tell_the_same_whatever_their_latencies(tmp_path: Path) -> None:
    def event(latency_ms: int) -> bytes:
        data = {
            "source_id": "yard",
            "latency_ms": {"committed": latency_ms},
            "config_hash": str(latency_ms),
            "score": 1,
        }
        return json.dumps({"id": "a:0", "data": data}).encode()

    path = tmp_path / "events.jsonl"
    path.write_bytes(event(1) + b"\n" + event(2) + b"\n")

    first, second = jsonl_events(path)

    assert first == second == read_told(event(3))
    assert by_source([first]) == {"yard": [first]}
