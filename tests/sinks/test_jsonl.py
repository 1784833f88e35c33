import json
import os
import resource
import signal
from pathlib import Path

import pytest

from xclip_stream.errors import DeliveryError
from xclip_stream.sinks.jsonl import JsonlSink


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_each_message_is_one_line_in_order(tmp_path, message):
    path = tmp_path / "new" / "folder" / "events.jsonl"

    with JsonlSink(path=path) as sink:
        for number in range(3):
            sink.deliver(message(f"e1:{number}"))

    assert ids(path) == ["e1:0", "e1:1", "e1:2"]


def test_a_file_that_exists_is_continued(tmp_path, message):
    path = tmp_path / "events.jsonl"
    path.write_text('{"id":"old:0"}\n')

    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))

    assert ids(path) == ["old:0", "e1:0"]


def test_a_message_that_comes_again_stands_once(tmp_path, message):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))
        sink.deliver(message("e1:0"))

    assert ids(path) == ["e1:0"]


def test_a_message_that_comes_again_after_a_restart_stands_once(tmp_path, message):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))
        sink.deliver(message("e1:1"))

    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))
        sink.deliver(message("e1:1"))
        sink.deliver(message("e1:2"))

    assert ids(path) == ["e1:0", "e1:1", "e1:2"]


@pytest.mark.parametrize("cut", range(1, 15))
def test_a_last_line_torn_at_any_byte_is_repaired_and_its_message_written_once(tmp_path, message, cut):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))
        sink.deliver(message("e1:1"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])

    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:1"))
        sink.deliver(message("e1:2"))

    assert ids(path) == ["e1:0", "e1:1", "e1:2"]


def test_zeros_that_a_power_failure_left_are_cut_off(tmp_path, message):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"id":"e1:0"}\n' + bytes(4096))

    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:1"))

    assert ids(path) == ["e1:0", "e1:1"]


def test_text_that_was_never_ours_is_kept(tmp_path, message):
    path = tmp_path / "notes.txt"
    path.write_text("a note without a newline")

    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))

    assert path.read_text() == 'a note without a newline\n{"id":"e1:0"}\n'


def test_a_file_that_is_rotated_away_is_made_anew(tmp_path, message):
    path, rotated = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))
        path.rename(rotated)
        sink.deliver(message("e1:1"))

    assert (ids(rotated), ids(path)) == (["e1:0"], ["e1:1"])


def test_two_sinks_on_one_file_do_not_repeat_each_other(tmp_path, message):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path=path) as former, JsonlSink(path=path) as successor:
        former.deliver(message("e1:0"))
        successor.deliver(message("e1:0"))
        successor.deliver(message("e1:1"))
        former.deliver(message("e1:1"))

    assert ids(path) == ["e1:0", "e1:1"]


def test_a_program_that_is_started_meanwhile_does_not_keep_the_file_to_itself(tmp_path, message, monkeypatch):
    path = tmp_path / "events.jsonl"
    inherited = []
    monkeypatch.setattr(os, "fsync", lambda file: inherited.append(os.dup(file)))  # shares the lock, as a fork does

    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))
        sink.deliver(message("e1:1"))

    for file in inherited:
        os.close(file)
    assert ids(path) == ["e1:0", "e1:1"]


def test_a_full_disk_leaves_no_torn_line_and_delivery_goes_on_when_there_is_room(tmp_path, message):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path=path) as sink:
        sink.deliver(message("e1:0"))
        with file_size_limit(path.stat().st_size + 5), pytest.raises(DeliveryError, match=r"events\.jsonl: File too"):
            sink.deliver(message("e1:1"))
        during = path.read_bytes()
        sink.deliver(message("e1:1"))

    assert during == b'{"id":"e1:0"}\n'
    assert ids(path) == ["e1:0", "e1:1"]


class file_size_limit:  # noqa: N801 - used like a function
    """Lets no file of this process grow beyond a size, as a full disk would: a write takes what fits, then fails."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __enter__(self) -> None:
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.limits[1]))

    def __exit__(self, *cause: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
        signal.signal(signal.SIGXFSZ, self.handler)


def test_a_path_that_cannot_be_written_is_an_error_that_names_it(tmp_path, message):
    with JsonlSink(path=tmp_path) as sink, pytest.raises(DeliveryError, match="Is a directory") as caught:
        sink.deliver(message())

    assert str(tmp_path) in str(caught.value)


def test_no_file_stays_open_between_messages(tmp_path, message):
    path = tmp_path / "events.jsonl"
    with JsonlSink(path=path) as sink:
        for number in range(20):
            sink.deliver(message(f"e1:{number}"))
        opened = [file for file in Path("/proc/self/fd").iterdir() if os.path.realpath(file) == str(path.resolve())]

    assert opened == []
