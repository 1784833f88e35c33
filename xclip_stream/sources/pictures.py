"""From a decoded frame to the pictures that the model sees: upright, cut to the regions, fitted to its square."""

from collections.abc import Sequence
from io import BytesIO
from math import ceil

import av
import numpy as np
from PIL import Image

from xclip_stream.types import Box, ClipGeometry, Pixels, Region

_JPEG_QUALITY = 80


def upright(frame: av.VideoFrame, *, padded: bool = False) -> Pixels:
    """Return the frame as a viewer shows it: uint8 RGB (H, W, 3), turned as its rotation metadata says.

    Bit depth, colour matrix and range (full or limited) are those that the frame names.

    Args:
        padded: with a fourth channel that means nothing, (H, W, 4): that is how `region_pictures` is quickest.
    """
    # One thread: a converter keeps its threads as long as its decoder, one for each core, and there is one a camera.
    rgb = frame.to_ndarray(format="rgba" if padded else "rgb24", threads=1)
    # `rotation` is in degrees counter-clockwise, as is rot90; cameras know quarter turns only.
    return np.rot90(np.asarray(rgb, np.uint8), round(frame.rotation / 90))


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


def _image(rgb: Pixels) -> Image.Image:
    """Return the picture for Pillow, which holds four bytes a pixel: one that is padded is lent and not copied."""
    height, width, channels = rgb.shape
    if channels == 3:
        return Image.fromarray(rgb)
    return Image.frombuffer("RGBX", (width, height), rgb, "raw", "RGBX", 0, 1)


def _region(image: Image.Image, region: Region) -> Image.Image:
    x0, y0 = int(region.x0 * image.width), int(region.y0 * image.height)
    x1, y1 = round(region.x1 * image.width), round(region.y1 * image.height)
    x0, y0 = min(x0, image.width - 1), min(y0, image.height - 1)
    box = (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
    return image if box == (0, 0, image.width, image.height) else image.crop(box)


def _cropped(image: Image.Image, size: int) -> Image.Image:
    """Scale the part that stays, and not the sides: of a wide picture that is half of the work."""
    short = min(image.size)
    width, height = size * image.width // short, size * image.height // short
    left, top = (width - size) // 2, (height - size) // 2
    across, down = image.width / width, image.height / height
    box = (left * across, top * down, (left + size) * across, (top + size) * down)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _stretched(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)
