from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from tests.videos import steady, write_video
from xclip_stream.sources.decoding import Packet
from xclip_stream.sources.files import open_file
from xclip_stream.sources.idle_watch import SETTINGS, IdleWatch
from xclip_stream.sources.scouting import Scout, SmallPictures
from xclip_stream.types import Pixels

FPS, SIZE = 10, (320, 240)
OPTIONS: Mapping[str, dict[str, str]] = {
    "plain": {"preset": "ultrafast", "g": "20", "bf": "0", "crf": "23"},
    "b-frames": {"preset": "veryfast", "g": "20", "bf": "3", "crf": "23", "x264-params": "b-adapt=0"},
}


def wall(*, somebody: bool) -> Pixels:
    picture = np.random.default_rng(0).integers(60, 180, (8, 10, 3)).repeat(30, 0).repeat(32, 1).astype(np.uint8)
    if somebody:
        picture[100:180, 120:150] = 255
    return picture


@contextmanager
def interval(path: Path, *, somebody_at: range, stream: str = "plain") -> Iterator[list[tuple[Packet, float]]]:
    """Yield the packets of an interval of two seconds; somebody is there in these of its twenty pictures."""
    pictures = [wall(somebody=number in somebody_at) for number in range(2 * FPS)]
    write_video(path, steady(FPS, 2), size=SIZE, pictures=pictures, options=OPTIONS[stream])
    video = open_file(path)
    try:
        packets = video.packets(note=lambda _: None, is_fatal=lambda _: True)
        yield [(packet, number / FPS) for number, packet in enumerate(packets) if packet.size]
    finally:
        video.close()


@pytest.fixture
def watch() -> IdleWatch:
    """A watch that has seen the wall."""
    found = IdleWatch(SETTINGS["conservative"])
    found.see(SmallPictures().of(av.VideoFrame.from_ndarray(wall(somebody=False), format="rgb24")), -1.0)
    found.begin_interval(0.0)
    return found


@pytest.mark.parametrize("stream", OPTIONS)
@pytest.mark.parametrize("somebody_at", [range(0), range(3, 6), range(18, 20)], ids=["nobody", "early", "at the end"])
def test_it_finds_what_comes_and_goes_in_an_interval(
    tmp_path: Path, watch: IdleWatch, stream: str, somebody_at: range
) -> None:
    with interval(tmp_path / "a.mkv", somebody_at=somebody_at, stream=stream) as packets:
        scout = Scout(SmallPictures())
        scout.look_through(watch, packets, is_over=True)

        assert watch.must_wake is bool(somebody_at)
        assert scout.taken == len(packets) or somebody_at


@pytest.mark.parametrize("stream", OPTIONS)
def test_it_goes_on_where_it_left_off_and_begins_anew_with_an_interval(
    tmp_path: Path, watch: IdleWatch, stream: str
) -> None:
    with (
        interval(tmp_path / "a.mkv", somebody_at=range(0), stream=stream) as still,
        interval(tmp_path / "b.mkv", somebody_at=range(14, 20), stream=stream) as moving,
    ):
        scout = Scout(SmallPictures())
        scout.look_through(watch, still[:7], is_over=False)
        scout.look_through(watch, still[7:8], is_over=False)
        scout.look_through(watch, still[8:], is_over=True)
        scout.begin_interval()
        scout.look_at(watch, still[0][0], 2.0)
        scout.begin_interval()
        scout.look_through(watch, moving[:10], is_over=False)
        assert not watch.must_wake

        scout.look_through(watch, moving[10:], is_over=True)

        assert watch.must_wake


def test_it_looks_at_the_last_picture_whenever_the_one_before_was(tmp_path: Path, watch: IdleWatch) -> None:
    with interval(tmp_path / "a.mkv", somebody_at=range(9, 20)) as packets:
        scout = Scout(SmallPictures())
        scout.look_through(watch, packets[:9], is_over=False)
        assert not watch.must_wake

        scout.look_through(watch, packets[9:10], is_over=False)

        assert watch.must_wake


def test_what_it_cannot_decode_has_to_be_decoded(tmp_path: Path, watch: IdleWatch) -> None:
    with interval(tmp_path / "a.mkv", somebody_at=range(0)) as packets:
        broken: av.Packet[av.VideoStream] = av.Packet(b"\0\0\0\1" + bytes(range(200)))
        broken.stream = packets[0][0].stream

        Scout(SmallPictures()).look_at(watch, broken, 2.0)

        assert watch.must_wake
