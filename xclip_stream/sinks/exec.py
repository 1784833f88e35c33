"""Events to a program that is started for each of them."""

import atexit
import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import IO, Literal, Self

from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.types import Message

MAX_TOLD_BYTES = 400


class ExecSink:
    """Starts `command` for each event and takes exit code 0 as delivered.

    The event (CloudEvents JSON) is the last argument, or comes on standard input; `XCLIP_STREAM_MESSAGE_ID` in the
    environment is what to deduplicate on. No shell is between. Exit codes of `reject_codes` raise DeliveryRejected; any
    other one, 75 (EX_TEMPFAIL) among them, is worth another try, and so is a program that cannot be started or takes
    longer than `timeout_s`: it is killed with all that it has started in its process group.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        input: Literal["argument", "stdin"] = "argument",  # noqa: A002 - its key
        reject_codes: Sequence[int] = (),
        timeout_s: float = 30.0,
    ) -> None:
        self._command = list(command)
        self._input = input
        self._reject_codes = frozenset(reject_codes)
        self._timeout_s = timeout_s
        self._name = f"exec {command[0]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def deliver(self, message: Message) -> None:
        # Files instead of pipes: what the program leaves running in the background would hold a pipe open.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as told:
            command = self._command
            if self._input == "stdin":
                given.write(message.body)
                given.seek(0)
            else:
                command = [*command, os.fsdecode(message.body)]
            code = self._run(command, given, told, os.environ | {"XCLIP_STREAM_MESSAGE_ID": message.message_id})
            self._judge(code, _last_line(told))

    def _run(self, command: list[str], given: IO[bytes], told: IO[bytes], environment: Mapping[str, str]) -> int:
        try:
            process = subprocess.Popen(
                command, stdin=given, stdout=subprocess.DEVNULL, stderr=told, env=environment, start_new_session=True
            )
        except OSError as error:
            if error.errno == errno.E2BIG:
                raise DeliveryRejected(f"{self._name}: the event is too long for an argument: use stdin") from None
            raise DeliveryError(f"{self._name}: cannot be started: {error.strerror}") from None
        except ValueError:
            raise DeliveryRejected(f"{self._name}: the event has a zero byte, which no argument may have") from None
        # A worker that stops does not wait for it for long, and nobody would look at its time afterwards.
        end = partial(_end, process)
        atexit.register(end)
        try:
            return process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            raise DeliveryError(f"{self._name}: did not end within {self._timeout_s:g} s") from None
        finally:
            end()
            atexit.unregister(end)

    def _judge(self, code: int, told: str) -> None:
        if code == 0:
            return
        how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        failure = f"{self._name}: {how}" + (f": {told}" if told else "")
        raise DeliveryRejected(failure) if code in self._reject_codes else DeliveryError(failure)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs, with all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(told: IO[bytes]) -> str:
    end = told.seek(0, os.SEEK_END)
    told.seek(max(0, end - MAX_TOLD_BYTES))
    lines = told.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
