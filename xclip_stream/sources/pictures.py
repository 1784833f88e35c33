"""From a decoded frame to the pictures that the model sees: upright, cut to the regions, fitted to its square."""

import threading
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from math import ceil

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from xclip_stream.types import Box, ClipGeometry, Pixels, Region

_BoxPx = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""

_JPEG_QUALITY = 80
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p"})
"""Formats that FFmpeg has a quick way for, from their planes to those of RGB. Nearly every camera has one of them."""
_SIDES_BY = (16, 2)
"""What width and height have to be multiples of: that way leaves out the last columns of others."""
_LARGE = (2, 64)
"""How many times as large as its picture a region has to be, at least and at most, to be scaled by FFmpeg."""
_TRIANGLE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


class _Converters(threading.local):
    """What makes a plane smaller, one for each thread: it keeps its filter from frame to frame of the same size."""

    def __init__(self) -> None:
        self.scaler = VideoReformatter()


_converters = _Converters()


def pictures_of(
    frame: av.VideoFrame, regions: Sequence[Region], geometry: ClipGeometry, *, masks: Sequence[Box] = ()
) -> Pixels:
    """Return every region of a frame at model size, uint8 RGB (R, S, S, 3), with the boxes of `masks` blacked out.

    Large regions are scaled by FFmpeg, plane by plane, which is twice as quick as Pillow and gives the same within one
    grey level: see docs/decisions/0033.
    """
    boxes = [_box_px(region, frame.width, frame.height) for region in regions]
    if not _has_true_planes(frame) or not all(_is_large(box, geometry.image_px) for box in boxes):
        return region_pictures(masked(upright(frame, padded=True), masks), regions, geometry)
    planes = [masked(plane, masks) for plane in _planes(frame)]
    return np.stack([_scaled(planes, box, geometry) for box in boxes])


def upright(frame: av.VideoFrame, *, rotation: int = 0, padded: bool = False) -> Pixels:
    """Return the frame as a viewer shows it: uint8 RGB (H, W, 3), turned as its rotation metadata says.

    Bit depth, colour matrix and range (full or limited) are those that the frame names.

    Args:
        rotation: that metadata, in degrees counter-clockwise, where the frame came without.
        padded: with a fourth channel that means nothing, (H, W, 4): that is how `region_pictures` is quickest.
    """
    # One thread: a converter keeps its threads as long as its decoder, one for each core, and there is one a camera.
    rgb = frame.to_ndarray(format="rgba" if padded else "rgb24", threads=1)
    # `rotation` is in degrees counter-clockwise, as is rot90; cameras know quarter turns only.
    return np.rot90(np.asarray(rgb, np.uint8), round((frame.rotation or rotation) / 90))


def masked(rgb: Pixels, masks: Sequence[Box]) -> Pixels:
    """Return `rgb` (H, W, 3 or 4) with the boxes blacked out: each pixel of which a part lies in one of them."""
    if not masks:
        return rgb
    height, width = rgb.shape[:2]
    rgb = rgb.copy()
    for x0, y0, x1, y1 in masks:
        rgb[int(y0 * height) : ceil(y1 * height), int(x0 * width) : ceil(x1 * width)] = 0
    return rgb


def jpeg_picture(rgb: Pixels, *, width_px: int) -> bytes:
    """Return `rgb` (H, W, 3) as a JPEG, made smaller where it is wider than this."""
    image = Image.fromarray(np.ascontiguousarray(rgb))
    if image.width > width_px:
        height = max(1, round(image.height * width_px / image.width))
        image = image.resize((width_px, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return encoded.getvalue()


def region_pictures(rgb: Pixels, regions: Sequence[Region], geometry: ClipGeometry) -> Pixels:
    """Return every region of `rgb` (H, W, 3), or padded (H, W, 4), at model size: (R, S, S, 3).

    With fit "crop" the shorter side becomes S, the longer one `floor(S * long / short)`, and the middle square is kept,
    as CLIP-like processors do; with "stretch" both sides become S. Scaling is Pillow's antialiased bilinear one.
    """
    image = _image(np.ascontiguousarray(rgb))
    size = geometry.image_px
    fit = _cropped if geometry.fit == "crop" else _stretched
    return np.stack([np.asarray(fit(_region(image, region), size), np.uint8)[:, :, :3] for region in regions])


def _is_large(box: _BoxPx, size: int) -> bool:
    sides = box[2] - box[0], box[3] - box[1]
    return _LARGE[0] * size <= min(sides) and max(sides) <= _LARGE[1] * size


def _has_true_planes(frame: av.VideoFrame) -> bool:
    """Tell whether `_planes` is what `upright` is."""
    is_even = frame.width % _SIDES_BY[0] == 0 and frame.height % _SIDES_BY[1] == 0
    return is_even and not frame.rotation and frame.format.name in _PLANAR and _agrees_with_itself(frame.format.name)


@cache
def _agrees_with_itself(pixel_format: str) -> bool:
    """Try whether FFmpeg, on this processor, makes the same RGB in planes as in pixels: it has a way for each."""
    noise = (np.arange(16 * 64 * 3, dtype=np.uint32) * np.uint32(2654435761) >> 24).astype(np.uint8)
    rgb = av.VideoFrame.from_ndarray(noise.reshape(16, 64, 3), format="rgb24")
    frame = rgb.reformat(format=pixel_format, threads=1)
    return np.array_equal(np.dstack(_planes(frame)), upright(frame))


def _planes(frame: av.VideoFrame) -> list[Pixels]:
    """Return the red, the green and the blue of an upright frame, each (H, W)."""
    green, blue, red = (_pixels(plane) for plane in frame.reformat(format="gbrp", threads=1).planes)
    return [red, green, blue]


def _scaled(planes: Sequence[Pixels], box: _BoxPx, geometry: ClipGeometry) -> Pixels:
    """Return a part of a frame at model size, (S, S, 3). Here all of it is scaled, and its sides cut off afterwards."""
    x0, y0, x1, y1 = box
    size = geometry.image_px
    width, height = _short_side_to(size, x1 - x0, y1 - y0) if geometry.fit == "crop" else (size, size)
    left, top = (width - size) // 2, (height - size) // 2
    parts = [plane[y0:y1, x0:x1] for plane in planes]
    picture = np.empty((size, size, 3), np.uint8)
    for channel, part in enumerate(parts):
        grey = av.VideoFrame.from_numpy_buffer(part, format="gray")
        scaled = _converters.scaler.reformat(grey, width=width, height=height, interpolation=_TRIANGLE, threads=1)
        picture[:, :, channel] = _pixels(scaled.planes[0])[top : top + size, left : left + size]
    if top == 0:
        _mend_edges(picture, parts, offset=left, length=width)
    if left == 0:
        _mend_edges(picture.swapaxes(0, 1), [part.T for part in parts], offset=top, length=height)
    return picture


def _mend_edges(picture: Pixels, parts: Sequence[Pixels], *, offset: int, length: int) -> None:
    """Let Pillow make the first and last line of a scaled picture: there FFmpeg counts the pixels at the edge twice.

    Args:
        picture: (S, S, 3), written to: of lines that are `length` long the middle, from `offset` on.
        parts: three of (H, W), what it was made of.
    """
    size = len(picture)
    rows, columns = parts[0].shape
    across, down = columns / length, rows / size
    begin, end = offset * across, (offset + size) * across
    deep = ceil(1.5 * down) + 1  # what the filter sees of a line at the edge
    for line, lines, box in (
        (0, slice(deep), (begin, 0, end, down)),
        (-1, slice(-deep, None), (begin, deep - down, end, deep)),
    ):
        strip = Image.fromarray(np.dstack([part[lines] for part in parts]))
        picture[line] = np.asarray(strip.resize((size, 1), Image.Resampling.BILINEAR, box=box))[0]


def _pixels(plane: VideoPlane) -> Pixels:
    """Return one byte for each pixel of a plane, (H, W), in the memory of its frame."""
    buffer = memoryview(plane)
    return np.frombuffer(buffer, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _image(rgb: Pixels) -> Image.Image:
    """Return the picture for Pillow, which holds four bytes a pixel: one that is padded is lent and not copied."""
    height, width, channels = rgb.shape
    if channels == 3:
        return Image.fromarray(rgb)
    return Image.frombuffer("RGBX", (width, height), rgb, "raw", "RGBX", 0, 1)


def _region(image: Image.Image, region: Region) -> Image.Image:
    box = _box_px(region, image.width, image.height)
    return image if box == (0, 0, image.width, image.height) else image.crop(box)


def _box_px(region: Region, width: int, height: int) -> _BoxPx:
    x0, y0 = min(int(region.x0 * width), width - 1), min(int(region.y0 * height), height - 1)
    return x0, y0, max(round(region.x1 * width), x0 + 1), max(round(region.y1 * height), y0 + 1)


def _cropped(image: Image.Image, size: int) -> Image.Image:
    """Scale the part that stays, and not the sides: of a wide picture that is half of the work."""
    width, height = _short_side_to(size, image.width, image.height)
    left, top = (width - size) // 2, (height - size) // 2
    across, down = image.width / width, image.height / height
    box = (left * across, top * down, (left + size) * across, (top + size) * down)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _short_side_to(size: int, width: int, height: int) -> tuple[int, int]:
    short = min(width, height)
    return size * width // short, size * height // short


def _stretched(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)
