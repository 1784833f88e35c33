"""From decoded frames to the windows that are queued."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xclip_stream.protocols import SourceFrame
from xclip_stream.types import Box, ClipGeometry, Frame, Region, Window, WindowId
from xclip_stream.windowing import Cut, Windowing

_NO_PICTURES = np.zeros((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSettings:
    """How the windows of one source are cut; `regions` are the names of the pictures of each frame."""

    num_frames: int
    span_s: float
    stride_s: float
    regions: tuple[str, ...]
    max_gap_s: float | None = None

    def windowing(self) -> Windowing[Frame]:
        return Windowing(
            num_frames=self.num_frames, span_s=self.span_s, stride_s=self.stride_s, max_gap_s=self.max_gap_s
        )

    def assemble(self, cut: Cut[Frame], window_id: WindowId, *, live: bool, produced_at: float) -> Window:
        """Return the window that consists of the frames of `cut`."""
        first, last = cut.frames[0], cut.frames[-1]
        return Window(
            id=window_id,
            live=live,
            first_pts_s=first.pts_s,
            last_pts_s=last.pts_s,
            captured_at=last.captured_at,
            produced_at=produced_at,
            frame_ids=tuple(frame.index for frame in cut.frames),
            regions=self.regions,
            frames=np.stack([frame.pictures for frame in cut.frames], axis=1),
        )


def keep(decoded: SourceFrame, *, with_pictures: bool = True) -> Frame:
    """Return what is kept of a sampled frame; without its pictures where no window that is wanted has it."""
    pictures = decoded.pictures() if with_pictures else _NO_PICTURES
    return Frame(decoded.index, decoded.pts_s, decoded.captured_at, pictures)


def file_epoch(
    content: str,
    settings: WindowSettings,
    *,
    regions: Sequence[Region],
    masks: Sequence[Box] = (),
    geometry: ClipGeometry,
    start_time: float,
) -> str:
    """Name the run of a file by all that its windows are made of, so that the same run has the same name anywhere.

    Args:
        content: what names the content of the file.
    """
    made_of = [
        content,
        [settings.num_frames, settings.span_s, settings.stride_s, settings.max_gap_s],
        [[region.name, region.x0, region.y0, region.x1, region.y1] for region in regions],
        [geometry.image_px, geometry.fit],
        start_time,
        *([list(masks)] if masks else []),
    ]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
