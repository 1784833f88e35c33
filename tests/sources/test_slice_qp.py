from pathlib import Path

import av
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st

from tests.videos import noise, steady, write_video
from xclip_stream.sources.packet_kinds import PacketKind, PacketKinds
from xclip_stream.sources.slice_qp import Quantised, SliceQuantisers

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


def packets_of(path: Path) -> tuple[str, bytes, list[bytes]]:
    """Return the codec, the extradata and the packets of a file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
        return stream.codec_context.name, stream.codec_context.extradata or b"", packets


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes, list[bytes]]]:
    folder = tmp_path_factory.mktemp("streams")
    options = {"preset": "fast", "g": "4"}
    fields = options | {"x264-params": "interlaced=1:weightp=2:ref=4"}
    hevc = {"preset": "ultrafast", "x265-params": "log-level=none"}
    times = steady(25, 0.48)
    return [
        packets_of(write_video(folder / "boxes.mp4", times, pictures=PICTURES[:12], options=options)),
        packets_of(write_video(folder / "codes.ts", times, pictures=PICTURES[:12], options=options)),
        packets_of(write_video(folder / "fields.mp4", times, pictures=PICTURES[:12], options=fields)),
        packets_of(write_video(folder / "hevc.mp4", times, pictures=PICTURES[:12], codec="libx265", options=hevc)),
    ]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw bytes with some places of their beginning, where the headers are, changed, cut or filled."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(content), 120)))
        content[at : at + draw(st.integers(0, 8))] = draw(
            st.binary(max_size=8) | st.sampled_from([b"\0\0\1", b"\0\0\1\x67", b"\xff" * 50, bytes(20)])
        )
    return bytes(content)


@given(data=st.data())
def test_whatever_a_camera_sends_is_read_or_is_nothing(
    streams: list[tuple[str, bytes, list[bytes]]], data: st.DataObject
) -> None:
    codec, extradata, packets = data.draw(st.sampled_from(streams))
    extradata = data.draw(st.just(extradata) | damaged(extradata))
    quantisers, kinds = SliceQuantisers(extradata), PacketKinds(codec, extradata)

    for packet in data.draw(st.lists(st.sampled_from(packets), max_size=3)):
        content = data.draw(damaged(packet))

        assert isinstance(quantisers.read(content), Quantised | None)
        assert isinstance(kinds.read(content), PacketKind | None)


def test_a_parameter_set_without_an_end_costs_no_more_than_one_with_it() -> None:
    """It announces millions of picture orders, and a megabyte of them follows: hours, where all of it is read."""
    head = format(66, "08b") + "0" * 16 + "11" + "010" + "111" + "0" * 21 + "1" * 22
    endless = b"\x67" + int(head.ljust(-(-len(head) // 8) * 8, "1"), 2).to_bytes(-(-len(head) // 8), "big")
    packet = b"\0\0\1" + endless + b"\xff" * 1_000_000

    assert SliceQuantisers(b"").read(packet) is None
    assert PacketKinds("h264", packet).read(packet) is None


def test_parameter_sets_that_never_repeat_are_not_kept() -> None:
    reader = SliceQuantisers(b"")
    for number in range(3000):
        reader.read(b"\0\0\1\x68" + number.to_bytes(3, "big") + b"\xff" * 200)

    assert len(reader._known) < 300
    assert len(reader._pictures) <= 256
