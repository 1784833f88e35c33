"""How the packets of a stream come: rate, keyframes, bytes, gaps, jumps, jitter. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_GAP_S = 0.4
_GAP_INTERVALS = 3.0
"""A gap is longer than both: the second keeps slow cameras from having nothing but gaps."""
_JUMP_S = 2.0
"""Time stamps that are so far from what the clock says have jumped."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is noted of a packet, in the order of decoding.

    Args:
        arrived_s: on a monotonic clock.
        decoding_s: its decoding time in the stream; None where it has none, as the first ones of many cameras.
        shown_s: its presentation time in the stream, or None.
    """

    arrived_s: float
    decoding_s: float | None
    shown_s: float | None
    size_bytes: int
    is_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What was measured; None where it takes more packets to tell."""

    packets: int
    span_s: float
    """How much media time the packets cover, jumps left out."""
    fps: float | None
    keyframes: int
    keyframe_s: float | None
    """The mean time between two keyframes."""
    since_keyframe_s: float
    """How long before the end the last keyframe came."""
    bit_rate: float | None
    gaps: int
    longest_gap_s: float
    jumps: int
    jitter_s: float | None
    """Nine in ten packets of a live stream came less than this early or late after the one before."""
    speed: float | None
    """Media time that passes in a second of a live stream; 1 where the camera's clock is right."""


def measure(sightings: Sequence[Sighting], *, live: bool) -> Timing:
    """Return what the packets tell.

    Args:
        live: whether they came when they were made; else a jump is told from their stamps alone.
    """
    stamped = _stamped(sightings)
    steps = [step for _, step in stamped]
    usual_s = median([step.media_s for step in steps]) if steps else 0.0
    smooth = [step for step in steps if not step.is_jump(live=live)]
    span_s = sum(step.media_s for step in smooth)
    gaps = [step.media_s for step in smooth if step.media_s > max(_GAP_S, _GAP_INTERVALS * usual_s)]
    keyframe_s, since_keyframe_s = _keyframes(stamped, live=live, begins=bool(sightings) and sightings[0].is_key)
    return Timing(
        packets=len(sightings),
        span_s=span_s,
        fps=len(smooth) / span_s if span_s > 0 else None,
        keyframes=sum(sighting.is_key for sighting in sightings),
        keyframe_s=keyframe_s,
        since_keyframe_s=since_keyframe_s,
        bit_rate=8 * sum(sighting.size_bytes for sighting, _ in stamped) / span_s if span_s > 0 else None,
        gaps=len(gaps),
        longest_gap_s=max(gaps, default=0.0),
        jumps=len(steps) - len(smooth),
        jitter_s=_jitter(smooth) if live else None,
        speed=_speed(smooth) if live else None,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """From one packet to the next."""

    media_s: float
    passed_s: float

    def is_jump(self, *, live: bool) -> bool:
        ahead_s = self.media_s - (self.passed_s if live else 3600.0)
        return self.media_s < 0 or ahead_s > _JUMP_S


def _stamped(sightings: Sequence[Sighting]) -> list[tuple[Sighting, _Step]]:
    """Return the packets that have a time stamp, but the first, each with the step to it.

    Presentation times of a stream with B-frames go back and forth: they serve only where no packet has another one.
    """
    decoding = [(sighting, sighting.decoding_s) for sighting in sightings if sighting.decoding_s is not None]
    shown = [(sighting, sighting.shown_s) for sighting in sightings if sighting.shown_s is not None]
    return [
        (after, _Step(after_s - before_s, after.arrived_s - before.arrived_s))
        for (before, before_s), (after, after_s) in pairwise(decoding or shown)
    ]


def _keyframes(stamped: Sequence[tuple[Sighting, _Step]], *, live: bool, begins: bool) -> tuple[float | None, float]:
    """Return the mean time between keyframes, and that since the last one; `begins` where it all begins with one."""
    distances, since_s, seen = [], 0.0, begins
    for sighting, step in stamped:
        since_s += 0.0 if step.is_jump(live=live) else step.media_s
        if sighting.is_key:
            if seen:
                distances.append(since_s)
            since_s, seen = 0.0, True
    return (sum(distances) / len(distances) if distances else None), since_s


def _jitter(steps: Sequence[_Step]) -> float | None:
    # The first half is left out: servers begin with a burst of what they have kept.
    settled = sorted(abs(step.passed_s - step.media_s) for step in steps[len(steps) // 2 :])
    return settled[int(0.9 * (len(settled) - 1))] if settled else None


def _speed(steps: Sequence[_Step]) -> float | None:
    settled = steps[len(steps) // 2 :]
    passed_s = sum(step.passed_s for step in settled)
    return sum(step.media_s for step in settled) / passed_s if passed_s > 1.0 else None
