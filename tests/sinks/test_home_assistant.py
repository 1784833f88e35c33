"""What a real broker holds for Home Assistant, seen by a client that subscribes as Home Assistant does.

The rules of the documents are those of https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from tests.brokers import Mosquitto, MqttListener
from tests.event_builders import a_life
from xclip_stream.sinks.home_assistant import Discovery, Topics, WatchedRule, slug
from xclip_stream.sinks.mqtt import MqttSink
from xclip_stream.types import WHOLE_FRAME

CLIMBING = WatchedRule("yard", "climbing", (WHOLE_FRAME, "gate"), 300.0)
FIGHT = WatchedRule("yard", "fight", (WHOLE_FRAME,), 60.0)
RUNNING = WatchedRule("back.door", "running", (WHOLE_FRAME,), 60.0)
YARD = "homeassistant/device/site_yard/config"
STATE = "site/state/yard/climbing/frame"
AS_HOME_ASSISTANT = ("homeassistant/+/+/config", "site/#", "homeassistant/status")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mqtt") as broker:
        yield broker


def a_sink(broker: Mosquitto, watched: Sequence[WatchedRule] = (CLIMBING,), *, prefix: str = "site") -> MqttSink:
    topics = Topics(prefix)
    discovery = Discovery(watched, topics=topics, prefix="homeassistant", version="1.2.3")
    return MqttSink(url=broker.url, client_id=f"{prefix}-main-home", topics=topics, discovery=discovery)


def retained(broker: Mosquitto, *filters: str) -> dict[str, Any]:
    """Return what somebody finds who subscribes now. All of it has come when our own message has."""
    with MqttListener(broker, *(filters or AS_HOME_ASSISTANT), "test/end") as listener:
        listener.publish("test/end", b"")
        listener.wait_for(lambda: listener.heard[-1:] and listener.heard[-1].topic == "test/end")
        return {found.topic: bytes(found.payload) for found in listener.heard if found.retain}


def introduced(broker: Mosquitto, watched: Sequence[WatchedRule]) -> None:
    """Open a sink until its states are complete, and close it."""
    with MqttListener(broker, "site/status", "test/end") as listener, a_sink(broker, watched) as sink:
        listener.wait_for(lambda: listener.payloads("site/status")[-1:] == [b"online"])
        settle(sink, broker)


def settle(sink: MqttSink, broker: Mosquitto) -> None:
    """Wait until the sink has heard what is retained, and has said what it has to say to that."""
    with MqttListener(broker, "site/state/#", "homeassistant/#") as listener:
        expected = sink._discovery.state_topics
        listener.wait_for(lambda: expected <= {found.topic for found in listener.heard})


def state(payload: bytes) -> str:
    return str(json.loads(payload)["state"])


def test_each_source_is_a_device_with_what_home_assistant_requires(broker):
    with a_sink(broker, [CLIMBING, FIGHT, RUNNING]) as sink:
        settle(sink, broker)
        found = retained(broker)

    configs = {topic: json.loads(payload) for topic, payload in found.items() if topic.endswith("/config")}
    assert set(configs) == {YARD, f"homeassistant/device/site_{slug('back.door')}/config"}
    unique_ids = []
    for topic, document in configs.items():
        # Home Assistant takes no other characters in the topic of a document.
        assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)
        assert document["device"]["identifiers"]
        assert document["origin"] == {"name": "xclip-stream", "sw_version": "1.2.3"}
        assert found[document["availability_topic"]] == b"online"
        for component in document["components"].values():
            unique_ids.append(component["unique_id"])
            if component["platform"] == "binary_sensor":
                assert state(found[component["state_topic"]]) == "OFF"
            else:
                assert component["platform"] == "event"
                assert component["event_types"] == ["started", "updated", "ended"]
                assert component["state_topic"] not in found  # it takes a retained event for an old one
    assert len(unique_ids) == len(set(unique_ids)) == 3 + 2 + 2


def test_a_sensor_is_on_from_started_to_ended_and_the_event_entity_hears_each_phase(broker):
    with MqttListener(broker, *AS_HOME_ASSISTANT) as listener, a_sink(broker) as sink:
        settle(sink, broker)
        for message in a_life():
            sink.deliver(message)
        listener.wait_for(lambda: len(listener.payloads(STATE)) == 4)

    components = json.loads(listener.payloads(YARD)[0])["components"]
    sensor, event = components["climbing_in_frame"], components["climbing_event"]
    assert [rendered(sensor, payload) for payload in listener.payloads(STATE)] == ["OFF", "ON", "ON", "OFF"]
    told = [json.loads(rendered(event, payload)) for payload in listener.payloads(event["state_topic"])]
    assert [attributes["event_type"] for attributes in told] == ["started", "updated", "ended"]
    assert told[2]["end_reason"] == "released"
    last = json.loads(rendered(sensor, listener.payloads(STATE)[-1], "json_attributes_template"))
    assert (last["event_id"], last["end_reason"], last["severity"]) == ("e1", "released", "critical")


def rendered(component: dict[str, Any], payload: bytes, template: str = "value_template") -> str:
    """Render a template as Home Assistant does: Jinja, with `value_json` and a filter of its own."""
    environment = Environment()  # noqa: S701 - no HTML is made
    environment.filters["to_json"] = json.dumps
    return environment.from_string(component[template]).render(value_json=json.loads(payload))


def test_regions_are_sensors_of_their_own(broker):
    with a_sink(broker) as sink:
        settle(sink, broker)
        sink.deliver(a_life("e1", region="gate")[0])
        sink.deliver(a_life("e2", region="")[0])
        sink.deliver(a_life("e2", region="")[2])
        found = retained(broker)

    assert (state(found["site/state/yard/climbing/gate"]), state(found[STATE])) == ("ON", "OFF")


def test_a_sensor_that_is_on_stays_on_over_a_restart_and_goes_off_when_the_event_ends(broker):
    started, _, ended = a_life()
    with a_sink(broker) as sink:
        settle(sink, broker)
        sink.deliver(started)
    while_down = retained(broker)
    with a_sink(broker) as sink:
        settle(sink, broker)
        after_restart = retained(broker)
        sink.deliver(ended)
        after_end = retained(broker)

    assert while_down["site/status"] == b"offline"
    assert [state(found[STATE]) for found in (while_down, after_restart, after_end)] == ["ON", "ON", "OFF"]


def test_a_start_that_comes_again_after_the_end_does_not_turn_the_sensor_on(broker):
    started, _, ended = a_life()
    with a_sink(broker) as sink:
        settle(sink, broker)
        sink.deliver(started)
        sink.deliver(ended)
    with a_sink(broker) as sink:
        settle(sink, broker)
        sink.deliver(started)  # a dead letter that somebody replays
        found = retained(broker)

    assert state(found[STATE]) == "OFF"


@pytest.mark.parametrize(
    "again",
    [
        a_life("e1", first_number=1, committed_at=2e9),  # a file that is played again counts anew
        a_life("e2", first_number=9, committed_at=1e9),  # the clock was set back
    ],
)
def test_a_later_event_turns_the_sensor_on_whatever_the_clock_or_the_count_say(broker, again):
    with a_sink(broker) as sink:
        settle(sink, broker)
        for message in [*a_life("e1"), again[0]]:
            sink.deliver(message)
        found = retained(broker)

    assert state(found[STATE]) == "ON"


def test_the_documents_are_told_again_when_home_assistant_is_born(broker):
    with MqttListener(broker, YARD) as listener, a_sink(broker) as sink:
        settle(sink, broker)
        listener.wait_for(lambda: len(listener.heard) == 1)
        listener.publish("homeassistant/status", b"offline")
        listener.publish("homeassistant/status", b"online")
        listener.wait_for(lambda: len(listener.heard) == 2)

    assert listener.payloads(YARD)[0] == listener.payloads(YARD)[1]


def test_a_birth_that_the_broker_has_retained_is_no_new_one(broker):
    with MqttListener(broker, YARD) as listener:
        listener.publish("homeassistant/status", b"online", retain=True)
        with a_sink(broker) as sink:
            settle(sink, broker)
            sink.deliver(a_life()[0])
        listener.wait_for(lambda: len(listener.heard) >= 1)

    assert len(listener.heard) == 1


def test_a_rule_that_is_gone_takes_its_entities_with_it(broker):
    introduced(broker, [CLIMBING, FIGHT])
    heard = ("homeassistant/#", "site/state/#")
    with MqttListener(broker, *heard) as listener, a_sink(broker, [CLIMBING]) as sink:
        settle(sink, broker)
        listener.wait_for(lambda: len(listener.payloads(YARD)) == 4)  # retained; new; with what goes; new
        listener.wait_for(lambda: listener.payloads("site/state/yard/fight/frame")[-1:] == [b""])
        found = retained(broker)

    going = json.loads(listener.payloads(YARD)[2])["components"]
    assert going["fight_in_frame"] == {"platform": "binary_sensor"}
    assert going["fight_event"] == {"platform": "event"}
    assert set(json.loads(found[YARD])["components"]) == {"climbing_in_frame", "climbing_in_gate", "climbing_event"}
    assert "site/state/yard/fight/frame" not in found


def test_a_source_that_is_gone_takes_its_device_with_it_and_those_of_others_stay(broker):
    introduced(broker, [CLIMBING, RUNNING])
    others = json.dumps({"origin": {"name": "xclip-stream"}, "availability_topic": "other/status"}).encode()
    with MqttListener(broker, "homeassistant/#", "site/state/#") as listener:
        listener.publish("homeassistant/device/other_yard/config", others, retain=True)
        listener.publish("homeassistant/device/lamp/config", b'{"origin": {"name": "lamps"}}', retain=True)
        listener.publish("homeassistant/device/odd/config", b"no json", retain=True)
        gone = f"homeassistant/device/site_{slug('back.door')}/config"
        with a_sink(broker, [CLIMBING]) as sink:
            settle(sink, broker)
            listener.wait_for(lambda: listener.payloads(gone)[-1:] == [b""])
            listener.wait_for(lambda: listener.payloads("site/state/back.door/running/frame")[-1:] == [b""])
            found = retained(broker)

    kept = {topic for topic in found if topic.startswith("homeassistant/device/")}
    names = ("other_yard", "lamp", "odd", "site_yard")
    assert kept == {f"homeassistant/device/{name}/config" for name in names}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("homeassistant/device/lamp/config", b'{"origin": null}'),
        ("homeassistant/device/lamp/config", b'{"origin": "lamps"}'),
        ("homeassistant/device/lamp/config", b"[" * 100_000),
        (YARD, b'{"origin": {"name": "xclip-stream"}, "availability_topic": "site/status", "components": ["a"]}'),
        (STATE, b"[" * 100_000),
        (STATE, b'{"state": "ON", "sequence": 7, "committed_at": 1, "attributes": {}}'),
    ],
)
def test_what_others_have_left_at_the_broker_stops_no_event(broker, topic, payload):
    with MqttListener(broker, STATE) as listener:
        listener.publish(topic, payload, retain=True)
        with a_sink(broker) as sink:
            for message in a_life():
                sink.deliver(message)
        listener.wait_for(lambda: listener.payloads(STATE)[-1:] != [payload])

    assert state(listener.payloads(STATE)[-1]) == "OFF"


@pytest.mark.parametrize(("one", "other"), [("back.door", "back_door"), ("a.b", "a-b"), ("A", "a")])
def test_no_two_names_become_one(one, other):
    assert slug(one) != slug(other)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", slug(one))
