"""Real streams through the decoder that leaves out what is still."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.videos import steady, write_video
from xclip_stream.sources.files import open_file
from xclip_stream.sources.idle_watch import SETTINGS, IdleWatch
from xclip_stream.sources.watched_decoding import Arrival, Shown, WatchedDecoder
from xclip_stream.types import IdleMode, Pixels

FPS, SECONDS, SIZE = 10, 60, (320, 240)
WALKS = ((10, 12), (16, 18), (22, 24), (28, 30), (50, 52))
"""When somebody walks by, in seconds. The quiet before the last time is long enough to become idle."""

X264 = {"preset": "ultrafast", "g": "10", "bf": "0", "crf": "23"}
CBR = {
    "preset": "ultrafast",
    "g": "10",
    "bf": "0",
    "b": "200k",
    "minrate": "200k",
    "maxrate": "200k",
    "bufsize": "100k",
}
B_FRAMES = {"preset": "veryfast", "g": "10", "bf": "3", "crf": "23", "x264-params": "b-adapt=0"}
OPEN = {"preset": "veryfast", "g": "10", "bf": "3", "crf": "23", "x264-params": "b-adapt=0:open-gop=1"}
X265 = "log-level=none:keyint=10:min-keyint=10:crf=18"
STREAMS = {
    "constant-quality": ("libx264", X264),
    "constant-rate": ("libx264", CBR),
    "b-frames": ("libx264", B_FRAMES),
    "open-groups": ("libx264", OPEN),
    "h265": ("libx265", {"preset": "ultrafast", "x265-params": f"{X265}:open-gop=0:bframes=0"}),
    "h265-open-groups": ("libx265", {"preset": "ultrafast", "x265-params": f"{X265}:open-gop=1:bframes=3"}),
}


def is_walk(at_s: float) -> bool:
    return any(begin <= at_s < end for begin, end in WALKS)


@pytest.fixture(scope="module")
def scene() -> Sequence[Pixels]:
    """A wall with sensor noise, and somebody in front of it now and then."""
    random = np.random.default_rng(0)
    wall = random.integers(60, 180, (8, 10, 3)).repeat(30, 0).repeat(32, 1).astype(np.float32)
    pictures = []
    for at_s in steady(FPS, SECONDS):
        picture = wall + random.normal(0, 2, wall.shape)
        if is_walk(at_s):
            left = int(20 + 80 * (at_s % 3))
            picture[100:180, left : left + 28] = random.integers(0, 255, (80, 28, 3))
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures


@dataclass(frozen=True, slots=True)
class Reading:
    moments: list[Shown]
    damage: list[str]
    watch: IdleWatch | None

    @property
    def stamps(self) -> list[int | None]:
        return [shown.pts for shown in self.moments]

    @property
    def still_share(self) -> float:
        return sum(shown.frame is None for shown in self.moments) / len(self.moments)


def read(path: Path, mode: IdleMode) -> Reading:
    watch = None if mode == "off" else IdleWatch(SETTINGS[mode])
    damage: list[str] = []
    moments: list[Shown] = []
    with closing(open_file(path)) as video:
        decoder = WatchedDecoder(watch=watch, note=damage.append)
        for number, packet in enumerate(video.packets(note=damage.append, is_fatal=lambda _: True)):
            moments += decoder.take(packet, Arrival(1000.0 + number, float(number)))
        moments += decoder.finish()
    return Reading(moments, damage, watch)


@pytest.mark.parametrize("mode", ["conservative", "aggressive"])
@pytest.mark.parametrize("stream", STREAMS)
def test_no_movement_is_left_out_and_no_moment_is_lost(
    tmp_path: Path, scene: Sequence[Pixels], stream: str, mode: IdleMode
) -> None:
    codec, options = STREAMS[stream]
    path = write_video(
        tmp_path / "camera.mkv", steady(FPS, SECONDS), size=SIZE, codec=codec, pictures=scene, options=options
    )

    all_of_it, watched = read(path, "off"), read(path, mode)

    assert watched.stamps == all_of_it.stamps
    assert watched.damage == []
    assert [shown.arrived.monotonic for shown in watched.moments] == sorted(
        shown.arrived.monotonic for shown in watched.moments
    )
    still = [(shown.pts or 0) / 1000 for shown in watched.moments if shown.frame is None]
    assert not any(is_walk(at_s) for at_s in still)
    assert watched.still_share > 0.0
    assert all_of_it.still_share == 0.0


def test_what_is_decoded_is_the_same_as_ever(tmp_path: Path, scene: Sequence[Pixels]) -> None:
    path = write_video(tmp_path / "camera.mkv", steady(FPS, SECONDS), size=SIZE, pictures=scene, options=OPEN)

    all_of_it, watched = read(path, "off"), read(path, "aggressive")

    for ours, theirs in zip(watched.moments, all_of_it.moments, strict=True):
        if ours.frame is not None:
            assert theirs.frame is not None
            assert np.array_equal(ours.frame.to_ndarray(), theirs.frame.to_ndarray())


def test_a_camera_with_rare_key_frames_is_decoded(tmp_path: Path, scene: Sequence[Pixels]) -> None:
    options = {**X264, "g": "150"}
    path = write_video(tmp_path / "camera.mkv", steady(FPS, SECONDS), size=SIZE, pictures=scene, options=options)

    assert read(path, "aggressive").still_share == 0.0


def test_what_is_held_when_a_stream_ends_is_decoded(tmp_path: Path, scene: Sequence[Pixels]) -> None:
    seconds = 45.5
    path = write_video(tmp_path / "camera.mkv", steady(FPS, seconds), size=SIZE, pictures=scene, options=X264)

    moments = read(path, "aggressive").moments

    assert len(moments) == FPS * seconds
    assert moments[-6].frame is None
    assert moments[-1].frame is not None


def test_damage_wakes(tmp_path: Path, scene: Sequence[Pixels]) -> None:
    path = write_video(tmp_path / "camera.mkv", steady(FPS, SECONDS), size=SIZE, pictures=scene, options=X264)
    damage: list[str] = []
    moments: list[Shown] = []
    with closing(open_file(path)) as video:
        decoder = WatchedDecoder(watch=IdleWatch(SETTINGS["aggressive"]), note=damage.append)
        for number, packet in enumerate(video.packets(note=damage.append, is_fatal=lambda _: True)):
            packet.is_corrupt = number == 445
            moments += decoder.take(packet, Arrival(0.0, 0.0))

    assert [shown.frame is None for shown in moments[430:450]] == [True] * 10 + [False] * 10
