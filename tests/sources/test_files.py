from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.videos import GEOMETRY, grey, join, noise, number_of, steady, turn_clockwise, write_sound, write_video
from xclip_stream.errors import SourceRejected
from xclip_stream.sources import content_sample, open_source
from xclip_stream.types import ClipGeometry


def read(path: Path, *, geometry: ClipGeometry = GEOMETRY) -> tuple[list[float], list[int], list[str]]:
    """Return the times and the grey numbers of a file's frames, and its damage."""
    with open_source(str(path), geometry=geometry) as source:
        frames = [(frame.pts_s, number_of(frame.pictures()[0])) for frame in source]
        return [pts_s for pts_s, _ in frames], [number for _, number in frames], list(source.damage)


def reason(path: Path | str) -> str:
    with pytest.raises(SourceRejected) as caught, open_source(str(path), geometry=GEOMETRY) as source:
        list(source)
    return str(caught.value)


def test_the_frames_of_a_file_come_in_order_with_their_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "steady.mp4", steady(10, 2))

    with open_source(str(path), geometry=GEOMETRY, start_time=1000.0) as source:
        frames = list(source)
        length_s = source.duration_s

    assert not source.live
    assert length_s == pytest.approx(2.0, abs=0.1)
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.pts_s for frame in frames] == pytest.approx(steady(10, 2))
    assert [frame.captured_at for frame in frames] == pytest.approx([1000 + s for s in steady(10, 2)])
    assert source.damage == []


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts"])
def test_b_frames_come_in_the_order_of_showing_in_every_container(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, steady(25, 0.8), options={"preset": "fast", "bf": "2", "g": "10"})

    times, numbers, damage = read(path)

    assert times == pytest.approx(steady(25, 0.8), abs=0.002)
    assert numbers == list(range(20))
    assert damage == []


def test_b_frames_of_an_avi_come_in_order_although_their_times_do_not(tmp_path: Path) -> None:
    options = {"preset": "fast", "bf": "2", "g": "10"}
    path = write_video(tmp_path / "a.avi", steady(25, 0.8), tick=Fraction(1, 25), options=options)

    times, numbers, damage = read(path)

    assert numbers == list(range(20))
    assert times == pytest.approx(steady(25, 0.8), abs=0.09)
    assert damage == []


def test_variable_rate_and_holes_keep_their_times(tmp_path: Path) -> None:
    times_s = [0.0, 0.033, 0.5, 0.516, 6.0, 6.2, 9.999]
    path = write_video(tmp_path / "vfr.mkv", times_s)

    times, numbers, _ = read(path)

    assert times == pytest.approx(times_s)
    assert numbers == list(range(7))


def test_time_begins_with_the_first_frame_wherever_the_container_begins(tmp_path: Path) -> None:
    path = write_video(tmp_path / "late.mkv", [3600 + s for s in steady(10, 1)])

    times, _, _ = read(path)

    assert times == pytest.approx(steady(10, 1))


def test_joined_recordings_go_on_in_time(tmp_path: Path) -> None:
    part = write_video(tmp_path / "part.ts", steady(10, 3))

    times, numbers, damage = read(join(tmp_path / "joined.ts", [part, part]))

    assert len(numbers) == 60
    assert all(0 <= later - earlier <= 0.2 for earlier, later in pairwise(times))
    assert times[-1] == pytest.approx(5.9, abs=0.2)
    assert damage == ["1 × time stamps began anew"]


@pytest.mark.parametrize(
    ("name", "codec", "options", "begins"),
    [
        ("part.mpg", "libx264", {"preset": "fast", "g": "12", "bf": "2"}, 0),
        ("part.ts", "libx265", {"preset": "ultrafast", "x265-params": "keyint=10:bframes=3:log-level=none"}, 1),
    ],
)
def test_joined_recordings_with_b_frames_leave_no_hole_in_time(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], begins: int
) -> None:
    pictures = [noise(number // 3) for number in range(60)]
    part = write_video(tmp_path / name, steady(25, 2.4), codec=codec, options=options, pictures=pictures)
    late = tmp_path / f"late-{name}"
    content = part.read_bytes()
    late.write_bytes(content[begins * len(content) // 188 // 3 * 188 :])

    times, _, _ = read(join(tmp_path / f"joined-{name}", [part, late, part]))

    assert len(times) >= 120
    assert times[-1] == pytest.approx(len(times) / 25, abs=0.4)


def test_pictures_are_turned_as_the_rotation_metadata_says(tmp_path: Path) -> None:
    picture = grey(0)
    picture[:, :80] = 200  # left half bright
    path = turn_clockwise(write_video(tmp_path / "phone.mp4", [0.0, 0.1], pictures=[picture] * 2))

    with open_source(str(path), geometry=ClipGeometry(4, 60, "stretch")) as source:
        [shown] = next(iter(source)).pictures()

    # Turned by a quarter clockwise, what was left is at the top.
    assert shown[:25].min() > 150
    assert shown[35:].max() < 60


def test_a_change_of_resolution_goes_unnoticed(tmp_path: Path) -> None:
    large = write_video(tmp_path / "large.h264", steady(25, 0.4), size=(320, 240))
    small = write_video(tmp_path / "small.h264", steady(25, 0.4), size=(160, 120))

    times, numbers, _ = read(join(tmp_path / "both.h264", [large, small]))

    assert numbers == [*range(10), *range(10)]
    # A raw stream has no times: the nominal rate counts them.
    assert times == pytest.approx(steady(25, 0.8))


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [("yuv420p10le", "libx265"), ("yuvj420p", "mjpeg"), ("yuv444p", "libx264"), ("gray", "libx264")],
)
def test_deep_and_full_range_pictures_have_the_right_brightness(tmp_path: Path, pix_fmt: str, codec: str) -> None:
    import av

    path = tmp_path / "colour.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = 160, 120
        stream.pix_fmt = pix_fmt
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none"}
        for level in (0, 128, 255):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))

    with open_source(str(path), geometry=GEOMETRY) as source:
        means = [float(frame.pictures().mean()) for frame in source]

    assert means == pytest.approx([0, 128, 255], abs=4)


def test_what_comes_behind_a_corrupt_stretch_is_read_and_the_damage_reported(tmp_path: Path) -> None:
    path = write_video(tmp_path / "scratched.ts", steady(10, 6), pictures=[noise(i) for i in range(60)])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)

    times, _, damage = read(path)

    assert 30 <= len(times) < 60
    assert times[-1] == pytest.approx(5.9, abs=0.1)
    assert damage


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "cut.mp4",
        steady(10, 6),
        pictures=[noise(i) for i in range(60)],
        container_options={"movflags": "faststart"},
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    times, _, damage = read(path)

    assert 20 <= len(times) <= 40
    assert any(line.startswith("ends at ") and line.endswith(" of 5.9 s") for line in damage)


def test_a_source_that_is_entered_again_is_read_from_the_start(tmp_path: Path) -> None:
    source = open_source(str(write_video(tmp_path / "a.mp4", steady(10, 1))), geometry=GEOMETRY)

    turns = []
    for _ in range(2):
        with source:
            turns.append([(frame.index, frame.pts_s) for frame in source])

    assert turns[0] == turns[1]
    assert len(turns[0]) == 10


def test_a_bad_file_is_rejected_in_one_line_that_names_it_and_the_reason(tmp_path: Path) -> None:
    empty, text, cut = tmp_path / "empty.mp4", tmp_path / "text.mp4", tmp_path / "cut.mp4"
    empty.touch()
    text.write_text("no video\n" * 50)
    cut.write_bytes(write_video(tmp_path / "whole.mp4", steady(10, 1)).read_bytes()[:2000])
    sound = write_sound(tmp_path / "sound.mp4")

    assert reason(tmp_path / "gone.mp4") == f"{tmp_path}/gone.mp4: there is no such file"
    assert reason(tmp_path) == f"{tmp_path}: is a folder, not a video file"
    assert reason(empty) == f"{empty}: the file is empty"
    assert reason(text).startswith(f"{text}: not a video file, or one cut off")
    assert reason(cut).startswith(f"{cut}: not a video file, or one cut off")
    assert reason(sound) == f"{sound}: there is no video in it"


@pytest.mark.parametrize("url", ["concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4", "lavfi:testsrc"])
def test_a_name_that_looks_like_a_protocol_is_only_a_file_name(url: str) -> None:
    assert reason(url) == f"{url}: there is no such file"


@pytest.mark.parametrize("url", ["ftp://u:hunter2@host/a.mp4", "concat://a.mp4", "udp://0.0.0.0:5000"])
def test_other_schemes_are_rejected_without_showing_a_password(url: str) -> None:
    shown = reason(url)

    assert "is not supported; use a file or rtsp, rtsps, http, https, v4l2" in shown
    assert "hunter2" not in shown


def test_a_playlist_cannot_make_us_open_what_it_names(tmp_path: Path) -> None:
    video = write_video(tmp_path / "secret.ts", steady(10, 1))
    hls, concat = tmp_path / "list.m3u8", tmp_path / "list.ffconcat"
    hls.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video}\n#EXT-X-ENDLIST\n")
    concat.write_text("ffconcat version 1.0\nfile secret.ts\n")

    assert "not a video file" in reason(hls)
    assert "not a video file" in reason(concat)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    write_video(tmp_path / "a b.mp4", steady(10, 1))

    with open_source(f"file://{tmp_path}/a%20b.mp4", geometry=GEOMETRY) as source:
        assert len(list(source)) == 10


def test_the_content_of_a_file_names_it_and_not_its_path(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(9_000_000)
    one, same, other = tmp_path / "one", tmp_path / "same", tmp_path / "other"
    one.write_bytes(content)
    same.write_bytes(content)
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert content_sample(one) == content_sample(same)
    assert content_sample(one) != content_sample(other)
    with pytest.raises(SourceRejected, match="no such file"):
        content_sample(tmp_path / "gone")


def test_what_a_mask_covers_is_neither_scored_nor_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", steady(10, 0.5), pictures=[np.full((120, 160, 3), 200, np.uint8)] * 5)

    with open_source(str(path), geometry=ClipGeometry(4, 32, "stretch"), masks=[(0.0, 0.0, 0.5, 1.0)]) as source:
        frame = next(iter(source))
        [scored], shown = frame.pictures(), np.asarray(Image.open(BytesIO(frame.jpeg(width_px=480))))

    for picture in (scored, shown):
        half = picture.shape[1] // 2
        assert picture[:, : half - 8].max() < 10
        assert picture[:, half + 8 :].min() > 150
