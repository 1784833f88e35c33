import numpy as np
import pytest

from xclip_stream.sources.size_signal import SizeSignal, weight_of
from xclip_stream.sources.slice_qp import Quantised


def still(seed: int, *, packets: int = 25) -> list[float]:
    """The weights of an interval in which nothing moves."""
    random = np.random.default_rng(seed)
    return [17.0 + float(random.normal(0, 0.01)), *(11.0 + random.normal(0, 0.1, packets - 1))]


def moving(seed: int, *, begin: int = 1, end: int = 25, by: float = 0.5) -> list[float]:
    weights = still(seed)
    return [weight + by if begin <= place < end else weight for place, weight in enumerate(weights)]


@pytest.fixture
def signal() -> SizeSignal:
    learned = SizeSignal()
    for seed in range(16):
        learned.learn_still(still(seed))
    return learned


def test_before_it_has_learned_everything_is_suspicious() -> None:
    signal = SizeSignal()

    assert not signal.is_ready
    assert signal.suspects(still(0))
    assert not signal.suspects_end(still(0))


def test_still_intervals_are_seldom_suspicious(signal: SizeSignal) -> None:
    assert sum(signal.suspects(still(seed)) for seed in range(100, 200)) <= 15


@pytest.mark.parametrize("by", [0.5, -0.5], ids=["more", "less"])
def test_what_deviates_in_either_direction_is_suspicious(signal: SizeSignal, by: float) -> None:
    assert all(signal.suspects(moving(seed, by=by)) for seed in range(100, 120))


def test_a_short_movement_is_suspicious_at_once(signal: SizeSignal) -> None:
    weights = moving(100, begin=10, end=16, by=0.8)

    assert signal.suspects(weights)
    assert signal.suspects_end(weights[:16])
    assert not signal.suspects_end(weights[:10])


def test_what_it_missed_is_counted(signal: SizeSignal) -> None:
    for seed in range(100, 103):
        signal.learn_moving(moving(seed))
    signal.learn_moving(still(3))
    signal.note_missed()

    assert signal.moving == 5
    assert signal.missed == pytest.approx(0.4)


def test_what_it_would_miss_follows_from_what_is_usual_now(signal: SizeSignal) -> None:
    for seed in range(100, 104):
        signal.learn_moving(moving(seed, by=0.2))
    assert signal.missed == 0.0

    for seed in range(200, 232):
        signal.learn_still(moving(seed, by=0.2 * (seed % 2)))

    assert signal.missed > 0.5


def test_a_whole_interval_is_told_apart_from_its_end(signal: SizeSignal) -> None:
    weights = moving(100, begin=10, end=16, by=0.8)

    assert not signal.suspects_whole(moving(100, begin=10, end=11, by=0.5))
    assert signal.suspects_whole([weight + 0.5 for weight in weights])


def test_intervals_may_differ_in_length(signal: SizeSignal) -> None:
    signal.learn_still(still(50, packets=26))

    assert not signal.suspects(still(51, packets=24))
    assert not signal.suspects(still(52, packets=40))
    assert signal.suspects([17.0])


def test_coarser_quantisation_weighs_like_more_bytes() -> None:
    assert weight_of(5000, Quantised(30, 4096)) == pytest.approx(weight_of(5000, Quantised(24, 8192)))
    assert weight_of(4096, None) == 12
