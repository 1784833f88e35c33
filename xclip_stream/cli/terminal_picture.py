"""A picture in the terminal: two pixels a character, the upper one in front, the lower one behind."""

import sys

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from xclip_stream.types import Pixels

_MAX_COLUMNS = 72
_MAX_LINES = 22
_UPPER_HALF = "▀"


def print_picture(picture: Pixels) -> None:
    """Print a picture (H, W, 3), small, where a terminal can show its colours; else nothing."""
    from xclip_stream.sources.probing import shrunk  # noqa: PLC0415  # Pillow and PyAV come with it

    console = Console()
    if not sys.stdout.isatty() or console.no_color or console.color_system not in {"truecolor", "256"}:
        return
    columns = min(_MAX_COLUMNS, console.width)
    console.print(half_blocks(shrunk(picture, width_px=columns, height_px=2 * _MAX_LINES)))


def half_blocks(picture: Pixels) -> Text:
    """Return a small picture (H, W, 3) as H / 2 lines of W characters."""
    text = Text(no_wrap=True, end="")
    for row in range(0, len(picture) - 1, 2):
        for upper, lower in zip(picture[row].tolist(), picture[row + 1].tolist(), strict=True):
            text.append(_UPPER_HALF, Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
        text.append("\n")
    return text
