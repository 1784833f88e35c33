"""What every test may need: the rule for missing system parts, and the real footage where it lies beside a checkout."""

import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about the code.
# CI has the same examples each time, so that a failure is that of the change; elsewhere they are new ones.
settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("project")

FOOTAGE = Path(__file__).resolve().parents[2] / "shared" / "data"


def missing_part(name: str, install: str) -> NoReturn:
    """End a test whose system part is not there: skipped on a laptop, failed in CI."""
    reason = f"{name} is not installed: {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Take back what a worker that ran inside of a test has set for its log."""
    root = logging.getLogger()
    handlers, level, showwarning = root.handlers, root.level, warnings.showwarning
    yield
    logging.captureWarnings(capture=False)
    root.handlers, root.level, warnings.showwarning = handlers, level, showwarning
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real recordings. They are no part of the project, so tests on them skip without it."""
    if not FOOTAGE.is_dir():
        pytest.skip("no folder with real footage beside the checkout")
    return FOOTAGE
