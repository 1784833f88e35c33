"""`xclip-stream probe`, on real files and a real RTSP server."""

import json
import os
import pty
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.command_line import PROGRAM, environment, run
from tests.rtsp import StartCamera, start_camera
from tests.videos import SIZE, steady, turn_clockwise, write_sound, write_video
from xclip_stream.cli.probe_advice import advice
from xclip_stream.cli.terminal_picture import half_blocks
from xclip_stream.sources.facts import VideoFacts
from xclip_stream.sources.packet_timing import Timing
from xclip_stream.sources.probing import Probe

__all__ = ["start_camera"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", steady(10, 4), tick=Fraction(1, 10))


def test_a_file_is_described(clip: Path) -> None:
    done = run("probe", "clip.mp4", home=clip.parent)

    assert done.returncode == 0, done.stderr
    lines = {line[:16].strip(): line[16:].strip() for line in done.stdout.splitlines()}
    assert lines["video"].startswith("h264 ")
    assert lines["picture"] == "160 × 120, yuv420p"
    assert lines["rate"].endswith("10 measured over 3.9 s")
    assert lines["keyframes"] == "every 1 s"
    assert lines["time stamps"] == "regular"
    assert lines["length"].endswith(" s")


def test_a_pipe_gets_no_picture_and_no_colour(clip: Path) -> None:
    done = run("probe", "clip.mp4", home=clip.parent, COLORTERM="truecolor", TERM="xterm-256color")

    assert "▀" not in done.stdout
    assert "\x1b" not in done.stdout


def test_a_terminal_shows_the_picture(clip: Path) -> None:
    ours, theirs = pty.openpty()
    colours = environment(clip.parent, COLORTERM="truecolor", TERM="xterm-256color", COLUMNS="80")
    process = subprocess.Popen([*PROGRAM, "probe", str(clip)], stdout=theirs, stderr=subprocess.PIPE, env=colours)
    os.close(theirs)

    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # Linux says that nobody holds the other end any more
        pass
    os.close(ours)
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()

    assert process.wait(60) == 0, errors
    assert shown.decode().count("▀") == 59 * 22
    assert "38;2;" in shown.decode()


def test_the_picture_has_the_upper_pixel_in_front_and_the_lower_behind() -> None:
    text = half_blocks(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8))

    assert text.plain == "▀\n"
    assert str(text.spans[0].style) == "#ff0000 on #0000ff"


def test_a_turned_file_is_shown_and_kept_upright(tmp_path: Path) -> None:
    turn_clockwise(write_video(tmp_path / "clip.mp4", steady(10, 1)))

    done = run("probe", "clip.mp4", "--json", "--snapshot", "shot.png", home=tmp_path)

    assert json.loads(done.stdout)["rotation"] == -90
    with av.open(str(tmp_path / "shot.png")) as shot:
        (picture,) = shot.decode(video=0)
    assert (picture.height, picture.width) == SIZE


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shot.txt", "shot.txt: the name of a picture ends with .jpg or .png"),
        ("shot.gif", "shot.gif: the name of a picture ends with .jpg or .png"),
        ("none/shot.jpg", "none/shot.jpg: there is no folder none"),
        ("folder.png", "folder.png: is a folder"),
    ],
)
def test_a_snapshot_that_cannot_be_is_told_before_anything_is_opened(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder.png").mkdir()

    done = run("probe", "rtsp://10.255.255.1/live", "--snapshot", name, home=tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"error: {sentence}\n"


def test_a_snapshot_that_cannot_be_written_does_not_cost_the_report(clip: Path) -> None:
    (clip.parent / "shot.png").symlink_to("none/shot.png")

    done = run("probe", "clip.mp4", "--snapshot", "shot.png", home=clip.parent)

    assert done.returncode == 1
    assert "160 × 120" in done.stdout
    assert done.stderr == "error: shot.png: cannot be written (No such file or directory)\n"


def test_what_is_no_video_is_said_as_the_readers_say_it(tmp_path: Path) -> None:
    write_sound(tmp_path / "sound.m4a")

    done = run("probe", "sound.m4a", home=tmp_path)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: sound.m4a: there is no video in it\n"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("rtsp://camera:80800/live", "rtsp://***: its port must be a number from 1 to 65535"),
        ("rtsp://viewer:hunter2@camera:554x/live", "rtsp://***: its port must be a number from 1 to 65535"),
        ("rtsp://camera:0/live", "rtsp://camera:0/live: its port must be a number from 1 to 65535"),
        ("rtsp://[::1/live", "rtsp://***: is not a valid URL"),
        ("ftp://viewer:hunter2@camera/live", "ftp://***@camera/live: ftp:// is not supported; use a file or rtsp"),
        ("viewer:hunter2@camera/live", "it looks like an address without its scheme: begin it with rtsp://"),
        ("10.0.0.5:554/live", "it looks like an address without its scheme: begin it with rtsp://"),
        ("v4l2:///dev/video0?siz=1x1", "v4l2:///dev/video0?siz=1x1: has no option 'siz'"),
        ("rtsp:///live", "rtsp:///live: is not a valid URL: it has no host, or has spaces in it"),
    ],
)
def test_a_wrong_address_is_named_without_its_password(tmp_path: Path, url: str, line: str) -> None:
    done = run("probe", url, home=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {line}")
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_a_camera_is_described_and_its_password_is_not(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip, user="viewer", password="right-horse")

    done = run("probe", camera.url("viewer:right-horse"), "--seconds", "2", "--json", home=clip.parent)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["source"] == f"rtsp://***@127.0.0.1:{camera.port}/live"
    assert found["live"] is True
    assert found["video"]["codec"] == "h264"
    assert found["timing"]["fps"] == pytest.approx(10, abs=1)
    assert found["timing"]["jumps"] == 0
    assert "right-horse" not in done.stdout + done.stderr


def test_a_wrong_password_is_one_line_without_it(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip, user="viewer", password="right-horse")

    done = run("probe", camera.url("viewer:wrong-horse"), home=clip.parent)

    assert done.returncode == 1
    assert done.stderr == f"error: rtsp://***@127.0.0.1:{camera.port}/live: wrong user or password\n"


def test_a_camera_that_breaks_off_is_described_as_far_as_it_came(clip: Path, start_camera: StartCamera) -> None:
    camera = start_camera(clip, once=True)

    done = run("probe", camera.url(), "--seconds", "60", home=clip.parent)

    assert done.returncode == 1
    assert "160 × 120" in done.stdout
    assert done.stderr == f"error: {camera.url()}: the stream ended\n"


# --------------------------------------------------------------------------------------------------------- advice

TIMING = Timing(
    packets=100,
    span_s=5.0,
    fps=20.0,
    keyframes=5,
    keyframe_s=1.0,
    since_keyframe_s=0.5,
    bit_rate=1e6,
    gaps=0,
    longest_gap_s=0.0,
    jumps=0,
    jitter_s=0.01,
    speed=1.0,
)
FACTS = VideoFacts(
    container="rtsp",
    codec="h264",
    profile="Main",
    level="4.0",
    pixel_format="yuv420p",
    width=640,
    height=360,
    declared_fps=20.0,
    audio=(),
)
GOOD = Probe(
    shown_url="rtsp://camera/live",
    live=True,
    facts=FACTS,
    timing=TIMING,
    frames=100,
    first_frame_s=0.5,
    b_frames=False,
    rotation=0,
    duration_s=None,
    damage=(),
    picture=np.zeros((360, 640, 3), np.uint8),
    error=None,
)


def test_a_good_camera_needs_no_advice() -> None:
    assert advice(GOOD) == []


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (
            replace(GOOD, timing=replace(TIMING, keyframe_s=10.0)),
            "keyframes every 10 s: clips and reconnects begin late, and by default it is decoded also",
        ),
        (replace(GOOD, timing=replace(TIMING, keyframe_s=None, since_keyframe_s=5.0)), "no second keyframe in 5 s"),
        (replace(GOOD, first_frame_s=6.0), "the first frame took 6.0 s"),
        (replace(GOOD, b_frames=True), "B-frames"),
        (replace(GOOD, timing=replace(TIMING, fps=12.0)), "12.0 of the 20 frames a second"),
        (replace(GOOD, facts=replace(FACTS, declared_fps=2.0), timing=replace(TIMING, fps=2.0)), "2.0 frames a second"),
        (replace(GOOD, timing=replace(TIMING, speed=2.0)), "its time stamps run 2.00 times as fast"),
        (replace(GOOD, timing=replace(TIMING, jitter_s=0.5)), "packets come 500 ms early or late"),
        (replace(GOOD, facts=replace(FACTS, width=3840, height=2160)), "3840 × 2160 at 1.0 Mbit/s"),
        (replace(GOOD, facts=replace(FACTS, codec="hevc")), "H.265"),
        (replace(GOOD, timing=replace(TIMING, jumps=1)), "1 × time stamps jumped"),
        (replace(GOOD, timing=replace(TIMING, gaps=2, longest_gap_s=1.5)), "2 × a gap, the longest of 1.5 s"),
        (replace(GOOD, damage=("3 × read error, first at 0.1 s",)), "3 × read error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_should_be_changed_is_one_line(probe: Probe, words: str) -> None:
    (line,) = advice(probe)

    assert line.startswith(words)
