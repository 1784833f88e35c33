"""Clips and pictures of real files, and of packets in a ring."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.videos import GEOMETRY, grey, join, noise, number_of, steady, turn_clockwise, write_video
from xclip_stream.errors import EvidenceError, FootageGone
from xclip_stream.sources import FileFootage, LiveFootage, PacketRing, PacketTap, Painter, open_source
from xclip_stream.sources.file_packets import FilePackets
from xclip_stream.sources.pictures import upright
from xclip_stream.types import Box, Pixels

SIZE = (320, 240)


def film(path: Path, *, seconds: float = 8.0, **options: object) -> Path:
    """Write a film of ten frames a second."""
    return write_video(path, steady(10, seconds), size=SIZE, **options)  # type: ignore[arg-type]


def footage(path: Path, painter: Painter | None = None, *, beat: Callable[[], None] = lambda: None) -> FileFootage:
    return FileFootage(path, start_time=1000.0, painter=painter or Painter(), beat=beat)


def ring_of(path: Path) -> PacketRing:
    """Return what a camera that plays this film would have left."""
    ring = PacketRing(span_s=1000.0, max_bytes=10_000_000)
    for packet in FilePackets(path, start_time=1000.0, beat=lambda: None).since(1000.0):
        ring.add(packet)
    return ring


def clip_of(source: FileFootage | LiveFootage, folder: Path, *, begins_at: float, ends_at: float) -> Path:
    clip = source.begin_clip(folder / "growing.mp4", begins_at=begins_at, caption="a caption")
    assert clip.extend(ends_at=ends_at)
    clip.finish(folder / "clip.mp4")
    return folder / "clip.mp4"


def numbers_of(path: Path) -> list[int]:
    with av.open(str(path)) as video:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]


def codec_of(path: Path) -> str:
    with av.open(str(path)) as video:
        return video.streams.video[0].codec_context.name


def shaded() -> Pixels:
    """Return a picture that is darker at the top and on the left."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    return np.stack([x * 200 // SIZE[0], y * 200 // SIZE[1], np.full_like(x, 80)], -1).astype(np.uint8)


def seen(jpeg: bytes) -> Pixels:
    return np.asarray(Image.open(BytesIO(jpeg)))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_a_clip_begins_with_the_key_frame_before_and_ends_when_it_is_told(
    tmp_path: Path, name: str, b_frames: str
) -> None:
    path = film(tmp_path / name, options={"preset": "fast", "g": "10", "bf": b_frames})
    clip = clip_of(footage(path), tmp_path, begins_at=1003.4, ends_at=1005.0)

    numbers = numbers_of(clip)
    assert codec_of(clip) == "h264"
    assert numbers[:10] == [number % 20 for number in range(30, 40)]
    assert len(numbers) in range(20, 24)


def shown_of(path: Path) -> list[tuple[float, int]]:
    """Return the event time and the number of each frame, as its reader has them."""
    with open_source(str(path), geometry=GEOMETRY, start_time=1000.0) as source:
        return [(frame.captured_at, number_of(frame.pictures()[0])) for frame in source]


def pictured(path: Path, times: Iterable[float]) -> list[int]:
    """Return the numbers of the frames that evidence shows at these times."""
    source = footage(path)
    return [number_of(seen(source.snapshot(at, caption=""))) for at in times]


@pytest.mark.parametrize("name", ["a.h264", "a.avi"])
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_of_a_file_that_tells_the_order_of_frames_alone_there_is_evidence_too(
    tmp_path: Path, name: str, b_frames: str
) -> None:
    options = {"preset": "fast", "g": "10", "bf": b_frames}
    path = write_video(tmp_path / name, steady(25, 3.2), size=SIZE, tick=Fraction(1, 25), options=options)
    shown = shown_of(path)[:-2]
    clip = clip_of(footage(path), tmp_path, begins_at=shown[41][0], ends_at=shown[60][0])
    numbers = numbers_of(clip)

    assert pictured(path, [at for at, _ in shown[::7]]) == [number for _, number in shown[::7]]
    assert numbers[:20] == [(numbers[0] + number) % 20 for number in range(20)]
    assert len(numbers) in range(20, 26)


def test_packed_pictures_of_an_old_avi_are_found(tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi", codec="mpeg4", options={"g": "10", "bf": "2"})
    shown = shown_of(path)

    assert pictured(path, [at for at, _ in shown[::7]]) == [number for _, number in shown[::7]]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.ts", "libx264"), ("a.ts", "libx265"), ("a.ts", "mpeg2video"), ("a.mpg", "mpeg2video")]
)
def test_behind_the_point_where_recordings_are_joined_evidence_is_of_the_second(
    tmp_path: Path, name: str, codec: str
) -> None:
    options = {"preset": "ultrafast", "g": "12", "bf": "2", "x265-params": "keyint=12:bframes=3:log-level=none"}

    def part(number: int) -> Path:
        pictures = [grey(number + frame // 5, SIZE) for frame in range(100)]
        times = steady(25, 4)
        path = tmp_path / f"{number}-{name}"
        return write_video(
            path, times, size=SIZE, codec=codec, options=options, pictures=pictures, tick=Fraction(1, 25)
        )

    path = join(tmp_path / name, [part(0), part(7), part(0)])
    shown = shown_of(path)[2::9]
    clip = clip_of(footage(path), tmp_path, begins_at=1009.0, ends_at=1010.0)

    assert max(at for at, _ in shown) == pytest.approx(1012.0, abs=0.5)
    assert pictured(path, [at for at, _ in shown]) == [number for _, number in shown]
    assert numbers_of(clip)[-1] in {9, 10}


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("at", [0.5, 3.9, 7.4, 11.9])
def test_a_key_frame_is_found_however_far_it_is(tmp_path: Path, name: str, at: float) -> None:
    path = film(tmp_path / name, seconds=16.0, options={"preset": "fast", "g": "40", "bf": "2"})
    numbers = numbers_of(clip_of(footage(path), tmp_path, begins_at=1000.0 + at, ends_at=1000.0 + at + 1.0))

    assert number_of(seen(footage(path).snapshot(1000.0 + at, caption=""))) == round(at * 10) % 20
    assert numbers[0] == int(at / 4.0) * 40 % 20
    assert round(at * 10) % 20 in numbers


def test_the_times_of_a_recording_that_begins_between_key_frames_are_those_of_its_reader(tmp_path: Path) -> None:
    path = film(tmp_path / "a.ts", options={"preset": "fast", "g": "40", "bf": "0"})
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 188 // 3 * 188 :])
    with open_source(str(path), geometry=GEOMETRY, start_time=1000.0) as source:
        shown = [(frame.captured_at, number_of(frame.pictures()[0])) for frame in source]

    for at, number in shown[::15]:
        assert number_of(seen(footage(path).snapshot(at, caption=""))) == number


@pytest.mark.parametrize("masks", [(), ((0.0, 0.0, 1.0, 0.25),)])
def test_what_a_telephone_has_filmed_is_upright_and_masked_as_for_its_reader(
    tmp_path: Path, masks: tuple[Box, ...]
) -> None:
    path = turn_clockwise(film(tmp_path / "a.mp4", pictures=[noise(number, SIZE) for number in range(80)]))
    with open_source(str(path), geometry=GEOMETRY, masks=masks) as source:
        shown = seen(next(iter(source)).jpeg(width_px=1000))
    evidence = footage(path, Painter(masks=masks))
    clip = clip_of(evidence, tmp_path, begins_at=1000.0, ends_at=1001.0)
    with av.open(str(clip)) as video:
        frame = next(video.decode(video=0))

    assert shown.shape == (320, 240, 3)
    for picture in (seen(evidence.snapshot(1000.0, caption="")), upright(frame)):
        assert picture.shape == shown.shape
        assert abs(int(picture[:72].mean()) - int(shown[:72].mean())) <= 2
        assert abs(int(picture[88:].mean()) - int(shown[88:].mean())) <= 2


@pytest.mark.parametrize("at", [0.0, 0.95, 3.3, 4.0, 7.9])
def test_a_picture_is_of_the_frame_at_that_time(tmp_path: Path, at: float) -> None:
    path = film(tmp_path / "a.mp4", options={"preset": "fast", "g": "10", "bf": "2"})

    for source in (footage(path), LiveFootage(ring_of(path), painter=Painter())):
        number = number_of(seen(source.snapshot(1000.0 + at, caption="")))
        assert number in {int(at * 10) % 20, round(at * 10 + 0.01) % 20}


def test_a_picture_after_the_end_is_the_last_one(tmp_path: Path) -> None:
    assert number_of(seen(footage(film(tmp_path / "a.mp4")).snapshot(5000.0, caption=""))) == 79 % 20


def test_a_codec_that_browsers_do_not_play_is_encoded(tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi", codec="mpeg4", options={})
    clip = clip_of(footage(path), tmp_path, begins_at=1003.4, ends_at=1005.0)

    assert codec_of(path) == "mpeg4"
    assert codec_of(clip) == "h264"
    assert len(numbers_of(clip)) > 15


def test_a_caption_is_burnt_into_pictures_and_clips(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    plain, painted = footage(path), footage(path, Painter(overlay=True))
    clip = clip_of(painted, tmp_path, begins_at=1003.0, ends_at=1004.0)

    for picture in (seen(painted.snapshot(1003.0, caption="yard climbing")), first_of(clip)):
        difference = np.abs(picture.astype(int) - seen(plain.snapshot(1003.0, caption="")).astype(int))
        assert difference[:40, :150].max() > 80
        assert difference[80:].max() < 30


def test_of_a_caption_that_is_too_long_for_the_picture_the_rest_is_not_drawn(tmp_path: Path) -> None:
    painted = footage(film(tmp_path / "a.mp4"), Painter(overlay=True))

    endless = painted.snapshot(1003.0, caption="i" * 1_000_001)  # Pillow refuses to draw so much
    assert endless == painted.snapshot(1003.0, caption="i" * 300)


def first_of(path: Path) -> Pixels:
    with av.open(str(path)) as video:
        return np.asarray(next(video.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


def test_a_clip_ends_where_the_camera_changes_its_video(tmp_path: Path) -> None:
    ring = ring_of(film(tmp_path / "a.mp4", seconds=3))
    larger = write_video(tmp_path / "b.mp4", steady(10, 3), size=(640, 480))
    for packet in FilePackets(larger, start_time=1003.0, beat=lambda: None).since(1003.0):
        ring.add(packet)

    clip = LiveFootage(ring, painter=Painter()).begin_clip(tmp_path / "growing.mp4", begins_at=1000.0, caption="")
    assert clip.extend(ends_at=1005.0)
    clip.finish(tmp_path / "clip.mp4")

    assert len(numbers_of(tmp_path / "clip.mp4")) == 30
    assert clip.lacks_from(1000.0, 1003.0) is None
    assert clip.lacks_from(1000.0, 1005.0) == pytest.approx(1002.9)


RESIZED = {
    "libx264": {"preset": "ultrafast", "g": "10", "bf": "0"},
    "libx265": {"preset": "ultrafast", "x265-params": "keyint=10:bframes=0:log-level=none"},
}


@pytest.mark.parametrize("codec", RESIZED)
def test_a_camera_that_changes_its_size_without_a_new_connection_leaves_clips_of_both(
    tmp_path: Path, codec: str
) -> None:
    options = RESIZED[codec]
    small = write_video(tmp_path / "small.ts", steady(10, 3), codec=codec, options=options, size=SIZE)
    late = [3 + time_s for time_s in steady(10, 3)]
    large = write_video(tmp_path / "large.ts", late, codec=codec, options=options, size=(640, 480))
    ring, now = PacketRing(span_s=1000.0, max_bytes=10_000_000), 1000.0
    tap = PacketTap(ring, now=lambda: now, monotonic=lambda: now)
    with av.open(str(join(tmp_path / "both.ts", [small, large]))) as container:
        for packet in container.demux(video=0):
            tap.add(packet)
            now += 0.1
    source = LiveFootage(ring, painter=Painter())

    found = []
    for begins_at in (1000.0, 1004.5):
        clip = source.begin_clip(tmp_path / "growing.mp4", begins_at=begins_at, caption="")
        clip.extend(ends_at=1010.0)
        clip.finish(tmp_path / "clip.mp4")
        with av.open(str(tmp_path / "clip.mp4")) as video:
            found.append((video.streams.video[0].codec_context.width, numbers_of(tmp_path / "clip.mp4")))
        (tmp_path / "growing.mp4").unlink()
    assert found == [
        (320, [number % 20 for number in range(30)]),
        (640, [number % 20 for number in range(10, 30)]),
    ]


def test_packets_that_are_damaged_cost_frames_and_not_the_clip(tmp_path: Path) -> None:
    ring = PacketRing(span_s=1000.0, max_bytes=10_000_000)
    for number, packet in enumerate(
        FilePackets(film(tmp_path / "a.mp4"), start_time=1000.0, beat=lambda: None).since(1000.0)
    ):
        data = bytes(len(packet.data)) if number in {13, 14} else packet.data
        ring.add(replace(packet, data=data))
    source = LiveFootage(ring, painter=Painter(overlay=True))

    assert len(numbers_of(clip_of(source, tmp_path, begins_at=1000.0, ends_at=1004.0))) > 35
    assert source.snapshot(1001.4, caption="")


def test_a_clip_that_a_killed_reader_has_left_is_finished_as_it_is(tmp_path: Path) -> None:
    ring = ring_of(film(tmp_path / "a.mp4"))
    first = LiveFootage(ring, painter=Painter()).begin_clip(tmp_path / "growing.mp4", begins_at=1000.0, caption="")
    first.extend(ends_at=1004.05)
    whole = (tmp_path / "growing.mp4").read_bytes()
    (tmp_path / "growing.mp4").write_bytes(whole[:-100])  # as after a kill, in the middle of a write

    found = LiveFootage(ring, painter=Painter()).begin_clip(tmp_path / "growing.mp4", begins_at=1000.0, caption="")
    assert found.extend(ends_at=1007.0)
    found.finish(tmp_path / "clip.mp4")

    assert 20 <= len(numbers_of(tmp_path / "clip.mp4")) <= 41
    assert found.lacks_from(1000.0, 1004.0) == 1000.0


def test_a_finished_clip_whose_reader_was_killed_before_it_could_say_so_is_whole(tmp_path: Path) -> None:
    source = LiveFootage(ring_of(film(tmp_path / "a.mp4")), painter=Painter())
    clip = clip_of(source, tmp_path, begins_at=1000.0, ends_at=1004.0)

    found = source.begin_clip(clip, begins_at=1000.0, caption="")
    assert found.extend(ends_at=1004.0)
    assert found.lacks_from(1000.0, 1004.0) is None
    found.finish(tmp_path / "again.mp4")
    assert numbers_of(tmp_path / "again.mp4") == numbers_of(clip)


def test_a_camera_tells_which_times_are_gone(tmp_path: Path) -> None:
    source = LiveFootage(ring_of(film(tmp_path / "a.mp4")), painter=Painter())
    nothing = LiveFootage(PacketRing(span_s=1.0, max_bytes=1000), painter=Painter())

    assert [source.reaches(at) for at in (990.0, 1000.0, 1005.0)] == [False, True, True]
    assert not nothing.reaches(1000.0)


@pytest.mark.parametrize(
    ("begins_at", "ends_at", "lacks_from"), [(1002.0, 1005.0, None), (998.0, 1005.0, 998.0), (1002.0, 1012.0, 1007.9)]
)
def test_a_clip_of_a_camera_knows_whether_it_has_all_of_an_event(
    tmp_path: Path, begins_at: float, ends_at: float, lacks_from: float | None
) -> None:
    source = LiveFootage(ring_of(film(tmp_path / "a.mp4")), painter=Painter())
    clip = source.begin_clip(tmp_path / "growing.mp4", begins_at=begins_at, caption="")
    clip.extend(ends_at=ends_at)
    clip.finish(tmp_path / "clip.mp4")

    assert clip.lacks_from(begins_at, ends_at) == (None if lacks_from is None else pytest.approx(lacks_from))


def test_a_clip_that_was_killed_before_its_first_frame_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "growing.mp4").write_bytes(b"")
    source = LiveFootage(ring_of(film(tmp_path / "a.mp4")), painter=Painter())

    assert len(numbers_of(clip_of(source, tmp_path, begins_at=1000.0, ends_at=1002.0))) == 21


def test_of_a_time_before_all_that_is_left_of_a_camera_there_will_never_be_a_clip(tmp_path: Path) -> None:
    source = LiveFootage(ring_of(film(tmp_path / "a.mp4")), painter=Painter())
    clip = source.begin_clip(tmp_path / "growing.mp4", begins_at=990.0, caption="")

    with pytest.raises(FootageGone, match=r"growing\.mp4: the camera's video of that time is gone"):
        clip.extend(ends_at=995.0)


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", steady(10, 8), pictures=[noise(i, SIZE) for i in range(80)], size=SIZE)
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    clip = footage(path).begin_clip(tmp_path / "full.mp4", begins_at=1000.0, caption="")

    with pytest.raises(EvidenceError, match=r"full\.mp4: cannot be written \(No space left on device\)"):
        clip.extend(ends_at=1007.0)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    path.unlink()

    with pytest.raises(EvidenceError, match=r"a\.mp4: cannot be read again"):
        footage(path).snapshot(1003.0, caption="")


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.avi", "rawvideo", "yuyv422"),  # as webcams send it
        ("a.avi", "rawvideo", "bgr24"),  # from the bottom to the top
        ("a.y4m", "rawvideo", "yuv420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.mov", "qtrle", "rgb24"),
        ("a.avi", "utvideo", "yuv420p"),
    ],
)
def test_there_is_evidence_also_of_what_only_some_containers_can_hold(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    pictures = [shaded()] * 30
    path = film(tmp_path / name, seconds=3.0, codec=codec, pix_fmt=pixel_format, options={}, pictures=pictures)
    source = footage(path)
    clip = clip_of(source, tmp_path, begins_at=1001.0, ends_at=1002.0)

    for picture in (seen(source.snapshot(1001.0, caption="")), first_of(clip)):
        assert np.abs(picture.astype(int) - pictures[0]).mean() < 5


def test_there_is_no_evidence_of_a_camera_that_has_sent_nothing(tmp_path: Path) -> None:
    source = LiveFootage(PacketRing(span_s=1.0, max_bytes=1000), painter=Painter())

    with pytest.raises(EvidenceError, match="no video has come yet"):
        source.begin_clip(tmp_path / "a.mp4", begins_at=0.0, caption="")
    with pytest.raises(EvidenceError, match="no frame"):
        source.snapshot(0.0, caption="")


def test_reading_a_file_through_shows_that_it_goes_on(tmp_path: Path) -> None:
    beats: list[int] = []
    source = footage(film(tmp_path / "a.mp4"), beat=lambda: beats.append(1))
    clip_of(source, tmp_path, begins_at=1003.0, ends_at=1005.0)

    assert len(beats) > 20
