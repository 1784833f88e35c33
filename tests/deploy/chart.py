"""The Helm chart, rendered offline by Helm's own library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import missing_part

try:
    import helm_python as helm
except ImportError:
    helm = None

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "xclip-stream"
SITE = """\
version: 1
redis: {namespace: north}
sources:
  - {id: yard, url: "rtsp://viewer:${file:/run/secrets/yard}@10.0.0.5/stream1"}
rules:
  - {id: fight, prompts: [two people fighting], background: group:street}
"""
EVERYTHING = {
    "autoscaling": {"enabled": True},
    "data": {"persistence": {"enabled": True}},
    "gpu": {"enabled": True, "runtimeClassName": "nvidia"},
    "metrics": {"exporter": {"enabled": True}, "podMonitor": {"enabled": True}},
    "models": {"persistence": {"enabled": True}},
    "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}], "webFrom": [{"namespaceSelector": {}}]},
    "secrets": ["cameras"],
    "web": {"enabled": True},
}
"""Values with which every template has something to say."""


def need_helm() -> Any:
    """Return Helm's library, or end the test where it is not installed."""
    if helm is None:
        missing_part("helm", "pip install helm-python-sdk")
    return helm


def render(values: dict[str, Any] | None = None, *, config: str = SITE, name: str = "site") -> list[dict[str, Any]]:
    """Return every object that an installation of the chart would make."""
    chart = need_helm().Chart.load(CHART)
    try:
        texts = chart.render({"config": config, **(values or {})}, name=name, namespace="video", is_install=True)
    finally:
        chart.close()
    documents = (yaml.safe_load_all(text) for path, text in texts.items() if not path.endswith("NOTES.txt"))
    return [found for several in documents for found in several if found]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a kind by their names."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def pods_of(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and pod spec of everything that starts pods."""
    for found in objects:
        if found["kind"] in {"Deployment", "StatefulSet"}:
            yield found["metadata"]["name"], found["spec"]["template"]["spec"]
