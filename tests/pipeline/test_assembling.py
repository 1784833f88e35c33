from typing import Any

import pytest

from xclip_stream.pipeline.assembling import WindowSettings, file_epoch
from xclip_stream.types import Box, ClipGeometry, Region

SETTINGS: dict[str, Any] = {"num_frames": 8, "span_s": 4.0, "stride_s": 1.0, "regions": ("",)}


def epoch(
    *,
    content: str = "abc",
    region: Region = Region(""),  # noqa: B008 - frozen
    image_px: int = 224,
    fit: str = "crop",
    start_time: float = 0.0,
    masks: tuple[Box, ...] = (),
    **settings: Any,
) -> str:
    return file_epoch(
        content,
        WindowSettings(**{**SETTINGS, **settings}),
        regions=[region],
        masks=masks,
        geometry=ClipGeometry(8, image_px, fit),
        start_time=start_time,
    )


def test_the_same_run_of_a_file_has_the_same_epoch() -> None:
    assert epoch() == epoch()


@pytest.mark.parametrize(
    "change",
    [
        {"content": "abd"},
        {"num_frames": 16},
        {"span_s": 2.0},
        {"stride_s": 2.0},
        {"max_gap_s": 5.0},
        {"region": Region("", x0=0.1)},
        {"image_px": 336},
        {"fit": "stretch"},
        {"start_time": 1.0},
        {"masks": ((0.0, 0.0, 0.5, 0.5),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_its_windows_makes_another_epoch_of_it(change: dict[str, Any]) -> None:
    assert epoch(**change) != epoch()
