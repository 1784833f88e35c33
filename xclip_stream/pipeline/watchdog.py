"""The watchdog of systemd: whoever runs a worker as a service is shown, again and again, that its loops go on."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

SOCKET_VARIABLE = "NOTIFY_SOCKET"
PERIOD_VARIABLE = "WATCHDOG_USEC"
PROCESS_VARIABLE = "WATCHDOG_PID"
SIGN_OF_LIFE = b"WATCHDOG=1"
_SIGNS_A_PERIOD = 3


class Watchdog:
    """Tells systemd that all is well for as long as it is, from a thread of its own; does nothing where nobody asks.

    With `WatchdogSec=` in a unit, systemd ends the process when it has heard nothing for so long, and starts it again.
    See sd_notify(3) and sd_watchdog_enabled(3).

    Args:
        illness: says what is wrong, or None; called from the thread.
        environ: where systemd says whom it wants to hear, and how often.
    """

    def __init__(self, illness: Callable[[], str | None], *, environ: Mapping[str, str] = os.environ) -> None:
        self._illness = illness
        self._address = environ.get(SOCKET_VARIABLE, "")
        self._period_s = _period_s(environ)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @property
    def runs(self) -> bool:
        """Whether somebody has asked for it."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        if self._address and self._period_s:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()

    def _run(self) -> None:
        # An address that begins with @ has no file.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.settimeout(self._period_s)
            while not self._stop.is_set():
                if self._illness() is None:
                    _send(line, address)
                self._stop.wait(self._period_s / _SIGNS_A_PERIOD)


def _period_s(environ: Mapping[str, str]) -> float:
    """Return within which time systemd wants to hear of this process; 0 where it does not ask for it."""
    period, process = environ.get(PERIOD_VARIABLE, ""), environ.get(PROCESS_VARIABLE, "")
    if not period.isdecimal() or (process and process != str(os.getpid())):
        return 0.0
    return int(period) / 1e6


def _send(line: socket.socket, address: str) -> None:
    try:
        line.sendto(SIGN_OF_LIFE, address)
    except OSError:
        return  # systemd is being started anew; the next sign may reach it
