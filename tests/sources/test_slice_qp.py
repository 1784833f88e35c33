from pathlib import Path

import av
import pytest
from av.video.frame import PictureType

from tests.videos import noise, steady, write_video
from xclip_stream.sources.slice_qp import SliceQuantisers

PICTURES = [noise(seed) // 4 + 90 for seed in range(24)]


def quantisers_of(path: Path) -> dict[str, set[float | None]]:
    """Return which quantisers the packets of a file have, by the kind of their picture."""
    found: dict[str, set[float | None]] = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        reader = SliceQuantisers(stream.codec_context.extradata or b"")
        kinds: dict[int | None, str] = {}
        quantisers: dict[int | None, float | None] = {}
        for packet in container.demux(stream):
            if packet.size:
                read = reader.read(bytes(packet))
                quantisers[packet.pts] = read and read.qp
            kinds |= {frame.pts: PictureType(frame.pict_type).name for frame in packet.decode()}
    for pts, qp in quantisers.items():
        found.setdefault(kinds[pts], set()).add(qp)
    return found


@pytest.mark.parametrize("ending", ["mp4", "ts"])
@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, ""),
        ({"profile": "baseline"}, ""),
        ({"slices": "4"}, ""),
        ({}, ":weightp=2:ref=4"),
        ({}, ":aud=1:interlaced=1"),
        ({"preset": "slow"}, ":8x8dct=1:cqm=jvt"),
    ],
    ids=["cabac", "cavlc", "slices", "weights", "interlaced", "matrices"],
)
def test_the_quantiser_is_that_which_the_encoder_was_given(
    tmp_path: Path, ending: str, options: dict[str, str], parameters: str
) -> None:
    settings = {"preset": "medium", "g": "8", "bf": "0", **options}
    settings["x264-params"] = f"qp=30:ipratio=1.0:scenecut=0{parameters}"
    path = write_video(tmp_path / f"clip.{ending}", steady(25, 0.96), pictures=PICTURES, options=settings)

    assert quantisers_of(path) == {"I": {30.0}, "P": {30.0}}


def test_b_frames_have_quantisers_too(tmp_path: Path) -> None:
    parameters = "qp=28:ipratio=1.0:pbratio=1.2599:b-adapt=0:weightb=1:bframes=2:b-pyramid=none:scenecut=0"
    options = {"g": "12", "x264-params": parameters}
    path = write_video(tmp_path / "clip.mp4", steady(25, 0.96), pictures=PICTURES, options=options)

    assert quantisers_of(path) == {"I": {28.0}, "P": {28.0}, "B": {30.0}}


def test_stuffing_does_not_count() -> None:
    reader = SliceQuantisers(b"")
    picture = b"\0\0\1\x65" + bytes(range(1, 41))

    assert reader.read(picture + b"\0\0\1\x0c" + b"\xff" * 500) is None
    assert reader.read(b"") is None


@pytest.mark.parametrize("data", [b"\0\0\1", b"\0\0\1\x41", b"\0\0\1\x67\xff" * 9, bytes(range(256)) * 4])
def test_what_is_no_h264_has_no_quantiser(data: bytes) -> None:
    assert SliceQuantisers(b"\1\2\3\4\5\6\7").read(data) is None
    assert SliceQuantisers(data).read(data) is None
