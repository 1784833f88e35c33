import numpy as np

from xclip_stream.model.token_cache import TokenCache


def frames(*values: int) -> np.ndarray:
    """Frames of one colour each."""
    return np.stack([np.full((4, 4, 3), value, np.uint8) for value in values])


class Counted:
    """Tokens that say which frame they are of; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.asked.append([int(frame[0, 0, 0]) for frame in pixels])
        return pixels[:, :2, :2, 0].astype(np.float32)


ONE_FRAME_BYTES = 2 * 2 * 4


def test_frames_of_the_window_before_are_not_computed_again():
    compute = Counted()
    cache = TokenCache(compute, max_bytes=1000)

    first, second = cache.tokens(frames(1, 2, 3)), cache.tokens(frames(2, 3, 4))

    assert compute.asked == [[1, 2, 3], [4]]
    np.testing.assert_array_equal(first[:, 0, 0], [1, 2, 3])
    np.testing.assert_array_equal(second[:, 0, 0], [2, 3, 4])


def test_a_frozen_camera_is_computed_once():
    compute = Counted()

    tokens = TokenCache(compute, max_bytes=1000).tokens(frames(7, 7, 7))

    assert compute.asked == [[7]]
    np.testing.assert_array_equal(tokens[:, 0, 0], [7, 7, 7])


def test_one_other_pixel_is_another_frame():
    compute = Counted()
    cache = TokenCache(compute, max_bytes=1000)
    changed = frames(1)
    changed[0, 3, 3, 2] = 2

    cache.tokens(frames(1))
    cache.tokens(changed)

    assert len(compute.asked) == 2


def test_what_was_not_seen_for_the_longest_goes_first():
    compute = Counted()
    cache = TokenCache(compute, max_bytes=2 * ONE_FRAME_BYTES)
    cache.tokens(frames(1, 2))

    cache.tokens(frames(1))
    cache.tokens(frames(3))
    cache.tokens(frames(1))
    cache.tokens(frames(2))

    assert compute.asked == [[1, 2], [3], [2]]
    assert cache.num_bytes == 2 * ONE_FRAME_BYTES


def test_more_frames_at_a_time_than_are_kept_are_still_answered():
    compute = Counted()
    cache = TokenCache(compute, max_bytes=ONE_FRAME_BYTES)

    np.testing.assert_array_equal(cache.tokens(frames(1, 2, 3, 1))[:, 0, 0], [1, 2, 3, 1])
    assert cache.num_bytes == ONE_FRAME_BYTES


def test_what_is_given_out_is_the_callers_own():
    cache = TokenCache(Counted(), max_bytes=1000)

    cache.tokens(frames(1))[:] = 99

    np.testing.assert_array_equal(cache.tokens(frames(1))[:, 0, 0], [1])
