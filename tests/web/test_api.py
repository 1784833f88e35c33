"""The API of the dashboard over a real Redis: what it answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until
from tests.web.dashboards import SITE, Dashboard, recorded
from xclip_stream.event_schema import asyncapi, json_schema
from xclip_stream.types import Picture

TWO = [0.1, 0.9, 0.8, 0.1, 0.1, 0.7, 0.1]
SECRETS = ("hunter22", "passw0rd", "topsecret", "viewer")


def known(served: Dashboard, event_id: str) -> bool:
    return event_id in {event["event_id"] for event in served.get("/api/events")["events"]}


def test_a_file_that_is_wrong_or_waits_for_a_restart_needs_attention(served: Dashboard, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    right = path.read_text()

    def attention() -> list[str]:
        return served.get("/api/system")["attention"]

    path.write_text(right.replace("severity", "severty"))
    wait_until(lambda: any("site.yaml:9:5: rules[0].severty: unknown key" in line for line in attention()))
    path.write_text(right + "history: {hours: 1}\n")
    wait_until(lambda: "restart to take up what has changed in history" in attention())
    path.write_text(right)
    wait_until(lambda: not any("restart" in line or "wrong" in line for line in attention()))


@pytest.fixture
def told(served: Dashboard) -> list[str]:
    """Two events of the yard."""
    event_ids = served.judge(recorded(TWO))
    wait_until(lambda: all(known(served, event_id) for event_id in event_ids))
    return event_ids


def test_events_are_listed_the_newest_first(served: Dashboard, told: list[str]) -> None:
    found = served.get("/api/events")

    assert [event["event_id"] for event in found["events"]] == told[::-1]
    assert found["events"][0] | {"committed_ms": 0} == {
        "event_id": told[1],
        "phase": "ended",
        "source_id": "yard",
        "region": "",
        "rule_id": "climbing",
        "severity": "critical",
        "prompt": "a person climbing a fence",
        "score": 0.1,
        "peak_score": 0.7,
        "threshold": 0.6,
        "start_time": found["events"][0]["start_time"],
        "end_time": found["events"][0]["end_time"],
        "end_reason": "released",
        "snapshot_url": None,
        "clip_url": None,
        "committed_ms": 0,
    }


def test_lists_have_filters(served: Dashboard, told: list[str]) -> None:
    wanted: list[tuple[dict[str, str], int]] = [
        ({"source": "yard"}, 2),
        ({"source": "gate"}, 0),
        ({"rule": "falling"}, 0),
        ({"severity": "critical"}, 2),
        ({"state": "open"}, 0),
        ({"state": "ended"}, 2),
        ({"text": "CLIMBING a"}, 2),
        ({"text": "swimming"}, 0),
        ({"since": "2100-01-01T00:00:00Z"}, 0),
        ({"until": "2100-01-01T00:00:00Z"}, 2),
        ({"until": "2100-01-01T00:00:00+01:00"}, 2),
        ({"limit": "1"}, 1),
    ]

    found = [(filters, len(served.get("/api/events", **filters)["events"])) for filters, _ in wanted]

    assert found == wanted


def test_a_time_is_the_same_moment_however_it_is_written(served: Dashboard) -> None:
    served.judge(recorded([0.1, 0.9, 0.1], begin=1_700_000_000.25))  # it starts a second later
    wait_until(lambda: bool(served.get("/api/events")["events"]))

    def found(since: str) -> int:
        return len(served.get("/api/events", since=since)["events"])

    assert [found("2023-11-14T22:13:21Z"), found("2023-11-14T23:13:21.250+01:00")] == [1, 1]
    assert [found("2023-11-14T22:13:22Z"), found("2023-11-14T23:13:21.251+01:00")] == [0, 0]


@pytest.mark.parametrize("wrong", ["yesterday", "1700000000", "2023-11-14", "2023-11-14T22:13:21"])
def test_what_is_no_time_is_refused(served: Dashboard, wrong: str) -> None:
    with served.client() as client:
        answer = client.get("/api/events", params={"since": wrong})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"'{wrong}' is no time with its zone")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("state=weird", "state must be one of open, ended"),
        ("severity=high", "severity must be one of critical, warning, info"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until must not be before since"),
        ("limit=100000", "limit must be from 1 to 200"),
        ("limit=0", "limit must be from 1 to 200"),
        ("limit=1.5", "limit must be a whole number"),
        ("limit=nan", "limit must be from 1 to 200"),
        ("limit=many", "limit must be a number"),
    ],
)
def test_a_filter_that_no_event_could_fit_is_refused(still: Dashboard, query: str, told: str) -> None:
    with still.client() as client:
        answer = client.get(f"/api/events?{query}")

    assert (answer.status_code, answer.json()) == (400, {"error": told})


def test_a_list_behind_an_event_that_is_not_known_is_refused(still: Dashboard) -> None:
    with still.client() as client:
        answer = client.get("/api/events?before=nothing")

    assert answer.status_code == 404
    assert answer.json() == {"error": "event nothing is not among the newest that are kept"}


def test_what_is_no_event_of_this_version_breaks_no_list(served: Dashboard, told: list[str]) -> None:
    data = {"event_id": "odd", "prompt": "\ud800", "labels": ["a"]}
    events = f"xclip:{{{served.config.redis.namespace}}}:events"
    served.queue._call("XADD", events, "*", "event", json.dumps({"data": data}))
    served.judge(recorded([0.1, 0.9, 0.1]))

    wait_until(lambda: len(served.get("/api/events", text="climbing")["events"]) == 3)


def test_another_method_is_refused_with_those_that_may_be_used(served: Dashboard) -> None:
    with served.client() as client:
        answer = client.delete("/api/events")

    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


def test_a_list_goes_on_behind_an_event(served: Dashboard, told: list[str]) -> None:
    page = served.get("/api/events", limit=1)

    rest = served.get("/api/events", before=page["events"][0]["event_id"])

    assert [event["event_id"] for event in rest["events"]] == told[:1]


def test_an_event_is_shown_with_its_phases_its_rule_and_what_became_of_it(served: Dashboard, told: list[str]) -> None:
    shown = served.get(f"/api/events/{told[0]}")

    assert [phase["phase"] for phase in shown["phases"]] == ["started", "ended"]
    assert shown["event"]["data"]["event_id"] == told[0]
    assert (shown["rule"]["enter"], shown["rule"]["exit"]) == (0.6, 0.4)
    assert shown["rule"]["background"] == ["an empty yard"]
    assert [(sink["sink"], sink["state"], sink["waiting"]) for sink in shown["deliveries"]] == [("ops", "waiting", 2)]


def test_what_was_delivered_and_what_died_is_told(served: Dashboard, told: list[str]) -> None:
    queue = served.queue
    assert queue.acquire_sink("ops", ttl_s=60) is not None
    started, ended, *_ = queue.take_messages("ops", max_count=9, block_s=0)
    queue.settle_message("ops", started)
    queue.bury_message("ops", ended, reason="refused by https://u:passw0rd@example.org/hook")

    wait_until(lambda: served.get(f"/api/events/{told[0]}")["deliveries"][0]["state"] == "dead")
    (sink,) = served.get(f"/api/events/{told[0]}")["deliveries"]

    assert (sink["delivered"], sink["waiting"], sink["dead"]) == (1, 0, 1)
    assert sink["reason"] == "refused by https://***@example.org/hook"


def test_an_event_that_is_not_there_is_told(served: Dashboard) -> None:
    with served.client() as client:
        response = client.get("/api/events/nothing")

    assert response.status_code == 404
    assert response.json() == {"error": "event nothing is not among the newest that are kept"}


def test_the_system_is_shown_as_status_does(served: Dashboard) -> None:
    served.report("yard", lag_s=0.25)

    def yard() -> dict[str, Any]:
        return next(iter(served.get("/api/system")["sources"]), {})

    wait_until(lambda: yard().get("lag_s") == 0.25)
    assert yard()["top_score"] == 0.42
    assert served.get("/api/system")["attention"] == ["source gate: nobody has reported of it yet"]


def test_dead_letters_are_listed_replayed_and_dropped(served: Dashboard, told: list[str]) -> None:
    queue = served.queue
    assert queue.acquire_sink("ops", ttl_s=60) is not None
    for message in queue.take_messages("ops", max_count=2, block_s=0):
        queue.bury_message("ops", message, reason="refused")
    wait_until(lambda: len(served.get("/api/dead-letters")["letters"]) == 2)
    first, second = served.get("/api/dead-letters")["letters"]

    with served.client() as client:
        replayed = client.post(f"/api/dead-letters/{first['id']}/replay")
        dropped = client.post(f"/api/dead-letters/{second['id']}/drop")
        again = client.post(f"/api/dead-letters/{second['id']}/drop")

    assert (replayed.status_code, dropped.status_code, again.status_code) == (200, 200, 404)
    assert served.get("/api/dead-letters")["letters"] == []
    assert queue.waiting_messages("ops", max_count=9)[-1] == first["subject"]


def test_a_timeline_has_the_lines_of_the_rules_with_their_thresholds(served: Dashboard, told: list[str]) -> None:
    chart = served.get("/api/timeline/yard", hours=1)

    assert [line["rule_id"] for line in chart["series"]] == ["climbing", "falling"]
    assert chart["series"][0]["highs"] == pytest.approx(TWO, abs=1e-4)
    assert (chart["series"][0]["enter"], chart["series"][0]["exit"]) == (0.6, 0.4)
    assert len(chart["times"]) == len(TWO)


def test_a_timeline_of_what_was_a_recording_and_is_a_camera_now_has_one_kind_of_time(served: Dashboard) -> None:
    served.judge(recorded(TWO, begin=3.0))
    served.judge(recorded([0.2, 0.3]))

    now, then = served.get("/api/timeline/yard"), served.get("/api/timeline/yard", since=0, until=5.0)

    assert now["series"][0]["highs"] == pytest.approx([0.2, 0.3], abs=1e-4)
    assert then["times"] == [3.0, 4.0, 5.0]
    assert then["series"][0]["highs"] == pytest.approx(TWO[:3], abs=1e-4)


def test_a_timeline_of_an_unknown_source_is_refused(served: Dashboard) -> None:
    with served.client() as client:
        assert client.get("/api/timeline/roof").status_code == 404
        assert client.get("/api/timeline/yard?hours=x").status_code == 400


@pytest.mark.parametrize(
    "query", ["hours=-1", "hours=1e9", "points=1e9", "points=10.5", "since=20&until=10", "since=inf"]
)
def test_a_timeline_that_nothing_could_be_on_is_refused(still: Dashboard, query: str) -> None:
    with still.client() as client:
        answer = client.get(f"/api/timeline/yard?{query}")

    assert answer.status_code == 400
    assert " must " in answer.json()["error"]


def test_the_configuration_is_shown_without_its_secrets(served: Dashboard) -> None:
    shown = served.get("/api/configuration")

    assert shown["config_hash"] == served.config.config_hash
    assert not [secret for secret in SECRETS if secret in shown["yaml"]]


def test_no_answer_has_a_secret(served: Dashboard, told: list[str]) -> None:
    served.report("yard", error="cannot open rtsp://viewer:hunter22@10.0.0.5/live")
    paths = ("/api/site", "/api/system", "/api/events", f"/api/events/{told[0]}", "/api/configuration")

    with served.client() as client:
        wait_until(lambda: "cannot open" in client.get("/api/system").text)
        text = "".join(client.get(path).text for path in paths)

    assert not [secret for secret in SECRETS if secret in text]


def test_an_edited_copy_is_tried_on_the_scores_at_hand(served: Dashboard, told: list[str]) -> None:
    edited = served.get("/api/configuration")["yaml"].replace("enter: 0.6", "enter: 0.75")

    tried = try_copy(served, edited)

    assert tried["problems"] == []
    yard = next(trial for trial in tried["trials"] if trial["source"] == "yard")
    assert (yard["windows"], yard["now"], yard["then"]) == (len(TWO), 2, 1)
    assert [(event["event_id"], event["change"]) for event in yard["events"]] == [(told[0], "same"), (told[1], "gone")]


def test_an_event_that_begins_later_has_moved(served: Dashboard) -> None:
    served.judge(recorded([0.1, 0.65, 0.9, 0.1]))
    edited = served.get("/api/configuration")["yaml"].replace("enter: 0.6", "enter: 0.75")

    yard = next(trial for trial in try_copy(served, edited)["trials"] if trial["source"] == "yard")

    assert [event["change"] for event in yard["events"]] == ["moved"]


def test_a_copy_with_new_prompts_says_which_rules_cannot_be_tried(served: Dashboard, told: list[str]) -> None:
    edited = served.get("/api/configuration")["yaml"].replace("a person falling", "a person swimming")

    yard = next(trial for trial in try_copy(served, edited)["trials"] if trial["source"] == "yard")

    assert yard["unscored"] == ["falling"]


def test_every_mistake_of_a_copy_is_told_with_its_place(served: Dashboard) -> None:
    tried = try_copy(served, SITE.replace("prompts:", "promts:", 1).replace("severity: critical", "severity: bad"))

    assert [(problem["line"], problem["text"].partition(":")[0]) for problem in tried["problems"]] == [
        (5, "rules[0].prompts"),
        (7, "rules[0].promts"),
        (9, "rules[0].severity"),
    ]


def test_a_copy_cannot_read_what_this_machine_knows(served: Dashboard, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("deep-secret")
    copy = SITE.replace("a person falling", f"${{file:{tmp_path}/secret}} ${{HOME}}")

    with served.client() as client:
        text = client.post("/api/configuration/try", json={"yaml": copy}).text

    assert "deep-secret" not in text
    assert str(Path.home()) not in text


def test_the_latest_picture_is_shown_once_somebody_looks(served: Dashboard) -> None:
    with served.client() as client:
        before = client.get("/api/sources/yard/picture")
        served.queue.put_picture("yard", Picture(captured_at=5.0, jpeg=b"\xff\xd8jpeg"), ttl_s=60)
        wait_until(lambda: client.get("/api/sources/yard/picture").status_code == 200)
        picture = client.get("/api/sources/yard/picture")

    assert before.status_code == 204
    assert (picture.content, picture.headers["x-captured-at"]) == (b"\xff\xd8jpeg", "5.000")


def test_the_schemas_are_published(served: Dashboard) -> None:
    with served.client() as client:
        index = client.get("/schemas").json()
        assert client.get(index["json_schema"]).text == json_schema()
        assert client.get(index["asyncapi"]).text == asyncapi()


def test_a_body_that_is_no_configuration_is_refused(served: Dashboard) -> None:
    with served.client() as client:
        as_text = client.post("/api/configuration/try", content="yaml: x")
        too_much = client.post("/api/configuration/try", json={"yaml": "x" * 2_000_000})
        no_object = client.post("/api/configuration/try", json=[1])

    assert (as_text.status_code, too_much.status_code, no_object.status_code) == (415, 413, 400)


def try_copy(served: Dashboard, text: str) -> Any:
    with served.client() as client:
        response = client.post("/api/configuration/try", json={"yaml": text})
    assert response.status_code == 200, response.text
    return response.json()
