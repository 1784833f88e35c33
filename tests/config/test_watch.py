"""The watch over a configuration file: what it gives, what it keeps, and what it says."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes import FakeClock
from xclip_stream.config import Config, ConfigWatch, load_config
from xclip_stream.errors import ConfigError

TEXT = """\
sources: [{id: yard, url: yard.mp4}]
rules: [{id: climbing, prompts: [a person climbing]}]
sinks: [{id: ops, type: webhook, url: "https://example.org/", secret: "${file:secret}"}]
"""


class Watched:
    """A configuration file, and a watch over it that looks once a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.watch = ConfigWatch(path, load_config(path), look_every_s=1.0, now=self.clock.monotonic)

    def look(self) -> Config | None:
        self.clock.advance(1.0)
        return self.watch.poll()

    def looks(self, count: int) -> list[Config]:
        return [config for config in (self.look() for _ in range(count)) if config is not None]

    def settled(self) -> list[Config]:
        """What it gives until it knows the file and those that it names."""
        return self.looks(4)

    def write(self, text: str) -> None:
        self.path.write_text(text)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "secret").write_text("first-secret")
    (tmp_path / "site.yaml").write_text(TEXT)
    watched = Watched(tmp_path / "site.yaml")
    assert watched.settled() == []
    return watched


@pytest.fixture(autouse=True)
def log() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def test_what_is_right_in_itself_and_cannot_be_worked_with_changes_nothing(watched: Watched, log: list[Any]) -> None:
    def refuse(config: Config) -> None:
        if config.sources[0].window.stride_s == 0.7:
            raise ConfigError("source yard: window: stride_s 0.7 does not fit")

    watched.watch = ConfigWatch(
        watched.path, watched.watch.config, check=refuse, look_every_s=1.0, now=watched.clock.monotonic
    )
    before = watched.watch.config
    watched.write(TEXT.replace("yard.mp4}", "yard.mp4, window: {stride_s: 0.7}}"))
    refused = watched.settled()
    watched.write(TEXT.replace("yard.mp4}", "yard.mp4, window: {stride_s: 0.5}}"))
    taken = watched.settled()

    assert refused == []
    assert [line["problems"] for line in log if line["event"] == "configuration_rejected"] == [
        ["source yard: window: stride_s 0.7 does not fit"]
    ]
    assert [config.sources[0].window.stride_s for config in taken] == [0.5]
    assert before.sources[0].window.stride_s == 1.0


def with_rule(name: str) -> str:
    return TEXT.replace("climbing", name, 1)


def test_a_change_is_given_once(watched: Watched) -> None:
    watched.write(with_rule("jumping"))

    (config,) = watched.looks(5)

    assert config.rules[0].id == "jumping"
    assert watched.watch.config is config


def test_what_is_written_between_the_reading_and_the_first_look_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("first-secret")
    (tmp_path / "site.yaml").write_text(TEXT)
    watched = Watched(tmp_path / "site.yaml")
    watched.write(with_rule("jumping"))

    assert [config.rules[0].id for config in watched.settled()] == ["jumping"]


def test_a_file_that_is_just_being_written_is_read_when_it_stands_still(watched: Watched) -> None:
    rules = [with_rule("jumping"), with_rule("jumping") + "# more\n", with_rule("jumping") + "# more and more\n"]
    given = []
    for text in rules:
        watched.write(text)
        given.append(watched.look())

    assert given == [None, None, None]
    assert watched.look() is not None


def test_it_looks_no_more_often_than_it_was_told(watched: Watched) -> None:
    watched.write(with_rule("jumping"))
    watched.look()

    assert [watched.watch.poll() for _ in range(100)] == [None] * 100
    assert watched.look() is not None


def test_a_hurried_watch_looks_at_once_and_still_wants_to_see_the_same_twice(watched: Watched) -> None:
    watched.write(with_rule("jumping"))

    watched.watch.hurry()
    first = watched.watch.poll()
    watched.watch.hurry()
    second = watched.watch.poll()

    assert first is None
    assert second is not None
    assert watched.watch.poll() is None


def test_a_file_that_was_only_touched_or_reworded_is_no_change(watched: Watched) -> None:
    os.utime(watched.path, ns=(1, 1))
    touched = watched.looks(3)
    watched.write("# a comment\n" + TEXT)

    assert touched + watched.looks(3) == []


def test_a_wrong_file_keeps_the_old_configuration_and_is_told_once(watched: Watched, log: list[Any]) -> None:
    watched.write(TEXT.replace("url: yard.mp4", "url: yard.mp4, fps: 3").replace("prompts: [", "enter: 7, prompts: ["))

    assert watched.looks(5) == []
    (line,) = [line for line in log if line["event"] == "configuration_rejected"]
    places = [problem.removeprefix(f"{watched.path}:") for problem in line["problems"]]
    assert line["log_level"] == "warning"
    assert [place.split(": ")[:2] for place in places] == [["1:37", "sources[0].fps"], ["2:31", "rules[0].enter"]]
    assert watched.watch.config.rules[0].id == "climbing"


def test_a_wrong_file_is_told_again_when_it_has_changed_and_is_still_wrong(watched: Watched, log: list[Any]) -> None:
    watched.write("rules: [")
    watched.looks(3)
    watched.write("rules: [[")
    watched.looks(3)
    watched.write(with_rule("jumping"))

    assert [config.rules[0].id for config in watched.looks(3)] == ["jumping"]
    assert [line["event"] for line in log].count("configuration_rejected") == 2


def test_a_file_that_vanishes_keeps_the_old_configuration_until_it_is_back(watched: Watched, log: list[Any]) -> None:
    watched.path.unlink()
    gone = watched.looks(4)
    watched.write(with_rule("jumping"))

    assert gone == []
    assert len(watched.looks(3)) == 1
    assert [line["event"] for line in log].count("configuration_rejected") == 1


def a_replaced_file(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def a_swapped_link(path: Path, text: str) -> None:
    """As Kubernetes does it: the file is a link through a folder that is a link."""
    folder = path.with_name("v2")
    folder.mkdir()
    (folder / "site.yaml").write_text(text)
    (folder / "secret").write_text("first-secret")
    link = path.with_name("data.new")
    link.symlink_to(folder, target_is_directory=True)
    link.replace(path.with_name("data"))


@pytest.mark.parametrize("change", [a_replaced_file, a_swapped_link])
def test_a_file_that_is_replaced_is_followed(tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "site.yaml").write_text(TEXT)
    (tmp_path / "v1" / "secret").write_text("first-secret")
    (tmp_path / "data").symlink_to(tmp_path / "v1", target_is_directory=True)
    (tmp_path / "site.yaml").symlink_to(tmp_path / "data" / "site.yaml")
    watched = Watched(tmp_path / "site.yaml")
    watched.settled()

    change(watched.path, with_rule("jumping").replace("${file:secret}", "first-secret"))

    assert [config.rules[0].id for config in watched.looks(3)] == ["jumping"]


def test_a_secret_that_was_exchanged_in_its_own_file_is_a_change(watched: Watched) -> None:
    (watched.path.parent / "secret").write_text("second-secret")

    (config,) = watched.looks(3)

    assert config.secret_values() == ("second-secret",)


def test_what_needs_a_restart_is_told_once_and_kept_while_the_rest_is_given(watched: Watched, log: list[Any]) -> None:
    fixed = "model: {checkpoint: demo}\nqueue: {max_age_s: 3}\n"
    watched.write(fixed + with_rule("jumping"))
    (first,) = watched.looks(3)
    watched.write(fixed + with_rule("running"))
    (second,) = watched.looks(3)

    assert [line["sections"] for line in log if line["event"] == "restart_needed"] == [["model", "queue"]]
    assert (first.rules[0].id, second.rules[0].id) == ("jumping", "running")
    assert (second.model.checkpoint, second.queue.max_age_s) == ("microsoft/xclip-base-patch32", 10.0)


def test_a_change_of_what_needs_a_restart_alone_gives_nothing(watched: Watched) -> None:
    watched.write("redis: {namespace: other}\n" + TEXT)

    assert watched.looks(3) == []
    assert watched.watch.config.redis.namespace == "main"


@pytest.mark.parametrize("name", ["a\x00b", "a" * 500, "secret/within", ".", "\\0"], ids=ascii)
def test_a_secret_file_that_cannot_be_one_is_a_mistake_like_any_other(
    watched: Watched, log: list[Any], name: str
) -> None:
    watched.write(TEXT.replace("file:secret", f"file:{name}"))

    assert watched.looks(6) == []
    assert [line["event"] for line in log] == ["configuration_rejected"]


def test_a_link_that_leads_to_itself_keeps_the_old_configuration(watched: Watched, log: list[Any]) -> None:
    watched.path.unlink()
    watched.path.symlink_to(watched.path)

    assert watched.looks(4) == []
    assert [line["event"] for line in log] == ["configuration_rejected"]


def test_a_quiet_watch_leaves_the_telling_to_another(watched: Watched, log: list[Any]) -> None:
    quiet = ConfigWatch(watched.path, watched.watch.config, quiet=True, look_every_s=1.0, now=watched.clock.monotonic)
    watched.watch = quiet
    watched.settled()
    watched.write("rules: [")
    watched.looks(3)

    assert [(line["event"], line["log_level"]) for line in log] == [("configuration_rejected", "debug")]
