"""The alerts and the dashboard, on what a real Prometheus has scraped of a real system."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml

from tests.metrics.prometheus import ROOT, RULES, Prometheus, binary, running_prometheus
from tests.metrics.system import System
from tests.waiting import wait_until
from xclip_stream.metrics import ALL, Kind

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "xclip-stream.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
NEEDS_A_GPU = "xclip_stream_gpu_memory_bytes"
OF_A_RUN = {"xclip_stream_worker_running", "xclip_stream_worker_restarts_total"}
ROWS = ["Overview", "Sources", "Scoring", "Queue", "Delivery", "Evidence"]


def plain(expression: str) -> str:
    """Return an expression of the dashboard with its variables filled in."""
    return expression.replace("$__rate_interval", "1m").replace("$source", ".*").replace("$namespace", ".*")


EXPRESSIONS = {
    f"{panel['title']} {target['refId']}": plain(target["expr"]) for panel in PANELS for target in panel["targets"]
}


@pytest.fixture(scope="module")
def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), system.addresses) as prometheus:
        wait_until(prometheus.is_ready)
        wait_until(lambda: len(prometheus.query("min_over_time(up[5s]) == 1")) == len(system.addresses))
        # A rate needs two looks at a counter, and this one comes from the end of the flow.
        rate = 'rate(xclip_stream_frame_to_delivery_seconds_count{sink="log"}[1m]) > 0'
        wait_until(lambda: bool(prometheus.query(rate)))
        yield prometheus


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:xclip_stream|process)_\w+", expression))


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_each_panel_shows_something_of_a_real_run(expression: str, prometheus: Prometheus) -> None:
    found = prometheus.query(expression)

    if NEEDS_A_GPU in expression:
        assert found == []
    else:
        assert found != []
        assert all(re.fullmatch(r"[0-9.e+-]+|NaN", series["value"][1]) for series in found)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_each_alert_asks_for_metrics_of_a_real_run(alert: dict[str, Any], prometheus: Prometheus) -> None:
    scraped = set(prometheus.ask("label/__name__/values"))

    prometheus.query(alert["expr"])

    assert names_in(alert["expr"]) <= scraped


def test_each_metric_that_is_told_is_scraped(prometheus: Prometheus) -> None:
    suffix = {Kind.HISTOGRAM: "_bucket"}
    scraped = set(prometheus.ask("label/__name__/values"))

    assert {each.full_name + suffix.get(each.kind, "") for each in ALL} - scraped == {NEEDS_A_GPU, *OF_A_RUN}


def test_the_camera_that_is_not_there_and_the_sink_that_is_down_are_told(
    system: System, prometheus: Prometheus
) -> None:
    def pending() -> dict[str, list[dict[str, str]]]:
        groups = prometheus.ask("rules")["groups"]
        return {
            rule["name"]: [alert["labels"] for alert in rule["alerts"]]
            for group in groups
            for rule in group["rules"]
            if rule["alerts"]
        }

    wait_until(lambda: "XclipSourceStalled" in pending())

    assert {labels["source"] for labels in pending()["XclipSourceStalled"]} == {"gone"}
    assert pending().keys() <= {"XclipSourceStalled", "XclipSinkLags"}
    assert all(rule["health"] == "ok" for group in prometheus.ask("rules")["groups"] for rule in group["rules"])


def test_the_alerts_come_when_they_should_and_not_before() -> None:
    done = subprocess.run(
        [binary("promtool"), "test", "rules", RULES.with_name("alerts_test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_test_and_says_where_to_read_on() -> None:
    tried = RULES.with_name("alerts_test.yml").read_text()

    for alert in ALERTS:
        assert f"alertname: {alert['alert']}\n        exp_alerts:\n" in tried, alert["alert"]
        page, _, section = alert["annotations"]["runbook"].partition(": ")
        headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
        assert section in {heading.replace("`", "") for heading in headings}, alert["alert"]


def test_the_example_of_a_configuration_is_one() -> None:
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"

    done = subprocess.run([binary("promtool"), "check", "config", config], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_panel_shows_the_namespace_that_is_chosen() -> None:
    chosen = '{xclip_namespace=~"$namespace"'
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]

    assert all(expression.count(chosen) == len(re.findall(r"\w+_\w+\{", expression)) for expression in asked)
    assert all(f"{name}{chosen}" in expression for expression in asked for name in names_in(expression))


def test_the_dashboard_has_its_rows_and_no_panel_covers_another() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [(at["x"] + x, at["y"] + y) for at in places for x in range(at["w"]) for y in range(at["h"])]

    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == ROWS
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
    assert all(one["id"] < two["id"] for one, two in pairwise(DASHBOARD["panels"]))
