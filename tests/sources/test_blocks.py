import numpy as np
import pytest

from xclip_stream.sources.blocks import GRID_PX, Grey, has_moved, watched_blocks

WIDTH, HEIGHT = GRID_PX


def view(seed: int, *, noise: float = 1.0, brighter: int = 0) -> Grey:
    """The same view with other noise."""
    wall = np.random.default_rng(0).integers(40, 180, (HEIGHT, WIDTH))
    return np.clip(wall + brighter + np.random.default_rng(seed).normal(0, noise, wall.shape), 0, 255).astype(np.uint8)


def with_figure(picture: Grey, x: int, y: int) -> Grey:
    """A figure as wide as a block and three of them high."""
    picture = picture.copy()
    picture[y : y + 3, x] = 220
    return picture


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_noise_is_no_movement(noise: float) -> None:
    assert not any(has_moved(view(1, noise=noise), view(seed, noise=noise)) for seed in range(2, 40))


def test_exposure_is_no_movement() -> None:
    assert not has_moved(view(1), view(2, brighter=15))


def test_a_light_that_is_switched_is_movement() -> None:
    assert has_moved(view(1), view(2, brighter=40))


def test_a_small_figure_is_movement() -> None:
    assert has_moved(view(1), with_figure(view(2), 80, 40))
    assert has_moved(with_figure(view(1), 80, 40), with_figure(view(2), 82, 40))
    assert not has_moved(with_figure(view(1), 80, 40), with_figure(view(2), 80, 40))


def test_another_view_is_movement() -> None:
    random = np.random.default_rng(9)

    assert has_moved(view(1), view(1)[::-1])
    assert has_moved(
        random.integers(0, 256, (HEIGHT, WIDTH), np.uint8), random.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    )


def test_only_the_regions_are_watched_and_no_mask() -> None:
    counts = watched_blocks([(0.0, 0.0, 1.0, 0.5)], [(0.4, 0.4, 0.6, 0.5)])

    assert has_moved(view(1), with_figure(view(2), 10, 10), counts=counts)
    assert not has_moved(view(1), with_figure(view(2), 10, 60), counts=counts)
    assert not has_moved(view(1), with_figure(view(2), 80, 38), counts=counts)
    assert watched_blocks([(0.0, 0.0, 1.0, 1.0)], []).all()
