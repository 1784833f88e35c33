from collections.abc import Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import VideoMAEImageProcessor

from xclip_stream.sources import pictures as module
from xclip_stream.sources.pictures import jpeg_picture, masked, pictures_of, region_pictures, upright
from xclip_stream.types import Box, ClipGeometry, Fit, Pixels, Region

WHOLE = (Region(""),)
GATE = Region("gate", 0.13, 0.07, 0.92, 0.99)
MASKS = [(0.0, 0.0, 0.26, 0.5)]


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(width * 10_000 + height).integers(0, 256, (height, width, 3), np.uint8)


def frame_of(rgb: Pixels, pixel_format: str = "yuv420p") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)


def by_pillow(
    frame: av.VideoFrame, regions: Sequence[Region], geometry: ClipGeometry, masks: Sequence[Box] = ()
) -> Pixels:
    return region_pictures(masked(upright(frame), masks), regions, geometry)


def greatest_difference(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def reference(rgb: Pixels, size: int) -> Pixels:
    processor = VideoMAEImageProcessor(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        resample=2,
        do_rescale=False,
        do_normalize=False,
    )
    return np.asarray(processor([rgb], return_tensors="np")["pixel_values"])[0, 0].transpose(1, 2, 0)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (426, 240, 224),
        (240, 426, 224),
        (1920, 1080, 224),
        (333, 257, 64),
        (101, 100, 224),
        (224, 224, 224),
        (50, 50, 96),
    ],
)
def test_a_picture_equals_the_reference_processor_within_one_grey_level(width: int, height: int, size: int) -> None:
    rgb = noise(width, height)

    [picture] = region_pictures(rgb, WHOLE, ClipGeometry(8, size))

    assert picture.shape == (size, size, 3)
    assert np.abs(picture.astype(int) - reference(rgb, size).astype(int)).max() <= 1


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_a_padded_picture_gives_the_same(fit: str) -> None:
    rgb = noise(320, 180)
    padded = np.concatenate([rgb, np.full((180, 320, 1), 77, np.uint8)], axis=2)
    regions = (Region(""), Region("corner", 0.5, 0.5, 1.0, 1.0))

    pictures = region_pictures(padded, regions, ClipGeometry(8, 64, fit))

    assert pictures.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(pictures, region_pictures(rgb, regions, ClipGeometry(8, 64, fit)))


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("size", [(768, 432), (432, 768), (656, 482), (1920, 1080)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p"])
def test_a_large_frame_is_scaled_as_by_pillow_within_one_grey_level(
    size: tuple[int, int], pixel_format: str, fit: Fit
) -> None:
    frame, regions, geometry = frame_of(noise(*size), pixel_format), (*WHOLE, GATE), ClipGeometry(8, 96, fit)

    with patch.object(module, "region_pictures", side_effect=AssertionError("Pillow scales a large frame")):
        pictures = pictures_of(frame, regions, geometry, masks=MASKS)

    assert pictures.shape == (2, 96, 96, 3)
    assert greatest_difference(pictures, by_pillow(frame, regions, geometry, MASKS)) <= 1


@pytest.mark.parametrize(
    ("size", "pixel_format", "region"),
    [
        ((320, 180), "yuv420p", GATE),
        ((640, 480), "yuv420p", Region("small", 0.4, 0.4, 0.6, 0.6)),
        ((648, 480), "yuv420p", GATE),
        ((640, 481), "yuvj420p", GATE),
        ((640, 480), "yuv420p10le", GATE),
        ((640, 480), "yuv444p", GATE),
        ((640, 480), "nv12", GATE),
        ((640, 480), "gray", GATE),
        ((640, 480), "bgr0", GATE),
    ],
)
def test_any_other_frame_is_scaled_by_pillow(size: tuple[int, int], pixel_format: str, region: Region) -> None:
    frame, regions, geometry = frame_of(noise(*size), pixel_format), (*WHOLE, region), ClipGeometry(8, 96)

    pictures = pictures_of(frame, regions, geometry, masks=MASKS)

    np.testing.assert_array_equal(pictures, by_pillow(frame, regions, geometry, MASKS))


def test_pictures_of_real_footage_are_those_of_pillow_within_one_grey_level(footage: Path) -> None:
    for path in sorted((footage / "surveillance").iterdir()):
        with av.open(str(path)) as container:
            for frame in islice(container.decode(video=0), 0, 100, 20):
                geometry = ClipGeometry(8, 96)

                assert greatest_difference(pictures_of(frame, WHOLE, geometry), by_pillow(frame, WHOLE, geometry)) <= 1


def test_stretching_keeps_the_whole_frame() -> None:
    rgb = np.zeros((100, 300, 3), np.uint8)
    rgb[:, :30] = 255

    [picture] = region_pictures(rgb, WHOLE, ClipGeometry(8, 50, "stretch"))

    assert picture.shape == (50, 50, 3)
    assert picture[:, :4].min() == 255
    assert picture[:, 6:].max() == 0


def test_each_region_is_a_picture_of_its_own() -> None:
    rgb = np.zeros((100, 200, 3), np.uint8)
    rgb[50:, 100:] = (10, 20, 30)
    regions = (Region("all"), Region("corner", 0.5, 0.5, 1.0, 1.0), Region("left", 0.0, 0.0, 0.5, 1.0))

    everything, corner, left = region_pictures(rgb, regions, ClipGeometry(8, 32))

    assert everything.max() == 30
    assert np.all(corner == (10, 20, 30))
    assert left.max() == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.tuples(*[st.floats(0, 1)] * 4), st.sampled_from(["crop", "stretch"]))
def test_any_region_of_any_frame_gives_a_picture(
    width: int, height: int, box: tuple[float, float, float, float], fit: str
) -> None:
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))

    pictures = region_pictures(noise(width, height), [Region("r", x0, y0, x1, y1)], ClipGeometry(8, 16, fit))

    assert pictures.shape == (1, 16, 16, 3)


def test_a_region_one_pixel_high_of_a_wide_frame_is_scaled_without_a_giant_in_between() -> None:
    [picture] = region_pictures(noise(30_000, 1), WHOLE, ClipGeometry(8, 224))

    assert picture.shape == (224, 224, 3)


def test_masks_black_out_each_pixel_that_they_touch_and_no_other() -> None:
    rgb = np.full((10, 20, 3), 200, np.uint8)

    seen = masked(rgb, [(0.0, 0.0, 0.26, 0.5), (0.9, 0.85, 1.0, 1.0)])

    hidden = np.zeros((10, 20), bool)
    hidden[:5, :6] = hidden[8:, 18:] = True
    assert (seen[hidden] == 0).all()
    assert (seen[~hidden] == 200).all()
    assert (rgb == 200).all()


def test_a_jpeg_keeps_the_whole_frame_and_its_shape() -> None:
    rgb = np.zeros((360, 960, 3), np.uint8)
    rgb[:, 480:] = 240

    image = Image.open(BytesIO(jpeg_picture(rgb, width_px=480)))

    assert (image.format, image.size) == ("JPEG", (480, 180))
    assert np.asarray(image)[:, 0].mean() < 10
    assert np.asarray(image)[:, -1].mean() > 230


def test_a_frame_that_is_small_already_is_not_made_bigger() -> None:
    image = Image.open(BytesIO(jpeg_picture(noise(100, 60), width_px=480)))

    assert image.size == (100, 60)
