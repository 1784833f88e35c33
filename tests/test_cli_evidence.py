"""A run with evidence, from the configuration to the files that the events name."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import pytest
from PIL import Image

from tests.command_line import run
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import steady, write_video

SITE = """\
model: {checkpoint: ./model, threads: 1, device: cpu}
evidence: {dir: kept, pre_roll_s: 1, post_roll_s: 1%s}
sources:
  - {id: film, url: film.mp4, window: {span_s: 2, stride_s: 0.5}}
rules:
  - {id: anything, prompts: [anything at all], background: [an empty yard], enter: 0.001, exit: 0.0005,
     max_duration_s: 3, cooldown_s: 2}
sinks:
  - {id: console, type: console, format: json}
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    write_tiny_checkpoint(folder / "model", num_frames=4)
    write_video(folder / "film.mp4", steady(5, 20))
    return folder


@pytest.fixture
def site(parts: Path, tmp_path: Path) -> Path:
    for part in parts.iterdir():
        (tmp_path / part.name).symlink_to(part)
    (tmp_path / "site.yaml").write_text(SITE % "")
    return tmp_path


def ended_of(output: str) -> list[dict[str, str]]:
    events = [json.loads(line)["data"] for line in output.splitlines()]
    return [event for event in events if event["phase"] == "ended"]


def test_when_a_run_over_a_file_is_over_every_event_has_its_picture_and_its_clip(site: Path) -> None:
    done = run("run", "site.yaml", home=site)

    assert done.returncode == 0, done.stderr
    ended = ended_of(done.stdout)
    assert len(ended) > 2
    for event in ended:
        clip, snapshot = (Path(unquote(urlsplit(event[key]).path)) for key in ("clip_url", "snapshot_url"))
        assert clip.parent.parent == site / "kept" / "film"
        with av.open(str(clip)) as video:
            assert 3.0 < sum(1 for _ in video.decode(video=0)) / 5 < 9.0
        with Image.open(snapshot) as picture:
            assert picture.format == "JPEG"


def test_a_run_without_the_section_keeps_nothing(site: Path) -> None:
    text = (site / "site.yaml").read_text()
    (site / "site.yaml").write_text("".join(line for line in text.splitlines(keepends=True) if "evidence" not in line))
    done = run("run", "site.yaml", home=site)

    assert done.returncode == 0, done.stderr
    assert {event["clip_url"] for event in ended_of(done.stdout)} == {None}
    assert not (site / "kept").exists()


def test_the_urls_of_events_begin_as_they_are_served(site: Path) -> None:
    (site / "site.yaml").write_text(SITE % ", base_url: 'https://cameras.example/kept/'")
    done = run("run", "site.yaml", home=site)

    event = ended_of(done.stdout)[0]
    name = event["clip_url"].removeprefix("https://cameras.example/kept/")
    assert (site / "kept" / name).exists()
