"""What counts as a change in a picture: a small figure does, noise and a little light do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xclip_stream.tiles import AGGRESSIVE, CONSERVATIVE, Tolerance, has_changed, tiles_of
from xclip_stream.types import Pixels

SIZE = 224
MODES = [CONSERVATIVE, AGGRESSIVE]


def yard(*, noise: float = 0.0, light: float = 0.0, seed: int = 0, regions: int = 1) -> Pixels:
    """A place with some texture, always the same; the noise is another one for each seed."""
    y, x = np.mgrid[:SIZE, :SIZE]
    place = 90.0 + 40.0 * np.sin(x / 9.0) + 30.0 * np.cos(y / 13.0)
    grain = np.random.default_rng(seed).normal(0.0, noise, (regions, SIZE, SIZE, 3))
    return (place[np.newaxis, :, :, np.newaxis] + light + grain).clip(0, 255).astype(np.uint8)


def with_figure(picture: Pixels, *, x: int, y: int, width: int, height: int, contrast: float) -> Pixels:
    """Put a rectangle into the last region, brighter than what was there, or darker where that would be too bright."""
    seen = picture.astype(np.float64)
    spot = seen[-1, y : y + height, x : x + width]
    spot += contrast if spot.mean() + contrast < 250 else -contrast
    return seen.clip(0, 255).astype(np.uint8)


def change(now: Pixels, before: Pixels, tolerance: Tolerance) -> bool:
    tiles = [tiles_of(each, tile_px=tolerance.tile_px) for each in (now, before)]
    return has_changed(*tiles, tolerance)


def test_tiles_are_the_mean_colours_of_the_picture() -> None:
    picture = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)

    tiles = tiles_of(picture, tile_px=4)

    assert tiles.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(tiles[1, 0, 1], picture[1, :4, 4:].reshape(-1, 3).mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 5, 7, 13])
def test_tiles_at_the_edge_are_as_narrow_as_what_is_left(size: int) -> None:
    picture = np.full((1, size, size, 3), 200, np.uint8)

    np.testing.assert_allclose(tiles_of(picture, tile_px=4), 200.0, rtol=1e-6)


@pytest.mark.parametrize("tolerance", MODES)
@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0, 6.0])
def test_noise_is_no_change(tolerance: Tolerance, noise: float) -> None:
    assert not any(
        change(yard(noise=noise, seed=seed, regions=2), yard(noise=noise, seed=99, regions=2), tolerance)
        for seed in range(8)
    )


@pytest.mark.parametrize("tolerance", MODES)
def test_a_picture_that_is_all_noise_has_changed(tolerance: Tolerance) -> None:
    assert change(yard(noise=90.0, seed=1), yard(noise=90.0, seed=2), tolerance)


@pytest.mark.parametrize(("light", "changed"), [(2, [False, False]), (8, [True, False]), (30, [True, True])])
def test_so_much_light_is_a_change(light: float, changed: list[bool]) -> None:
    assert [change(yard(light=light, noise=1.0, seed=1), yard(noise=1.0), mode) for mode in MODES] == changed


@pytest.mark.parametrize("tolerance", MODES)
def test_a_change_in_any_region_counts(tolerance: Tolerance) -> None:
    before = yard(regions=3)

    assert change(with_figure(before, x=100, y=100, width=10, height=24, contrast=60), before, tolerance)


@given(
    x=st.integers(0, SIZE - 5),
    y=st.integers(0, SIZE - 10),
    contrast=st.floats(30, 120),
    noise=st.floats(0, 5),
    seed=st.integers(1, 1000),
)
@settings(deadline=None)
def test_a_figure_of_five_by_ten_pixels_is_seen_wherever_it_stands(x, y, contrast, noise, seed):
    before, now = yard(noise=noise), yard(noise=noise, seed=seed)

    assert change(with_figure(now, x=x, y=y, width=5, height=10, contrast=contrast), before, CONSERVATIVE)
    assert change(with_figure(now, x=x, y=y, width=10, height=20, contrast=contrast), before, AGGRESSIVE)


def test_pictures_of_another_size_are_others() -> None:
    before = yard()

    assert change(before[:, :112, :112], before, CONSERVATIVE)
