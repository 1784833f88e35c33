import json
import os
import subprocess
import sys
from contextlib import nullcontext

import pytest

from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.sinks.exec import ExecSink

WRITE_DOWN = "import os, sys; open({path!r}, 'a').write(os.environ['XCLIP_STREAM_MESSAGE_ID'] + ' ' + {what} + '\\n')"


def a_program(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(("given", "what"), [("argument", "sys.argv[-1]"), ("stdin", "sys.stdin.read()")])
def test_a_program_gets_the_event_unchanged_and_its_id(message, tmp_path, given, what):
    path = tmp_path / "got"
    body = b'{"id":"e1:0","prompt":"\xc3\xbcber $(rm) \\"quoted\\""}'
    program = a_program(WRITE_DOWN.format(path=str(path), what=what))

    with ExecSink(command=program, input=given) as sink:
        sink.deliver(message("e1:0", body))
        sink.deliver(message("e1:1"))

    lines = path.read_bytes().splitlines()
    assert lines == [b"e1:0 " + body, b'e1:1 {"id":"e1:1"}']
    assert json.loads(lines[0].partition(b" ")[2])["id"] == "e1:0"


@pytest.mark.parametrize("code", [1, 75, 255])
def test_an_exit_code_is_worth_another_try_and_the_programs_last_line_tells_why(message, code):
    program = a_program(
        f"import sys; print('first\\nthe printer is out of paper\\n', file=sys.stderr); sys.exit({code})"
    )

    with ExecSink(command=program) as sink, pytest.raises(DeliveryError) as caught:
        sink.deliver(message())

    assert not isinstance(caught.value, DeliveryRejected)
    assert str(caught.value) == f"exec {sys.executable}: ended with exit code {code}: the printer is out of paper"


def test_an_exit_code_that_the_user_names_is_a_rejection(message):
    with (
        ExecSink(command=a_program("raise SystemExit(65)"), reject_codes=[65]) as sink,
        pytest.raises(DeliveryRejected, match="exit code 65"),
    ):
        sink.deliver(message())


def test_a_program_that_dies_of_a_signal_is_tried_again(message):
    program = a_program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    with ExecSink(command=program) as sink, pytest.raises(DeliveryError, match="was ended by signal 9"):
        sink.deliver(message())


def test_a_program_that_hangs_is_killed_with_what_it_started(message, tmp_path):
    # Both hold the pipe: it is read to its end only when both are gone.
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    opened = f"pipe = open({str(tmp_path / 'pipe')!r}, 'w'); pipe.write('here'); pipe.flush()"
    started = f"import subprocess, time; {opened}; subprocess.Popen(['sleep', '600'], stdout=pipe); time.sleep(600)"
    sink = ExecSink(command=a_program(started), timeout_s=3.0)

    with sink, pytest.raises(DeliveryError, match="did not end within 3 s"):
        sink.deliver(message())

    os.set_blocking(pipe, True)
    with os.fdopen(pipe, "rb") as file:
        assert file.read() == b"here"


def test_what_a_program_leaves_in_the_background_does_not_hold_up_its_delivery(message):
    program = a_program("import subprocess; subprocess.Popen(['sleep', '5'])")

    with ExecSink(command=program, timeout_s=4.0) as sink:
        sink.deliver(message())


def test_a_program_that_is_not_there_is_worth_another_try(message, tmp_path):
    with (
        ExecSink(command=[str(tmp_path / "none")]) as sink,
        pytest.raises(DeliveryError, match=r"none: cannot be started: No such file or directory") as caught,
    ):
        sink.deliver(message())

    assert not isinstance(caught.value, DeliveryRejected)


def test_an_event_that_is_too_long_for_an_argument_is_a_rejection_that_names_the_way_out(message):
    with ExecSink(command=["true"]) as sink, pytest.raises(DeliveryRejected, match="too long for an argument"):
        sink.deliver(message("e1:0", b'"' + b"x" * 200_000 + b'"'))


@pytest.mark.parametrize(("body", "refused"), [(b"\xff", False), (b"\x00", True)])
def test_what_is_no_text_is_an_argument_as_it_is_and_a_zero_byte_is_a_rejection(message, body, refused):
    check = ["sh", "-c", 'test "$(printf %s "$1" | od -An -tx1)" = " ff"', "sh"]
    with (
        ExecSink(command=check, input="argument") as sink,
        pytest.raises(DeliveryRejected) if refused else nullcontext(),
    ):
        sink.deliver(message("e1:0", body))


def test_a_program_does_not_outlive_a_worker_that_stops_meanwhile(tmp_path):
    told = tmp_path / "told"
    os.mkfifo(told)
    worker = f"""
import sys, threading
from xclip_stream.sinks.exec import ExecSink
from xclip_stream.types import Message
message = Message(message_id="e1:0", source_id="yard", body=b"{{}}", committed_at=0.0)
sink = ExecSink(command=["sh", "-c", "exec 3>{told}; echo begun >&3; sleep 30; echo late >&3"], timeout_s=600)
delivery = threading.Thread(target=sink.deliver, args=(message,), daemon=True)
delivery.start()
sys.stdin.read()
delivery.join(2)  # the grace of a stop
"""
    with subprocess.Popen([sys.executable, "-c", worker], stdin=subprocess.PIPE) as process, told.open() as said:
        begun = said.readline()
        process.stdin.close()
        rest = said.read()

    assert (begun, rest) == ("begun\n", "")
    assert process.returncode == 0
