"""Which windows of a camera are sent to be scored, and which one stands for the others."""

from collections.abc import Sequence

import numpy as np
import pytest

from xclip_stream import motion_gate
from xclip_stream.motion_gate import MotionGate, Run
from xclip_stream.types import Frame, Pixels

RUN = Run("e1", 1)


def picture(level: float = 100.0, *, noise: float = 0.0, seed: int = 0) -> Pixels:
    grain = np.random.default_rng(seed).normal(0.0, noise, (1, 32, 32, 3))
    return (level + grain).clip(0, 255).astype(np.uint8)


def figure() -> Pixels:
    seen = picture()
    seen[:, 10:20, 10:15] = 220
    return seen


def window(at: float, *pictures: Pixels) -> list[Frame]:
    """A frame for each picture, half a second apart, the last one at `at`."""
    first = at - 0.5 * (len(pictures) - 1)
    return [Frame(index, first + 0.5 * index, first + 0.5 * index, each) for index, each in enumerate(pictures)]


class Scorer:
    """What a reader does with the gate: each window is sent, or stood for."""

    def __init__(self, *, mode: str = "conservative", refresh_s: float = 30.0) -> None:
        self.gate = MotionGate(mode=mode, refresh_s=refresh_s)
        self.seq = -1

    def see(self, frames: Sequence[Frame], run: Run = RUN) -> int | None:
        """Return the `seq` that stands for a window; None where it was sent."""
        self.seq += 1
        same_as = self.gate.stands_for(frames, run)
        if same_as is None:
            self.gate.note_sent(frames, run, self.seq)
        return same_as


def test_the_first_window_is_sent_and_stands_for_those_that_show_the_same() -> None:
    scorer = Scorer()

    told = [scorer.see(window(at, picture(noise=2, seed=at), picture(noise=2, seed=50 + at))) for at in range(1, 5)]

    assert told == [None, 0, 0, 0]


def test_a_figure_is_sent_as_long_as_it_comes_moves_and_goes() -> None:
    scorer = Scorer()
    empty, there = picture(), figure()

    shown = [(empty, empty), (empty, there), (there, there), (there, there), (there, empty), (empty, empty)]
    told = [scorer.see(window(at, *pictures)) for at, pictures in enumerate([*shown, shown[-1]])]

    assert told == [None, None, None, 2, None, None, 5]


def test_what_changes_slowly_adds_up() -> None:
    scorer = Scorer()
    slow = picture()

    told = []
    for at in range(20):
        slow = slow.copy()
        slow[:, 10:20, 10:15] += 1
        told.append(scorer.see(window(at, slow)))

    assert told[:3] == [None, 0, 0]
    assert max(seq for seq in told if seq is not None) >= 10


def test_no_window_stands_for_others_for_longer_than_it_may() -> None:
    scorer = Scorer(refresh_s=3.0)

    assert [scorer.see(window(at, picture())) for at in range(8)] == [None, 0, 0, None, 3, 3, None, 6]


@pytest.mark.parametrize("another", [Run("e2", 1), Run("e1", 2)])
def test_no_window_stands_for_one_of_another_epoch_or_connection(another: Run) -> None:
    scorer = Scorer()
    scorer.see(window(0, picture()))

    assert scorer.see(window(1, picture()), another) is None
    assert scorer.see(window(2, picture()), another) == 1


def test_no_window_stands_for_one_that_was_captured_before_it() -> None:
    scorer = Scorer()
    scorer.see(window(100, picture()))

    assert scorer.see(window(50, picture())) is None


def test_a_window_that_is_forgotten_stands_for_none() -> None:
    scorer = Scorer()
    scorer.see(window(0, picture()))

    scorer.gate.forget(7)
    assert scorer.see(window(1, picture())) == 0
    scorer.gate.forget(0)
    assert scorer.see(window(2, picture())) is None


def test_off_sends_every_window() -> None:
    scorer = Scorer(mode="off")

    assert [scorer.see(window(at, picture())) for at in range(3)] == [None, None, None]


def test_a_frame_that_windows_share_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    tiles_of = motion_gate.tiles_of
    monkeypatch.setattr(
        motion_gate,
        "tiles_of",
        lambda pictures, *, tile_px: (looked_at.append(1), tiles_of(pictures, tile_px=tile_px))[1],
    )
    scorer = Scorer()
    frames = window(4, *[picture(noise=1, seed=seed) for seed in range(9)])
    for start in range(6):
        scorer.see(frames[start : start + 4])

    assert len(looked_at) == 9
