"""Waiting for what only takes its time; the bound is there to end a test that would hang, and says nothing else."""

import time
from collections.abc import Callable

PATIENCE_S = 150.0
"""A busy machine takes a minute to start a worker."""


def wait_until(holds: Callable[[], bool], otherwise: Callable[[], str] = lambda: "it never came to be") -> None:
    """Wait until something holds; `otherwise` gives what is said when it does not."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.02)


def in_the_end(act: Callable[[], None], *, refused: type[Exception]) -> None:
    """Do something again and again until it is not refused any more."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            act()
        except refused:
            assert time.monotonic() < end, "it is refused for ever"
        else:
            return
