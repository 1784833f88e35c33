"""How a process is asked to stop, and how it waits without missing that."""

import ctypes
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from queue import Empty, SimpleQueue
from types import FrameType

SUPERVISOR_PID = "XCLIP_STREAM_SUPERVISOR_PID"
"""The environment variable in which a supervisor tells its workers who it is."""

_PR_SET_PDEATHSIG = 1


class StopFlag(threading.Event):
    """An event that may be set inside a signal handler.

    `threading.Event` takes a lock that is not reentrant, so a handler that interrupts its own thread in `wait` or
    `set` would wait for itself for ever. `SimpleQueue.put` is documented as safe there:
    https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        return self._asked

    def set(self) -> None:
        self._asked = True
        self._wake.put(None)

    def clear(self) -> None:
        raise NotImplementedError("a process that was asked to stop stops")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the flag; return whether it is set."""
        if not self._asked:
            try:
                self._wake.get(timeout=timeout)
            except Empty:
                return self._asked
            self._wake.put(None)  # another thread may wait too
        return self._asked


class SystemClock:
    """The real time. A sleep ends when `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        self._stop.wait(max(0.0, duration_s))


@contextmanager
def stop_on_signals(stop: threading.Event, *, force: Callable[[], None] | None = None) -> Iterator[None]:
    """Let the first SIGINT, SIGTERM or SIGHUP set `stop`, and the second one call `force`.

    Without `force` the second one ends the process at once, also inside a call that never returns. A signal that is
    ignored, as SIGHUP is under nohup, stays so. To be entered in the main thread.
    """
    watched = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]

    asked = False

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        # Python may run the handler of a second signal inside of this one, where `signal.signal` is called.
        if asked:
            if force:
                force()
            else:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            return
        asked = True
        if not force:
            for each in watched:
                signal.signal(each, signal.SIG_DFL)
        stop.set()

    before = {number: signal.signal(number, handle) for number in watched}
    try:
        with nullcontext() if force else _end_on_second(watched):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _end_on_second(watched: Collection[int]) -> Iterator[None]:
    """End the process at the second signal while the main thread is inside a native call.

    Python runs no handler there, but says to a descriptor which signal has come, and a thread reads that.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)

    def listen() -> None:
        unheard = 0
        while told := ours.recv(1):
            unheard += told[0] in watched
            if unheard > 1:
                os._exit(128 + told[0])

    with ours, theirs:
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        listener = threading.Thread(target=listen, name="signals", daemon=True)
        listener.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            theirs.close()
            listener.join()


def die_with_supervisor() -> bool:
    """Make the kernel kill this process when the supervisor that started it is gone; return whether there is one.

    A supervisor that is killed cannot stop its workers, and a worker that lives on would hold its leases. Linux only,
    as prctl(2) is.
    """
    supervisor = os.environ.pop(SUPERVISOR_PID, None)
    if supervisor is None:
        return False
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(supervisor):  # it died before we could ask
        os.kill(os.getpid(), signal.SIGKILL)
    return True
