"""The watchdog of systemd: a real socket hears the signs of life."""

import os
import socket
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from xclip_stream.pipeline.watchdog import SIGN_OF_LIFE, Watchdog

PERIOD = {"WATCHDOG_USEC": "30000"}


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        yield listener


def test_a_worker_that_is_well_says_so_again_and_again(systemd: socket.socket) -> None:
    environ = {**PERIOD, "NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_PID": str(os.getpid())}

    with Watchdog(lambda: None, environ=environ):
        heard = [systemd.recv(64) for _ in range(5)]

    assert heard == [SIGN_OF_LIFE] * 5


def test_a_worker_that_is_not_well_says_nothing(systemd: socket.socket) -> None:
    asked, asked_often = count(1), threading.Event()

    def illness() -> str | None:
        number = next(asked)
        if number == 6:
            asked_often.set()
        return None if number <= 2 else "score: no progress for 61 s"

    with Watchdog(illness, environ={**PERIOD, "NOTIFY_SOCKET": systemd.getsockname()}):
        heard = [systemd.recv(64), systemd.recv(64)]
        assert asked_often.wait(20)
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(64)

    assert heard == [SIGN_OF_LIFE] * 2


def test_an_address_without_a_file_is_understood() -> None:
    name = f"xclip-stream-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(20)
        with Watchdog(lambda: None, environ={**PERIOD, "NOTIFY_SOCKET": f"@{name}"}):
            assert listener.recv(64) == SIGN_OF_LIFE


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/run/x"}, {**PERIOD, "WATCHDOG_PID": "1"}])
def test_nobody_is_told_where_nobody_asked(environ: dict[str, str]) -> None:
    def illness() -> str | None:
        raise AssertionError("asked")

    with Watchdog(illness, environ={"NOTIFY_SOCKET": "/nowhere", **environ}) as watchdog:
        assert not watchdog.runs
