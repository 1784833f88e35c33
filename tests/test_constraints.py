"""What is installed is what was tested: constraints.txt has a version of each package that is asked for."""

import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def test_every_package_that_is_asked_for_has_its_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(line) for line in chain(project["dependencies"], *project["optional-dependencies"].values())]
    pinned = {canonicalize_name(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().split()}

    assert {canonicalize_name(each.name) for each in asked} - pinned == {"xclip-stream"}
