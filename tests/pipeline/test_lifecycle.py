"""Stopping: the flag that a signal handler may set, and what the first and the second signal do."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from xclip_stream.pipeline.lifecycle import StopFlag, SystemClock, stop_on_signals

ROOT = Path(__file__).resolve().parents[2]


def start(code: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environ}
    )


def test_a_set_flag_ends_a_wait_of_every_thread() -> None:
    stop = StopFlag()
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(stop.wait(60))) for _ in range(3)]
    for thread in threads:
        thread.start()

    stop.set()
    for thread in threads:
        thread.join(30)

    assert answers == [True, True, True]


def test_a_wait_for_nothing_ends_with_its_time() -> None:
    assert StopFlag().wait(0.01) is False


def test_a_flag_cannot_be_cleared() -> None:
    with pytest.raises(NotImplementedError):
        StopFlag().clear()


def test_a_sleep_ends_when_the_process_is_asked_to_stop() -> None:
    stop = StopFlag()
    clock = SystemClock(stop)

    with stop_on_signals(stop):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        clock.sleep(100_000)

    assert stop.is_set()


def test_a_flag_survives_a_storm_of_signals_while_it_is_waited_for() -> None:
    code = """
import os, signal, threading
from xclip_stream.pipeline.lifecycle import StopFlag
stop, count = StopFlag(), 0
def on_signal(*_):
    global count
    count += 1
    if count == 300: stop.set()
signal.signal(signal.SIGUSR1, on_signal)
def storm():
    while not stop.is_set(): os.kill(os.getpid(), signal.SIGUSR1)
threading.Thread(target=storm, daemon=True).start()
while not stop.wait(0.001): pass
print("stopped")
"""
    process = start(code)

    output, _ = process.communicate(timeout=60)

    assert output == "stopped\n"


def test_the_first_signal_sets_the_flag_and_the_second_ends_a_process_that_hangs() -> None:
    code = """
import time
from xclip_stream.pipeline.lifecycle import StopFlag, stop_on_signals
stop = StopFlag()
with stop_on_signals(stop):
    print("ready", flush=True)
    stop.wait()
    print("asked", flush=True)
    time.sleep(600)
"""
    process = start(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    process.terminate()
    asked = process.stdout.readline()
    process.terminate()

    assert asked == "asked\n"
    assert process.wait(30) == -signal.SIGTERM
    process.stdout.close()


def test_the_second_signal_ends_a_process_whose_main_thread_is_in_a_call_that_never_returns() -> None:
    code = """
import ctypes, threading
from xclip_stream.pipeline.lifecycle import StopFlag, stop_on_signals
with stop_on_signals(StopFlag()):
    print("ready", flush=True)
    never = ctypes.CDLL(None).pthread_mutex_lock
    mutex = ctypes.create_string_buffer(64)
    never(mutex), never(mutex)
"""
    process = start(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    process.kill()

    # The latter where the first signal came just before the call.
    assert process.wait() in {128 + signal.SIGTERM, -signal.SIGTERM}
    process.stdout.close()


def test_the_second_signal_calls_what_was_given_for_it() -> None:
    stop = StopFlag()
    forced: list[str] = []

    with stop_on_signals(stop, force=lambda: forced.append("forced")):
        signal.raise_signal(signal.SIGINT)
        first = (stop.is_set(), list(forced))
        signal.raise_signal(signal.SIGTERM)

    assert first == (True, [])
    assert forced == ["forced"]


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stop_on_signals(StopFlag()):
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopFlag()
    try:
        with stop_on_signals(stop):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert not stop.is_set()


def test_a_worker_dies_with_its_supervisor() -> None:
    worker = (
        "import os, time\n"
        "from xclip_stream.pipeline.lifecycle import die_with_supervisor\n"
        "die_with_supervisor()\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    supervisor = (
        "import os, subprocess, sys, time\n"
        "os.environ['XCLIP_STREAM_SUPERVISOR_PID'] = str(os.getpid())\n"
        f"subprocess.Popen([sys.executable, '-c', {worker!r}])\n"
        "time.sleep(600)\n"
    )
    process = start(supervisor)
    assert process.stdout is not None
    assert int(process.stdout.readline()) > 0

    process.kill()
    rest = process.stdout.read()  # ends when the last process that holds the pipe has died
    process.wait(30)
    process.stdout.close()

    assert rest == ""


def test_a_second_signal_that_comes_while_the_first_is_handled_is_the_second_one() -> None:
    code = """
import os, signal
from xclip_stream.pipeline.lifecycle import StopFlag, stop_on_signals
exchange, sent = signal.signal, False
def send():
    global sent
    if not sent:
        sent = True
        os.kill(os.getpid(), signal.SIGTERM)
def exchange_slowly(number, handler):
    send()
    return exchange(number, handler)
with stop_on_signals(StopFlag(), force=lambda: os._exit(130)):
    signal.signal = exchange_slowly
    os.kill(os.getpid(), signal.SIGINT)
    send()
    for _ in range(1000): pass
"""
    process = start(code)
    process.communicate(timeout=60)

    assert process.returncode == 130
