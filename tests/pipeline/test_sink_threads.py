"""The threads of the sinks: they follow the configuration, and none of them becomes two."""

import threading
from collections.abc import Callable, Iterator

import pytest
import structlog

from xclip_stream.config.sinks import JsonlSinkConfig
from xclip_stream.pipeline.lifecycle import StopFlag
from xclip_stream.pipeline.sink_threads import SinkThreads


class Diary:
    """Work that writes down what it does for which sink."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self.let_go = threading.Event()
        self.hangs: set[str] = set()

    def work(self, sink: JsonlSinkConfig, stop: StopFlag) -> None:
        self.entries.append(("begins", sink.path.name))
        stop.wait()
        if sink.path.name in self.hangs:
            self.let_go.wait()
        self.entries.append(("ends", sink.path.name))


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def threads(diary: Diary) -> Iterator[SinkThreads]:
    threads = SinkThreads(diary.work, log=structlog.get_logger())
    yield threads
    diary.let_go.set()
    threads.leave(grace_s=60)


def a_sink(sink_id: str, path: str) -> JsonlSinkConfig:
    return JsonlSinkConfig(id=sink_id, type="jsonl", path=path)


def follow_until(threads: SinkThreads, sinks: list[JsonlSinkConfig], holds: Callable[[], bool]) -> None:
    while not holds():
        threads.follow(sinks)


def test_added_sinks_start_removed_ones_stop_and_the_others_are_left_alone(threads, diary):
    a, b, c = (a_sink(name, name) for name in "abc")
    follow_until(threads, [a, b], lambda: len(diary.entries) == 2)

    follow_until(threads, [b, c], lambda: len(diary.entries) == 4)

    assert sorted(diary.entries) == [("begins", "a"), ("begins", "b"), ("begins", "c"), ("ends", "a")]


def test_a_changed_sink_begins_anew_when_its_old_self_has_ended(threads, diary):
    follow_until(threads, [a_sink("a", "old")], lambda: len(diary.entries) == 1)

    follow_until(threads, [a_sink("a", "new")], lambda: len(diary.entries) == 3)

    assert diary.entries == [("begins", "old"), ("ends", "old"), ("begins", "new")]


def test_a_sink_that_hangs_is_not_doubled_however_often_it_changes(threads, diary):
    diary.hangs = {"old"}
    follow_until(threads, [a_sink("a", "old")], lambda: len(diary.entries) == 1)

    for number in range(50):
        threads.follow([a_sink("a", f"new-{number}")])
    while_it_hangs = list(diary.entries)
    diary.let_go.set()
    follow_until(threads, [a_sink("a", "last")], lambda: len(diary.entries) == 3)

    assert while_it_hangs == [("begins", "old")]
    assert diary.entries == [("begins", "old"), ("ends", "old"), ("begins", "last")]


def test_what_ended_the_work_of_a_sink_is_raised(diary):
    def work(_sink: JsonlSinkConfig, _stop: StopFlag) -> None:
        raise LookupError("no such stream")

    threads = SinkThreads(work, log=structlog.get_logger())

    with pytest.raises(LookupError, match="no such stream"):
        follow_until(threads, [a_sink("a", "a")], lambda: False)
