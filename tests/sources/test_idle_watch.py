from dataclasses import replace

import numpy as np

from tests.sources.test_blocks import view, with_figure
from tests.sources.test_size_signal import moving, still
from xclip_stream.sources.blocks import Grey
from xclip_stream.sources.idle_watch import SETTINGS, IdleWatch
from xclip_stream.types import IdleState

CONSERVATIVE = SETTINGS["conservative"]


class Camera:
    """A camera with a key frame each `interval_s`; it is decoded whenever the watch says so, as a decoder does it."""

    def __init__(self, watch: IdleWatch, *, interval_s: float = 1.0) -> None:
        self.watch = watch
        self.interval_s = interval_s
        self.at_s = 0.0
        self.decoded: list[bool] = []
        self.looked_through: list[bool] = []
        watch.begin_interval(0.0)

    def pass_interval(self, weights: list[float], pictures: list[Grey]) -> bool:
        """Let an interval pass; return whether it was decoded."""
        begin_s, self.at_s = self.at_s, self.at_s + self.interval_s
        watch = self.watch
        is_decoded, is_looked_through = not watch.is_idle, False
        times = [begin_s + number * self.interval_s / len(pictures) for number in range(len(pictures))]
        for weight in weights:
            watch.add(weight)
            is_looked_through = is_looked_through or (watch.is_idle and watch.doubts_end())
        if watch.is_idle:
            if watch.doubts_whole(self.at_s) or is_looked_through:
                is_looked_through = True
                for picture, at_s in zip(pictures, times, strict=True):
                    watch.look_through(picture, at_s)
                watch.note_looked_through(times[-1])
            elif watch.wants_look(self.at_s):
                watch.look(pictures[-1], self.at_s)
            is_decoded = watch.must_wake
        if is_decoded:
            watch.wake()
            for picture, at_s in zip(pictures, times, strict=True):
                watch.see(picture, at_s)
        watch.begin_interval(self.at_s)
        self.decoded.append(is_decoded)
        self.looked_through.append(is_looked_through)
        return is_decoded

    def stand_still(self, intervals: int) -> None:
        for _ in range(intervals):
            seed = 1000 + len(self.decoded)
            self.pass_interval(still(seed), [view(seed + n) for n in range(5)])

    def see_somebody(self, intervals: int, *, weights: bool = True) -> None:
        for _ in range(intervals):
            seed = 5000 + len(self.decoded)
            walk = [with_figure(view(seed + n), 10 + n + len(self.decoded) % 60, 40) for n in range(5)]
            self.pass_interval(moving(seed) if weights else still(seed), walk)


def idle_camera(*, interval_s: float = 1.0, somebody: int = 6, weights: bool = True) -> Camera:
    """A camera that has learned, and at which nothing moves."""
    camera = Camera(IdleWatch(CONSERVATIVE), interval_s=interval_s)
    camera.stand_still(12)
    camera.see_somebody(somebody, weights=weights)
    camera.stand_still(12)
    return camera


def test_a_camera_at_which_nothing_moves_becomes_idle() -> None:
    camera = idle_camera()
    since = len(camera.decoded)

    camera.stand_still(40)

    assert camera.watch.is_trusted
    assert not any(camera.decoded[since:])
    assert sum(camera.looked_through[since:]) <= 6


def test_it_wakes_for_the_interval_in_which_something_moves() -> None:
    camera = idle_camera()

    camera.see_somebody(1)

    assert camera.decoded[-1]
    assert not camera.watch.is_idle


def test_until_its_weights_are_tried_each_key_frame_is_looked_at() -> None:
    camera = idle_camera(somebody=0)

    assert camera.watch.is_idle
    assert not camera.watch.is_trusted
    assert camera.watch.wants_look(camera.at_s + 1)
    assert camera.pass_interval(still(1), [with_figure(view(1), 50, 50)])


def test_a_camera_whose_weights_tell_nothing_is_not_idle() -> None:
    camera = idle_camera(weights=False)

    assert not camera.watch.is_trusted
    assert not camera.watch.is_idle


def test_an_aggressive_watch_looks_at_its_key_frames_instead() -> None:
    camera = Camera(IdleWatch(SETTINGS["aggressive"]))
    camera.stand_still(12)
    camera.see_somebody(6, weights=False)
    camera.stand_still(12)

    assert not camera.watch.is_trusted
    assert camera.watch.is_idle
    assert camera.watch.wants_look(camera.at_s + 1)


def test_a_camera_with_rare_key_frames_is_never_idle() -> None:
    camera = Camera(IdleWatch(CONSERVATIVE), interval_s=CONSERVATIVE.key_interval_s + 0.1)

    camera.stand_still(30)

    assert all(camera.decoded)


def test_an_interval_that_goes_on_for_too_long_is_noticed() -> None:
    watch = idle_camera().watch

    assert not watch.has_run_over(24.0 + 12 * 0.5)
    assert watch.has_run_over(30.0 + CONSERVATIVE.key_interval_s + 1)
    assert watch.has_run_over(0.0)


def test_it_checks_itself_and_doubts_after_a_failure() -> None:
    camera = Camera(IdleWatch(replace(CONSERVATIVE, check_s=(10.0, 10.0), look_s=(1000.0, 1000.0))))
    camera.stand_still(12)
    camera.see_somebody(6)
    camera.stand_still(12)
    assert camera.watch.is_idle

    camera.see_somebody(60, weights=False)  # nothing but a check can tell

    assert any(camera.decoded[-60:])
    camera.stand_still(20)
    assert not camera.watch.is_idle


def test_the_longer_it_is_still_the_more_rarely_it_is_looked_at() -> None:
    watch = idle_camera().watch
    watch.look(view(1), 40.0)

    assert not watch.wants_look(49.0)
    assert watch.wants_look(50.0)
    watch.look(view(1), 100.0)
    assert not watch.wants_look(113.0)
    watch.look(view(1), 4000.0)
    assert not watch.wants_look(4039.0)
    assert watch.wants_look(4040.0)


def test_an_interval_that_was_looked_through_teaches_what_still_ones_weigh() -> None:
    camera = idle_camera()

    for number in range(40):  # the camera's noise has changed, as at dusk
        weights = [weight + 0.3 for weight in still(number)]
        camera.pass_interval(weights, [view(number + n) for n in range(5)])

    assert all(camera.looked_through[-40:-37])
    assert not any(camera.decoded[-40:])
    assert sum(camera.looked_through[-10:]) <= 3


def test_an_interval_that_cannot_be_looked_through_is_decoded() -> None:
    watch = idle_camera().watch

    watch.look_through(None, 30.5)

    assert watch.must_wake


def test_slow_changes_add_up() -> None:
    camera = idle_camera()
    growing = [view(1)] * 5

    for step in range(1, 60):
        growing = [np.clip(view(1).astype(int) + np.pad(np.full((20, 20), step), ((0, 70), (0, 140))), 0, 255)] * 5
        if camera.pass_interval(still(9000 + step), [picture.astype(np.uint8) for picture in growing]):
            break

    assert camera.decoded[-1]


def test_its_state_says_why_a_camera_is_decoded() -> None:
    camera = Camera(IdleWatch(CONSERVATIVE))
    camera.stand_still(7)
    assert camera.watch.state is IdleState.LEARNING
    camera.see_somebody(6)
    assert camera.watch.state is IdleState.AWAKE
    camera.stand_still(12)
    assert camera.watch.state is IdleState.IDLE

    rare = Camera(IdleWatch(CONSERVATIVE), interval_s=CONSERVATIVE.key_interval_s + 0.1)
    rare.stand_still(12)

    assert rare.watch.state is IdleState.RARE_KEYS
    assert idle_camera(weights=False).watch.state is IdleState.DOUBTED


def test_a_new_connection_begins_awake_and_knows_what_was_learned() -> None:
    camera = idle_camera()

    camera.watch.reconnect()

    assert not camera.watch.is_idle
    assert camera.watch.is_trusted
    again = Camera(camera.watch)
    again.stand_still(8)
    assert again.watch.is_idle
