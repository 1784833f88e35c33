"""docs/deploy.md says what the files of deploy/ do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.__main__ import EXTRAS
from tests.deploy.chart import CHART
from tests.deploy.test_compose import ROLES, compose

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "deploy.md").read_text()
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SECTIONS = "|".join(VALUES)
OF_THE_CONFIGURATION = {"redis.url", "redis.tls", "web.hosts", "web.token"}
BLOCKS = re.findall(r"^ *```yaml\n(.*?)^ *```", TEXT, flags=re.DOTALL | re.MULTILINE)
FILES = sorted(set(re.findall(r"(?<![\w/])(deploy/[\w@./-]+\.(?:conf|service|target|sh))", TEXT)))
NAMED = sorted(set(re.findall(rf"[`' ]((?:{SECTIONS})(?:\.\w+)+)[=:`]", TEXT)) - OF_THE_CONFIGURATION)


def test_the_override_of_the_page_brings_a_secret_to_each_worker(tmp_path: Path) -> None:
    (override,) = (block for block in BLOCKS if "cam_password" in block)
    (tmp_path / "override.yml").write_text(override)

    found = compose("-f", str(tmp_path / "override.yml"), "config", COMPOSE_PROFILES="gpu,metrics,tools")
    every = yaml.safe_load(found)["services"].items()
    readers = {name: service for name, service in every if "--config" in (service.get("command") or ())}

    assert readers.keys() >= {*ROLES, "web", "exporter", "status"}
    for name, service in readers.items():
        sources = {secret["source"] for secret in service["secrets"]}
        assert sources == {"redis_password", "web_token", "cam_password"}, name


def test_the_override_for_a_second_gpu_gives_each_scorer_its_own(tmp_path: Path) -> None:
    (override,) = (block for block in BLOCKS if "score-1" in block)
    (tmp_path / "override.yml").write_text(override)

    found = yaml.safe_load(compose("-f", str(tmp_path / "override.yml"), "config", COMPOSE_PROFILES="gpu"))["services"]

    devices = [found[name]["deploy"]["resources"]["reservations"]["devices"] for name in ("score", "score-1")]
    assert [device["device_ids"] for (device,) in devices] == [["0"], ["1"]]
    assert found["score-1"]["entrypoint"] == found["score"]["entrypoint"]


@pytest.mark.parametrize("name", NAMED)
def test_a_value_that_is_told_is_one_of_the_chart(name: str) -> None:
    found: Any = VALUES
    for key in name.split("."):
        assert key in found, name
        found = found[key]


def test_values_are_told_at_all() -> None:
    assert {"autoscaling.enabled", "gpu.enabled", "redis.external.url", "networkPolicy.egress"} <= set(NAMED)


def test_the_wheels_are_those_that_the_images_are_built_from() -> None:
    assert f"pip wheel -c constraints.txt -w wheels '.{EXTRAS}' setuptools" in TEXT


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_is_told_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_profile_is_told() -> None:
    written = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    profiles = {profile for service in written for profile in service.get("profiles", ())} - {"tools"}

    assert profiles == set(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE))
