"""What is painted over pictures before they are kept: black boxes, and a line that says what they show."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xclip_stream.sources.pictures import masked
from xclip_stream.types import Box, Pixels

_TEXT_HEIGHT = 1 / 28
"""Of the picture's height."""
_MIN_TEXT_PX = 10
_NARROWEST = 1 / 6
"""Of the text's height: letters are no narrower."""


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints masks, and a caption where one is wanted."""

    masks: tuple[Box, ...] = ()
    overlay: bool = False

    @property
    def paints(self) -> bool:
        """True when a picture does not stay as it was."""
        return bool(self.masks) or self.overlay

    def paint(self, rgb: Pixels, caption: str) -> Pixels:
        """Return uint8 RGB (H, W, 3) with what has to be on it."""
        rgb = masked(rgb, self.masks)
        return _captioned(rgb, caption) if self.overlay else rgb


def _captioned(rgb: Pixels, caption: str) -> Pixels:
    image = Image.fromarray(np.ascontiguousarray(rgb))
    size_px = max(_MIN_TEXT_PX, round(image.height * _TEXT_HEIGHT))
    font = ImageFont.load_default(size_px)
    draw = ImageDraw.Draw(image)
    caption = caption[: round(image.width / (size_px * _NARROWEST))]  # what is behind it is outside of the picture
    left, top, right, bottom = draw.textbbox((size_px // 2, size_px // 2), caption, font=font)
    draw.rectangle(
        (left - size_px // 3, top - size_px // 3, right + size_px // 3, bottom + size_px // 3), fill=(0, 0, 0)
    )
    draw.text((size_px // 2, size_px // 2), caption, font=font, fill=(255, 255, 255))
    return np.asarray(image, np.uint8)
