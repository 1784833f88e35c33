import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.score_builders import judge, recording, rule
from tests.servers import redis_server
from xclip_stream.errors import DecodeError
from xclip_stream.event_schema import CloudEvent, asyncapi, json_schema
from xclip_stream.events import encode_event, format_time, parse_event, parse_time, write_documents
from xclip_stream.types import TRACEPARENT, EndReason, Event, Latency, Phase, PromptScore, WindowRef

DOCUMENTS = Path(__file__).resolve().parents[1] / "docs" / "events"
README = (DOCUMENTS / "README.md").read_text()

IDS = st.text(min_size=1, max_size=20)
SHARES = st.floats(0, 1)
TIMES = st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000)
SECONDS = st.integers(0, 10_000_000).map(lambda ms: ms / 1000)
EVENTS = st.builds(
    Event,
    event_id=IDS,
    phase=st.sampled_from(Phase),
    revision=st.integers(0, 1000),
    source_id=IDS,
    region=st.text(max_size=10),
    rule_id=IDS,
    severity=st.sampled_from(["info", "warning", "critical"]),
    labels=st.dictionaries(IDS, st.text(), max_size=3),
    prompt=st.text(),
    score=SHARES,
    peak_score=SHARES,
    threshold=SHARES,
    start_time=TIMES,
    end_time=st.none() | TIMES,
    end_reason=st.none() | st.sampled_from(EndReason),
    window=st.builds(WindowRef, IDS, st.integers(0, 10**9), SECONDS, SECONDS, TIMES),
    top_prompts=st.lists(st.builds(PromptScore, st.text(), SHARES), max_size=5).map(tuple),
    model_name=st.text(),
    model_sha256=st.text(),
    config_hash=st.text(),
    latency=st.none() | st.builds(Latency, *[st.integers(0, 10**6).map(lambda tenths: tenths / 10)] * 3),
    snapshot_url=st.none() | st.text(),
    clip_url=st.none() | st.text(),
    clip_partial=st.booleans(),
    traceparent=st.none() | st.from_regex(TRACEPARENT, fullmatch=True),
)


def told() -> list[Event]:
    _, notices = judge(recording([0.7, 0.7, 0.9, 0.2]), rule(min_duration_s=1, labels={"site": "north"}))
    return [notice.event for notice in notices]


@given(EVENTS, st.integers(0, 10**13))
def test_an_event_that_was_encoded_is_parsed_to_the_same_event(event, number):
    assert parse_event(encode_event(event, number=number)) == event


def test_a_message_of_an_older_version_has_a_clip_that_is_not_known_to_be_partial():
    message = json.loads(encode_event(told()[0], number=0))
    del message["data"]["clip_partial"]

    assert parse_event(json.dumps(message).encode()) == told()[0]


def test_the_envelope_is_a_cloud_event():
    started = told()[0]

    envelope = json.loads(encode_event(started, number=7))

    data = envelope.pop("data")
    assert envelope == {
        "specversion": "1.0",
        "id": f"{started.event_id}:0",
        "source": "xclip-stream/yard",
        "type": "xclip.event.started",
        "subject": "climbing",
        "time": "1970-01-01T00:16:41.000Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:xclip-stream:event:1#/definitions/EventData",
        "partitionkey": "yard",
        "sequence": "000000000007",
    }
    assert data["start_time"] == "1970-01-01T00:16:40.000Z"
    assert data["window"]["seq"] == 1
    assert (data["end_time"], data["end_reason"], data["latency_ms"]) == (None, None, None)


def test_an_event_names_its_trace_only_where_it_has_one():
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    traced = json.loads(encode_event(replace(told()[0], traceparent=trace), number=0))

    assert traced.pop("traceparent") == trace
    assert traced == json.loads(encode_event(told()[0], number=0))


def test_the_source_is_a_uri_reference_whatever_the_id():
    event = parse_event(encode_event(told()[0], number=0).replace(b'"yard"', b'"back yard/#1"'))

    envelope = json.loads(encode_event(event, number=0))

    assert envelope["source"] == "xclip-stream/back%20yard%2F%231"
    assert envelope["partitionkey"] == "back yard/#1"


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1772399050.48, "2026-03-01T21:04:10.480Z"),
        (1.0006, "1970-01-01T00:00:01.001Z"),
        (1.9999, "1970-01-01T00:00:02.000Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_rounded_to_milliseconds(at, text):
    assert format_time(at) == text
    assert parse_time(text) == round(at, 3)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"[]", "the message"),
        (b'{"specversion": "1.0"}', "id"),
        (b"\xff", "the message"),
    ],
)
def test_what_is_no_event_is_refused_with_the_place(body, named):
    with pytest.raises(DecodeError, match=named):
        parse_event(body)


@pytest.mark.parametrize(
    ("path", "value"),
    [("specversion", "2.0"), ("type", "other"), ("data.score", 1.5), ("data.phase", "new"), ("time", "yesterday")],
)
def test_a_wrong_field_is_named(path, value):
    body = json.loads(encode_event(told()[0], number=0))
    *parents, last = path.split(".")
    (body[parents[0]] if parents else body)[last] = value

    with pytest.raises(DecodeError, match=path):
        parse_event(json.dumps(body).encode())


def test_fields_of_a_newer_version_are_passed_over():
    body = json.loads(encode_event(told()[0], number=0))
    body["data"]["track_id"] = body["tracestate"] = "new"

    assert parse_event(json.dumps(body).encode()) == told()[0]


# -------------------------------------------------------------------------------------------------------- documents


def test_the_documents_are_what_the_code_writes(tmp_path):
    write_documents(tmp_path)

    for name in ("event.schema.json", "asyncapi.yaml"):
        assert (tmp_path / name).read_text() == (DOCUMENTS / name).read_text(), f"{name} is old: run make schemas"


def test_the_documents_can_be_written_from_the_command_line(tmp_path):
    subprocess.run([sys.executable, "-m", "xclip_stream.events", str(tmp_path)], check=True)

    assert (tmp_path / "event.schema.json").read_text() == json_schema()
    assert (tmp_path / "asyncapi.yaml").read_text() == asyncapi()


def test_every_reference_in_the_documents_leads_somewhere():
    documents: dict[str, Any] = {"": yaml.safe_load(asyncapi()), "./event.schema.json": json.loads(json_schema())}

    for here, document in documents.items():
        for reference in references(document):
            file, _, pointer = reference.partition("#")
            target = documents[file or here]
            for part in pointer.strip("/").split("/") if pointer else []:
                target = target[part]
            assert target


def test_the_schema_describes_each_field_that_an_event_has():
    schema = json.loads(json_schema())
    body = json.loads(encode_event(told()[0], number=0))

    assert set(schema["properties"]) - {"traceparent"} == set(schema["required"]) == set(body)
    assert set(schema["definitions"]["EventData"]["properties"]) == set(body["data"])


def test_the_examples_in_the_reference_are_the_three_phases_of_an_event():
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]
    events = [parse_event(json.dumps(example).encode()) for example in examples]

    assert [event.phase for event in events] == list(Phase)
    assert [event.revision for event in events] == [0, 1, 2]
    assert len({event.event_id for event in events}) == 1
    for event, example in zip(events, examples, strict=True):
        assert json.loads(encode_event(event, number=int(example["sequence"]))) == example


def test_the_reference_names_every_reason_for_an_end():
    for reason in EndReason:
        assert f"| `{reason}` |" in README


def test_real_events_are_valid():
    for event in told():
        CloudEvent.model_validate_json(encode_event(event, number=0), strict=True)


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


# ------------------------------------------------------------------------------------------- the example in the docs


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path) as url:
        yield url


def test_an_event_with_a_time_that_no_calendar_has_is_none() -> None:
    body = encode_event(told()[0], number=0)
    time = json.loads(body)["data"]["start_time"].encode()

    with pytest.raises(DecodeError, match=r"not an event of .*: a time of it"):
        parse_event(body.replace(time, b"2026-02-30T00:00:00.000Z"))


def consume(url: str, *, last: str) -> list[str]:
    """Run the consumer of the reference until it has handled the message `last`, then kill it."""
    (program,) = (text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "xreadgroup" in text)
    consumer = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ | {"REDIS_URL": url}
    )
    assert consumer.stdout is not None
    handled: list[str] = []
    try:
        while last not in handled:
            handled.append(consumer.stdout.readline().split()[0])
    finally:
        consumer.kill()
        consumer.communicate()
    return handled


def test_the_consumer_in_the_reference_sees_every_message_in_order_over_a_restart(redis_url):
    stream = "xclip:{main}:events"
    messages = {event.message_id: encode_event(event, number=n) for n, event in enumerate(told())}
    ids = list(messages)
    with redis.Redis.from_url(redis_url) as client:
        for message_id in ids[:2]:
            client.xadd(stream, {"id": message_id, "event": messages[message_id]})
        before = consume(redis_url, last=ids[1])
        client.xadd(stream, {"id": ids[2], "event": messages[ids[2]]})
        client.xreadgroup("door", "door-1", {stream: ">"})  # taken by a consumer that died with it in hand
        after = consume(redis_url, last=ids[2])

    assert before == ids[:2]
    assert after in (ids[2:], ids[1:])  # the kill may have come between the second message and its acknowledgement
