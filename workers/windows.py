"""How the windows of a source are cut, from what the configuration says of it."""

from collections.abc import Sequence
from dataclasses import replace

from xclip_stream.config import SourceConfig
from xclip_stream.pipeline.assembling import WindowSettings
from xclip_stream.types import ClipGeometry, Region


def fitted(geometry: ClipGeometry, source: SourceConfig) -> ClipGeometry:
    """Return the geometry of the checkpoint with the fit that the source asks for, where it asks for one."""
    return replace(geometry, fit=source.window.fit or geometry.fit)


def window_settings(source: SourceConfig, *, num_frames: int, regions: Sequence[Region]) -> WindowSettings:
    """Return how the windows of a source are cut, of so many frames and with these regions of each."""
    window = source.window
    return WindowSettings(
        num_frames=num_frames,
        span_s=window.span_s,
        stride_s=window.stride_s,
        max_gap_s=window.max_gap_s,
        regions=tuple(region.name for region in regions),
    )
