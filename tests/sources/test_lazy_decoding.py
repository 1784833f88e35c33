"""Real files through the decoder that decodes only what is asked for, beside all of their frames."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

import av
import pytest
from av.error import FFmpegError, InvalidDataError

from tests.videos import noise, steady, write_video
from xclip_stream.sources import lazy_decoding
from xclip_stream.sources.decoding import Packet
from xclip_stream.sources.files import open_file
from xclip_stream.sources.lazy_decoding import LazyDecoder

FRAMES = 100
"""Four seconds, of which each is a group but where something else is said."""
LATE = 2
"""So many packets after its own a frame comes out of the decoder."""
PICTURES = [noise(number // 4) // 4 + number % 4 * 8 for number in range(FRAMES)]

X264 = {"preset": "veryfast", "g": "25", "x264-params": "scenecut=0"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=25:min-keyint=25:bframes=3:open-gop=0"}
LAZY = {
    "as-a-camera.mp4": ("libx264", {**X264, "bf": "0"}),
    "b-frames.mp4": ("libx264", X264),
    "b-frames.mkv": ("libx264", X264),
    "b-frames.ts": ("libx264", X264),
    "many-b-frames.flv": ("libx264", {**X264, "bf": "6", "x264-params": "scenecut=0:b-adapt=0:b-pyramid=normal"}),
    "slices.mp4": ("libx264", {**X264, "slices": "4"}),
    "hevc.mp4": ("libx265", X265),
    "hevc.ts": ("libx265", X265),
}
AS_IT_COMES = {
    "open-groups.mp4": ("libx264", {**X264, "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}),
    "fields.mp4": ("libx264", {**X264, "x264-params": "interlaced=1:scenecut=0"}),
    "refresh.ts": ("libx264", {**X264, "intra-refresh": "1"}),
    "times-of-decoding.avi": ("libx264", X264),
    "no-times.h264": ("libx264", X264),
    "other.mp4": ("mpeg4", {"g": "25"}),
}
ANY_OF = {
    "each": lambda index: True,
    "two of each second": lambda index: index % 25 in {0, 12},
    "every thirtieth": lambda index: index % 30 == 0,
    "last": lambda index: index == FRAMES - 1,
    "some": lambda index: index % 25 in {3, 4, 21},
}


@dataclass(frozen=True, slots=True)
class Reading:
    stamps: list[int | None]
    shown: dict[int, str]
    """By the number of the moment, what its picture is."""
    decoded: int
    damage: list[str]


def write(folder: Path, name: str) -> Path:
    codec, options = {**LAZY, **AS_IT_COMES}[name]
    return write_video(folder / name, steady(25, FRAMES / 25), codec=codec, pictures=PICTURES, options=options)


def read(
    path: Path,
    wanted: Callable[[int], bool],
    *,
    through: Callable[[Iterator[Packet]], Iterator[Packet]] = lambda packets: packets,
    keeps_times: bool | None = None,
) -> Reading:
    stamps: list[int | None] = []
    shown: dict[int, str] = {}
    damage: list[str] = []
    with closing(open_file(path)) as video:
        known = video.keeps_times if keeps_times is None else keeps_times
        decoder = LazyDecoder(video.stream, keeps_times=known, note=damage.append)
        packets = video.packets(note=damage.append, is_fatal=lambda _: True)
        for index, moment in enumerate(decoder.moments(through(packets))):
            stamps.append(moment.pts)
            if wanted(index):
                shown[index] = content(moment.decode())
    return Reading(stamps, shown, decoder.decoded, damage)


def content(frame: av.VideoFrame) -> str:
    return sha256(frame.to_ndarray().tobytes()).hexdigest()


def all_frames(path: Path) -> tuple[list[int | None], list[str]]:
    """Return the times and contents of all frames, decoded the usual way."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [(frame.pts, content(frame)) for frame in container.decode(video=0)]
    return [pts for pts, _ in frames], [shown for _, shown in frames]


@pytest.mark.parametrize("wanted", ANY_OF)
@pytest.mark.parametrize("name", [*LAZY, *AS_IT_COMES])
def test_what_is_shown_is_what_decoding_all_of_it_shows(tmp_path: Path, name: str, wanted: str) -> None:
    path = write(tmp_path, name)
    stamps, contents = all_frames(path)

    found = read(path, ANY_OF[wanted])

    assert found.stamps == stamps
    assert found.shown == {index: contents[index] for index in range(FRAMES) if ANY_OF[wanted](index)}
    assert found.damage == []


@pytest.mark.parametrize("name", LAZY)
def test_what_nobody_asks_for_is_not_decoded(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)

    assert read(path, ANY_OF["each"]).decoded == FRAMES
    # Of each second the first picture, and those up to the thirteenth.
    assert read(path, ANY_OF["two of each second"]).decoded <= 4 * (13 + LATE)
    assert read(path, lambda _: False).decoded <= 4 * (1 + LATE)  # key frames alone


@pytest.mark.parametrize("name", ["b-frames.mp4", "many-b-frames.flv"])
def test_pictures_that_no_other_refers_to_are_passed_over(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)

    assert read(path, ANY_OF["last"]).decoded < 0.7 * FRAMES


@pytest.mark.parametrize("name", AS_IT_COMES)
def test_what_may_refer_to_the_group_before_is_decoded_whole(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)

    assert read(path, lambda _: False).decoded >= 0.7 * FRAMES


@pytest.mark.parametrize(("bound", "most"), [("_MAX_GROUP_BYTES", 20_000), ("_MAX_GROUP_PACKETS", 20)])
def test_a_group_that_is_too_long_is_decoded_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    path = write(tmp_path, "b-frames.mp4")
    stamps, contents = all_frames(path)
    monkeypatch.setattr(lazy_decoding, bound, most)

    found = read(path, ANY_OF["some"])

    assert found.stamps == stamps
    assert found.shown == {index: contents[index] for index in found.shown}
    assert found.decoded == FRAMES


def test_new_parameters_are_learnt_of_a_group_that_nobody_asks_for(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / f"{width}.ts", steady(25, 1), size=(width, 120), options={**X264, "bf": "0"})
        for width in (160, 320)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in [*parts, parts[1]]))
    widths = []

    with closing(open_file(joined)) as video:
        decoder = LazyDecoder(video.stream, keeps_times=video.keeps_times, note=lambda _: None)
        for index, moment in enumerate(decoder.moments(video.packets(note=lambda _: None, is_fatal=lambda _: True))):
            if index in {0, 70}:
                widths.append(moment.decode().width)

    assert widths == [160, 320]


def test_of_joined_recordings_also_what_comes_before_a_key_frame_is_shown(tmp_path: Path) -> None:
    """Where the second begins within a group, and its time stamps before those of the first end."""
    content = write(tmp_path, "b-frames.ts").read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(content + content[len(content) // 188 // 3 * 188 :])
    stamps, contents = all_frames(joined)

    found = read(joined, ANY_OF["some"])

    assert len(stamps) > FRAMES * 1.6
    assert found.stamps == stamps
    assert found.shown == {index: contents[index] for index in found.shown}


def test_where_a_frame_is_lost_the_next_one_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path, "slices.mp4")
    _, contents = all_frames(path)

    found = read(path, ANY_OF["each"], through=without(range(60, 63)))

    assert len(found.stamps) == FRAMES - 3
    assert [found.shown[index] for index in range(30)] == contents[:30]
    assert found.shown[75 - 3 + 5] == contents[80]  # a group later all is well


@pytest.mark.parametrize("name", ["as-a-camera.mp4", "hevc.mp4"])
def test_of_frames_that_are_lost_one_is_made_up_at_most(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    as_it_comes = read(path, ANY_OF["each"], through=partial(spoilt, numbers=range(55, 75)), keeps_times=False)

    found = read(path, ANY_OF["each"], through=partial(spoilt, numbers=range(55, 75)))

    assert len(as_it_comes.stamps) < FRAMES
    assert set(as_it_comes.stamps) <= set(found.stamps)
    assert len(found.stamps) <= len(as_it_comes.stamps) + 1


def test_a_file_of_which_nothing_can_be_decoded_has_no_moments(tmp_path: Path) -> None:
    path = write(tmp_path, "as-a-camera.mp4")

    found = read(path, ANY_OF["each"], through=spoilt)

    assert found.stamps == []
    assert "packet that cannot be decoded" in found.damage


def test_what_came_before_a_read_error_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path, "b-frames.mp4")
    _, contents = all_frames(path)
    shown: list[str] = []

    def broken(packets: Iterator[Packet]) -> Iterator[Packet]:
        yield from islice(packets, 60)
        raise InvalidDataError(1, "the disk is gone")

    with closing(open_file(path)) as video:
        decoder = LazyDecoder(video.stream, keeps_times=True, note=lambda _: None)
        moments = decoder.moments(broken(video.packets(note=lambda _: None, is_fatal=lambda _: True)))
        with pytest.raises(FFmpegError, match="the disk is gone"):
            shown += (content(moment.decode()) for moment in moments)

    assert len(shown) == 60
    assert shown[:50] == contents[:50]


def without(lost: Sequence[int]) -> Callable[[Iterator[Packet]], Iterator[Packet]]:
    """Leave out packets by their number in the file."""

    def through(packets: Iterator[Packet]) -> Iterator[Packet]:
        return (packet for number, packet in enumerate(packets) if number not in lost)

    return through


def spoilt(packets: Iterator[Packet], *, numbers: range = range(FRAMES)) -> Iterator[Packet]:
    """Make nothing but ones of some slices, behind the header of their NAL unit."""
    for number, packet in enumerate(packets):
        if number not in numbers or not packet.size:
            yield packet
            continue
        codec = packet.stream.codec_context.name
        header = {
            ("h264", False): b"\x41",
            ("h264", True): b"\x65",
            ("hevc", False): b"\x02\x01",
            ("hevc", True): b"\x26\x01",
        }
        data = header[codec, packet.is_keyframe] + b"\xff" * packet.size
        other = av.Packet(len(data).to_bytes(4, "big") + data)
        other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
        other.stream, other.is_keyframe = packet.stream, packet.is_keyframe
        yield other
